"""`cordon` and `uncordon`: may new pods be placed on a node?"""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import targets
from minikubelet.cli.base import Session, command, say, selector_option
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import NODES


@command(
    "cordon",
    examples="""
    # No new pods; those that run go on
    minikubelet cordon node1
    """,
)
@click.argument("names", nargs=-1, metavar="NODE…")
@selector_option
def cordon_command(session: Session, names: tuple[str, ...], selector: str) -> None:
    """Mark nodes as unschedulable."""
    _run(session, names, selector, unschedulable=True)


@command(
    "uncordon",
    examples="""
    # Pods that wait are placed now
    minikubelet uncordon node1
    """,
)
@click.argument("names", nargs=-1, metavar="NODE…")
@selector_option
def uncordon_command(session: Session, names: tuple[str, ...], selector: str) -> None:
    """Mark nodes as schedulable."""
    _run(session, names, selector, unschedulable=False)


def _run(session: Session, names: tuple[str, ...], selector: str, *, unschedulable: bool) -> None:
    if not names and not selector:
        raise UsageError("you must specify a node name, or nodes by --selector")
    done = "cordoned" if unschedulable else "uncordoned"
    chosen = names if "/" in "".join(names) else (NODES.name, *names)
    for resource, _ in targets.parse(session.client, chosen)[1]:
        if resource.kind != NODES.kind:
            what = f"{resource.group}/{resource.group_version.rpartition('/')[2]}, Resource={resource.name}"
            raise CliError(f'expected resource of type node, got "{what}"')
    items = targets.select(session.client, None, chosen, selector=selector, every=False)

    def mark(node: dict[str, Any]) -> None:
        name = node["metadata"]["name"]
        if bool((node.get("spec") or {}).get("unschedulable")) == unschedulable:
            say(f"node/{name} already {done}")
            return
        session.client.patch(
            NODES.path(None, name),
            {"spec": {"unschedulable": unschedulable or None}},
            {"fieldManager": "kubectl-cordon"},
        )
        say(f"node/{name} {done}")

    targets.each(items, mark)
