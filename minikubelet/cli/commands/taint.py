"""`taint`: what keeps pods off a node. Sent as a merge patch that fails if the Node was changed meanwhile."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from minikubelet.cli import printers, targets
from minikubelet.cli.base import Session, command, output_option, say, selector_option
from minikubelet.cli.commands.apply import dry_run_option
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import NODES

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
Taint = dict[str, Any]


class Removal(NamedTuple):
    """Without an effect: all taints of the key."""

    key: str
    effect: str

    def means(self, taint: Taint) -> bool:
        return taint["key"] == self.key and self.effect in ("", taint["effect"])

    def __str__(self) -> str:
        return f"{self.key}:{self.effect}" if self.effect else self.key


class Change(NamedTuple):
    """What the words KEY=VALUE:EFFECT and KEY:EFFECT- ask for."""

    added: list[Taint]
    removed: list[Removal]

    def done(self, *, overwrite: bool) -> str:
        if overwrite or (self.added and self.removed):
            return "modified"
        return "tainted" if self.added else "untainted"


@command(
    "taint",
    examples="""
    # Keep new pods off the node, unless they tolerate it
    minikubelet taint node node1 dedicated=db:NoSchedule
    # End those that run, too; change a value
    minikubelet taint node node1 maintenance:NoExecute
    minikubelet taint node node1 dedicated=web:NoSchedule --overwrite
    # Take away one, all of a key
    minikubelet taint node node1 dedicated:NoSchedule-
    minikubelet taint node node1 dedicated-
    """,
)
@click.argument("args", nargs=-1, metavar="node NAME… KEY[=VALUE]:EFFECT… KEY[:EFFECT]-…")
@selector_option
@click.option("--all", "every", is_flag=True, help="All nodes.")
@click.option("--overwrite", is_flag=True, help="A taint that has another value may be changed.")
@dry_run_option
@output_option("yaml, json, name, jsonpath=…")
def taint_command(
    session: Session,
    args: tuple[str, ...],
    selector: str,
    every: bool,
    overwrite: bool,
    dry_run: str,
    output: str,
) -> None:
    """Change the taints of nodes."""
    printers.check_format(output)
    names, words = _split(args)
    if not names:
        raise UsageError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not words:
        raise UsageError("at least one taint update is required")
    change = _parsed(words)
    types, named = targets.parse(session.client, names)
    if any(resource.kind != NODES.kind for resource in (*types, *(resource for resource, _ in named))):
        word = names[0].partition("/")[0]
        raise CliError(f"invalid resource type {word}, only node types are supported")
    items = targets.select(session.client, None, names, selector=selector, every=every)

    def apply(node: dict[str, Any]) -> None:
        changed = _apply(session, node, change, overwrite=overwrite, dry_run=dry_run)
        if output and output != "name":
            printers.print_object(printers.hide_managed_fields(changed), output)
        else:
            name = f"node/{node['metadata']['name']}"
            say(name if output else f"{name} {change.done(overwrite=overwrite)}")

    targets.each(items, apply)


def _split(args: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Names come first; the first taint ends them."""
    for place, arg in enumerate(args):
        if "=" in arg or ":" in arg or arg.endswith("-"):
            return list(args[:place]), list(args[place:])
    return list(args), []


def _parsed(words: list[str]) -> Change:
    added: list[Taint] = []
    removed: list[Removal] = []
    for word in words:
        if word.endswith("-"):
            key, _, effect = _parts(word[:-1])
            removed.append(Removal(key, effect))
        elif ":" in word:
            key, value, effect = _parts(word)
            added.append({"key": key, **({"value": value} if value else {}), "effect": effect})
        else:
            raise CliError(f"unknown taint spec: {word}")
    for place, taint in enumerate(added):
        if any(_same(taint, other) for other in added[:place]):
            shown = f"{taint['key']} {taint.get('value', '')} {taint['effect']} <nil>"
            raise CliError(f"duplicated taints with the same key and effect: {{{shown}}}")
    both = [
        f"{removal.key}={removal.effect}" for taint in added for removal in removed if removal.means(taint)
    ]
    if both:
        raise CliError(
            f"can not both modify and remove the following taint(s) in the same command: {', '.join(both)}"
        )
    return Change(added, removed)


def _parts(word: str) -> tuple[str, str, str]:
    """Key, value, effect."""
    front, colon, effect = word.partition(":")
    if colon and effect not in EFFECTS:
        raise CliError(f"invalid taint effect: {effect}, unsupported taint effect")
    key, _, value = front.partition("=")
    if not key or "=" in value:
        raise CliError(f"invalid taint spec: {word}")
    return key, value, effect


def _apply(
    session: Session, node: dict[str, Any], change: Change, *, overwrite: bool, dry_run: str
) -> dict[str, Any]:
    """The node as it is then."""
    present: list[Taint] = (node.get("spec") or {}).get("taints") or []
    taken = [taint for taint in change.added if not overwrite and any(_same(taint, one) for one in present)]
    if taken:
        keys = ", ".join(taint["key"] for taint in taken)
        raise CliError(
            f"node {node['metadata']['name']} already has {keys} taint(s) with same effect(s) "
            "and --overwrite is false"
        )
    missing = [one for one in change.removed if not any(one.means(taint) for taint in present)]
    if missing:
        raise CliError("; ".join(f'taint "{removal}" not found' for removal in missing))
    kept = [
        taint
        for taint in present
        if not any(_same(taint, one) for one in change.added)
        and not any(removal.means(taint) for removal in change.removed)
    ]
    taints = [*change.added, *kept]
    if dry_run == "client":
        return {**node, "spec": {**(node.get("spec") or {}), "taints": taints}}
    version = {"resourceVersion": node["metadata"]["resourceVersion"]}
    query = {"fieldManager": "kubectl-taint", "dryRun": "All" if dry_run == "server" else None}
    patch = {"metadata": version, "spec": {"taints": taints or None}}
    patched: dict[str, Any] = session.client.patch(NODES.path(None, node["metadata"]["name"]), patch, query)
    return patched


def _same(one: Taint, other: Taint) -> bool:
    return (one["key"], one["effect"]) == (other["key"], other["effect"])
