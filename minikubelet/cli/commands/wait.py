"""`wait`: until a condition, a field, the existence or the disappearance of objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from minikubelet.cli import jsonpath, targets, waiting
from minikubelet.cli.base import Session, command, duration, files_option, say, selector_option
from minikubelet.cli.client import Client
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.targets import Target

Met = Callable[[dict[str, Any] | None], bool]


@command(
    "wait",
    examples="""
    # Until a pod is ready; until it has ended well
    minikubelet wait --for=condition=Ready pod/web --timeout=60s
    minikubelet wait --for=jsonpath='{.status.phase}'=Succeeded pod/job
    # Until it is gone
    minikubelet wait --for=delete pod/web
    # Until all pods with a label are ready
    minikubelet wait --for=condition=Ready pods -l app=web
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE NAME… | TYPE/NAME…")
@click.option(
    "--for",
    "condition",
    required=True,
    metavar="WHAT",
    help="condition=NAME[=VALUE], jsonpath='{PATH}'[=VALUE], create, delete.",
)
@click.option("--timeout", default="30s", show_default=True, metavar="DURATION", help="0: look once.")
@click.option("--all", "every", is_flag=True, help="All objects of the type in the namespace.")
@selector_option
@files_option()
def wait_command(session: Session, args: tuple[str, ...], condition: str, **options: Any) -> None:
    """Wait for a condition of objects."""
    met = condition_met(condition)
    end = waiting.deadline(duration(options["timeout"]))
    found = _targets(session, args, condition, options, end)

    def wait_for(target: Target) -> None:
        waiting.until(session.client, target, met, end)
        say(f"{target} condition met")

    targets.each(found, wait_for)


def condition_met(text: str) -> Met:
    """The test that --for describes."""
    kind, _, rest = text.partition("=")
    if text == "delete":
        return lambda item: item is None
    if text == "create":
        return lambda item: item is not None
    if kind == "condition" and rest:
        name, _, value = rest.partition("=")
        return lambda item: _has_condition(item, name, value or "true")
    if kind == "jsonpath" and rest:
        return _field_met(rest)
    raise UsageError(f'unrecognized condition: "{text}"')


def _targets(
    session: Session, args: tuple[str, ...], condition: str, options: dict[str, Any], end: float
) -> list[Target]:
    """Objects that are named may be missing only when that is what is waited for."""
    client = session.client
    if options["files"]:
        from minikubelet.cli.manifests import targets_in

        found = targets_in(session, options["files"])
    elif options["selector"] or options["every"]:
        items = targets.select(
            client, session.namespace, args, selector=options["selector"], every=options["every"]
        )
        if not items and condition != "delete":
            raise CliError("no matching resources found")
        return [targets.of_object(client, item, session.namespace) for item in items]
    else:
        found = targets.named(client, session.namespace, args)
    if condition == "delete":
        return [target for target in found if _exists(client, target)]  # of others nothing is said
    if condition != "create":
        targets.fetch(client, found)
    return found


def _exists(client: Client, target: Target) -> bool:
    try:
        client.get(target.path)
    except StatusError as error:
        if error.code == 404:
            return False
        raise
    return True


def _has_condition(item: dict[str, Any] | None, name: str, value: str) -> bool:
    for condition in ((item or {}).get("status") or {}).get("conditions") or ():
        if condition["type"].lower() == name.lower():
            return str(condition["status"]).lower() == value.lower()
    return False


def _field_met(rest: str) -> Met:
    """`{.status.phase}=Running`, or without a value: the field exists and is not empty."""
    head, brace, value = rest.partition("}")
    path, equals, wanted = (head + brace, value[:1] == "=", value[1:]) if brace else _at_last_equals(rest)
    jsonpath.find(path, {})  # a wrong expression is told before the wait

    def met(item: dict[str, Any] | None) -> bool:
        values = jsonpath.find(path, item) if item else []
        if not equals:
            return bool(values) and values[0] not in (None, "")
        return bool(values) and jsonpath.text(values[0]) == wanted

    return met


def _at_last_equals(rest: str) -> tuple[str, bool, str]:
    path, equals, wanted = rest.rpartition("=")
    return (path, True, wanted.strip("'\"")) if equals else (rest, False, "")
