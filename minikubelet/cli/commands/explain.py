"""`explain --unsupported`: the fields of a Pod this node does not honour, from the one table in
`v1.support_table`.

Needs no agent. `kubectl explain` shows what the fields mean.
"""

from __future__ import annotations

import click

from minikubelet.cli.base import Session, command, say
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.tables import layout


@command(
    "explain",
    examples="""
    # Every field that is refused, or accepted without effect
    minikubelet explain --unsupported
    # Only those below a path
    minikubelet explain --unsupported pod.spec.volumes
    """,
)
@click.argument("path", required=False, default="", metavar="[PATH]")
@click.option("--unsupported", is_flag=True, help="The fields this node does not honour.")
def explain_command(session: Session, path: str, unsupported: bool) -> None:
    """Say which fields of a Pod this node does not honour, and why."""
    if not unsupported:
        raise UsageError("only --unsupported is there; kubectl explain shows what the fields mean")
    from minikubelet.v1.support import expand
    from minikubelet.v1.support_table import ALWAYS_FINE, RULES

    wanted = path.removeprefix("pods.").removeprefix("pod.").replace("[*]", "")
    rows = [["FIELD", "STATE", "WHEN", "WHY", "COMES"]]
    for rule in RULES:
        below = any(field.replace("[*]", "").startswith(wanted) for field in expand(rule.path))
        if below and rule.when is not ALWAYS_FINE:
            rows.append([rule.path, rule.state, rule.when.words, rule.reason, rule.comes])
    if len(rows) == 1:
        raise CliError(f'nothing below "{path}" is unsupported')
    say("\n".join(layout(rows)))
    say("\nC stands for spec.containers[*] and spec.initContainers[*].")
