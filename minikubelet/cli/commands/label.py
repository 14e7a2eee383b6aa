"""`label` and `annotate`: two names for one change of metadata, sent as a JSON merge patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import printers, targets
from minikubelet.cli.base import Session, command, output_option, say, selector_option
from minikubelet.cli.errors import CliError, UsageError


@dataclass(frozen=True)
class Options:
    selector: str
    every: bool
    overwrite: bool
    list_them: bool
    dry_run: str
    output: str


@dataclass(frozen=True)
class Change:
    """`field` is labels or annotations; a value of None removes a key."""

    field: str
    values: dict[str, str | None]

    @property
    def done(self) -> str:
        return {"labels": "labeled", "annotations": "annotated"}[self.field]

    @property
    def undone(self) -> str:
        return {"labels": "unlabeled", "annotations": "annotated"}[self.field]


def _options(function: Any) -> Any:
    for option in (
        click.argument("args", nargs=-1, metavar="TYPE NAME… KEY=VALUE… KEY-…"),
        selector_option,
        click.option("--all", "every", is_flag=True, help="All objects of the type in the namespace."),
        click.option("--overwrite", is_flag=True, help="A key that has another value may be changed."),
        click.option("--list", "list_them", is_flag=True, help="Show what there is."),
        click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none"),
        output_option("yaml, json, name, jsonpath=…"),
    ):
        function = option(function)
    return function


@command(
    "label",
    examples="""
    # Set two labels
    minikubelet label pod web app=web tier=front
    # Change one, remove one
    minikubelet label pod web app=other tier- --overwrite
    # Of all pods; only list them
    minikubelet label pods --all checked=yes
    minikubelet label pod web --list
    """,
)
@_options
def label_command(session: Session, args: tuple[str, ...], **given: Any) -> None:
    """Change the labels of objects."""
    _run(session, "labels", args, Options(**given))


@command(
    "annotate",
    examples="""
    # Set an annotation; remove it
    minikubelet annotate pod web note='a first try'
    minikubelet annotate pod web note-
    """,
)
@_options
def annotate_command(session: Session, args: tuple[str, ...], **given: Any) -> None:
    """Change the annotations of objects."""
    _run(session, "annotations", args, Options(**given))


def _run(session: Session, field: str, args: tuple[str, ...], options: Options) -> None:
    printers.check_format(options.output)
    names, values = _split(args)
    if not names:
        raise UsageError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not values and not options.list_them:
        raise UsageError(f"at least one {field[:-1]} update is required")
    items = targets.select(
        session.client, session.namespace, names, selector=options.selector, every=options.every
    )
    if not items:
        raise CliError("no resources found")
    change = Change(field, values)
    targets.each(items, lambda item: _change(session, item, change, options))


def _split(args: tuple[str, ...]) -> tuple[list[str], dict[str, str | None]]:
    """Names come first; the first KEY=VALUE or KEY- ends them."""
    names: list[str] = []
    values: dict[str, str | None] = {}
    for arg in args:
        key, equals, value = arg.partition("=")
        if equals:
            values[key] = value
        elif arg.endswith("-") and names:
            if arg[:-1] in values:
                raise UsageError(f"can not both modify and remove a label in the same command: {arg[:-1]}")
            values[arg[:-1]] = None
        elif values:
            raise UsageError(f"all resources must be specified before label changes: {arg}")
        else:
            names.append(arg)
    return names, values


def _change(session: Session, item: dict[str, Any], change: Change, options: Options) -> None:
    target = targets.of_object(session.client, item, session.namespace)
    current: dict[str, str] = item["metadata"].get(change.field) or {}
    if options.list_them:
        for key in sorted(current):
            say(f"{key}={current[key]}")
        if not change.values:
            return
    if not options.overwrite:
        _refuse_overwriting(current, change)
    for key, value in change.values.items():
        if value is None and key not in current:
            say(f'{change.field[:-1]} "{key}" not found.')
    wanted = {key: value for key, value in change.values.items() if current.get(key) != value}
    changed = item
    if wanted and options.dry_run != "client":
        query = {"fieldManager": "kubectl-label", "dryRun": "All" if options.dry_run == "server" else None}
        changed = session.client.patch(target.path, {"metadata": {change.field: wanted}}, query)
    if options.output:
        _print(changed, target, options.output)
    else:
        say(f"{target} {_verb(change, wanted)}{_dry(options)}")


def _refuse_overwriting(current: dict[str, str], change: Change) -> None:
    taken = [
        f"'{key}' already has a value ({current[key]}), and --overwrite is false"
        for key, value in change.values.items()
        if value is not None and current.get(key, value) != value
    ]
    if taken:
        raise CliError(taken[0] if len(taken) == 1 else f"[{', '.join(taken)}]")


def _verb(change: Change, wanted: dict[str, str | None]) -> str:
    if not wanted:
        return f"not {change.done}"
    return change.undone if all(value is None for value in wanted.values()) else change.done


def _dry(options: Options) -> str:
    return {"client": " (dry run)", "server": " (server dry run)"}.get(options.dry_run, "")


def _print(item: dict[str, Any], target: targets.Target, output: str) -> None:
    if output == "name":
        say(str(target))
    else:
        printers.print_object(printers.hide_managed_fields(item), output)
