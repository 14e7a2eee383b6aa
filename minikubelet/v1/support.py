"""Which fields of a Pod this node honours (DESIGN, rule 3: no field is silently ignored).

Every field of core/v1 is in exactly one of three states. **Implemented**: it does what Kubernetes says.
**Warning**: it is accepted and has no effect, which does no harm; the client is told by a `Warning:` header.
**Refused**: without it the pod would run less confined than asked, or wrongly, so it does not run at all.
`v1.support_table` holds the table, `check` applies it to a pod, `to_markdown` prints it as docs/fields.md. A
test walks the structs and fails on a field that is in no row, so a field that is new in Kubernetes cannot
slip through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minikubelet.errors import FieldError
from minikubelet.v1.cautions import cautions
from minikubelet.v1.pod import Pod
from minikubelet.v1.support_table import ALWAYS_FINE, CONTAINERS, IMPLEMENTED, REFUSED, RULES, WARNING, Rule
from minikubelet.v1.wire import to_dict


def check(pod: Pod) -> tuple[list[str], list[FieldError]]:
    """The warnings for the client, and the fields for which the pod is refused."""
    data = to_dict(pod)
    warnings: list[str] = []
    errors: list[FieldError] = []
    for rule in RULES:
        for path, value in _found(data, rule):
            if not rule.when.holds(value, data.get("spec", {})):
                continue
            if rule.state == WARNING:
                warnings.append(f"{path}: ignored: {rule.reason}")
            else:
                detail = f"not supported by this node: {rule.reason}"
                errors.append(FieldError(path, "Forbidden", f"Forbidden: {detail}"))
    return warnings + cautions(pod), errors


def expand(path: str) -> tuple[str, ...]:
    """The paths a table entry stands for."""
    return (
        tuple(path.replace("C.", f"{prefix}.", 1) for prefix in CONTAINERS)
        if path.startswith("C.")
        else (path,)
    )


def state_of(path: str) -> str | None:
    """implemented, warning or refused, for a leaf such as `spec.containers[*].image`; None: in no row."""
    if any(path in expand(entry) for entry in IMPLEMENTED):
        return "implemented"
    for rule in RULES:
        if any(_covers(entry, path) for entry in expand(rule.path)):
            return rule.state
    return None


def _covers(entry: str, path: str) -> bool:
    """A rule speaks of a field and of everything below it."""
    return path == entry or path.startswith((f"{entry}.", f"{entry}["))


def _found(data: dict[str, Any], rule: Rule) -> Iterator[tuple[str, Any]]:
    """The places in a pod a rule speaks of, with their values."""
    for path in expand(rule.path):
        yield from _follow(data, path.split("."), "")


def _follow(value: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any]]:
    if not steps:
        yield path, value
        return
    name = steps[0].removesuffix("[*]")
    inner = value.get(name)
    here = f"{path}.{name}" if path else name
    if inner is None:
        return
    if steps[0].endswith("[*]"):
        for index, item in enumerate(inner):
            yield from _follow(item, steps[1:], f"{here}[{index}]")
    else:
        yield from _follow(inner, steps[1:], here)


# docs/fields.md

INTRODUCTION = """\
# Fields of a Pod

Every field of the core/v1 Pod of Kubernetes 1.36 is known. Each is implemented, or answered with a warning,
or refused; nothing is ignored silently. This page is written by `python -m minikubelet.v1.support` from the
one table in `minikubelet/v1/support_table.py`; a test keeps both equal. `C` stands for `spec.containers[*]`,
`spec.initContainers[*]` and `spec.ephemeralContainers[*]`.
"""


def to_markdown() -> str:
    """The table as docs/fields.md."""
    lines = [INTRODUCTION]
    for state, title in (
        (REFUSED, "Refused: ignoring it would be unsafe or wrong"),
        (WARNING, "Warning: accepted, without effect"),
    ):
        lines += [f"## {title}", "", "| field | when | why | comes |", "|---|---|---|---|"]
        lines += [
            f"| `{rule.path}` | {rule.when.words} | {rule.reason} | {rule.comes} |"
            for rule in RULES
            if rule.state == state and rule.when is not ALWAYS_FINE
        ]
        lines.append("")
    lines += ["## Nothing to say", "", "Without effect here, and without harm, whatever they hold.", ""]
    lines += [f"- `{rule.path}`: {rule.reason}" for rule in RULES if rule.when is ALWAYS_FINE]
    lines += ["", "## Implemented", ""]
    lines += [f"- `{path}`" for path in IMPLEMENTED]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(to_markdown(), end="")
