"""`events`: Kubernetes Events in the order they happened, and new ones as they come."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from minikubelet.cli import ages, printers, resources, targets
from minikubelet.cli.base import Session, command, complain, output_option
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import EVENTS
from minikubelet.cli.tables import Columns, cell

# What kubectl prints of every Event with -o yaml and json, there or not.
ABSENT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Event",
    "eventTime": None,
    "firstTimestamp": None,
    "lastTimestamp": None,
    "reportingComponent": "",
    "reportingInstance": "",
    "source": {},
}


@command(
    "events",
    examples="""
    # Of the namespace, oldest first
    minikubelet events
    # Of one pod, and what is still to come
    minikubelet events --for pod/web -w
    # Only warnings, of every namespace
    minikubelet events -A --types=Warning
    """,
)
@click.option("--for", "about", default="", metavar="TYPE/NAME", help="Only about this object.")
@click.option("-w", "--watch", is_flag=True, help="Go on with new ones.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@click.option("--types", default="", metavar="TYPE[,TYPE]", help="Normal, Warning.")
@click.option("--no-headers", is_flag=True, help="Leave the header line out.")
@output_option("yaml, json, name, jsonpath=…")
def events_command(session: Session, about: str, **options: Any) -> None:
    """Show Events in the order they happened."""
    printers.check_format(options["output"])
    scope = None if options["all_namespaces"] else session.namespace
    query = _about(session, about) if about else {}
    path = EVENTS.path(scope)
    events, revision = [], ""
    for page in targets.pages(session.client, path, query):
        events += page["items"]
        revision = page["metadata"]["resourceVersion"]
    wanted = {word.strip().capitalize() for word in options["types"].split(",") if word.strip()}
    if not wanted <= {"Normal", "Warning"}:
        raise CliError("valid --types are Normal or Warning")
    events = [event for event in events if not wanted or event.get("type") in wanted]
    events.sort(key=last_seen)
    if options["output"]:
        _print_objects(events, options["output"])
        return
    if not events and not options["watch"]:
        where = "" if scope is None else f" in {scope} namespace"
        complain(f"No events found{where}.")
        return
    columns = Columns()
    _print(columns, events, scope is None, headers=not options["no_headers"])
    if options["watch"]:
        with contextlib.suppress(KeyboardInterrupt):
            for change in session.client.watch(path, {**query, "resourceVersion": revision}):
                event = change["object"]
                if change["type"] in ("ADDED", "MODIFIED") and (not wanted or event["type"] in wanted):
                    _print(columns, [event], scope is None, headers=False)


def last_seen(event: dict[str, Any]) -> str:
    """When it happened last; RFC 3339 in UTC sorts as text."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or (event.get("metadata") or {}).get("creationTimestamp")
        or ""
    )


def interval(event: dict[str, Any]) -> str:
    """`5s`, or `2s (x4 over 30s)` when it happened several times."""
    first = ages.since(event.get("eventTime") or event.get("firstTimestamp"))
    count = event.get("count") or 0
    if series := event.get("series"):
        return f"{ages.since(series.get('lastObservedTime'))} (x{series.get('count')} over {first})"
    if count > 1:
        return f"{ages.since(event.get('lastTimestamp'))} (x{count} over {first})"
    return first


def _about(session: Session, text: str) -> dict[str, Any]:
    kind, slash, name = text.partition("/")
    if not slash or not name:
        raise UsageError("--for must be in resource/name form")
    resource = resources.find(session.client, kind)
    selector = {
        "involvedObject.kind": resource.kind,
        "involvedObject.apiVersion": resource.group_version,
        "involvedObject.name": name,
    }
    return {"fieldSelector": ",".join(f"{key}={value}" for key, value in selector.items())}


def _print(columns: Columns, events: list[dict[str, Any]], namespaces: bool, *, headers: bool) -> None:
    rows = [["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]] if headers else []
    if headers and namespaces:
        rows[0].insert(0, "NAMESPACE")
    for event in events:
        about = event.get("involvedObject") or {}
        row = [
            interval(event),
            cell(event.get("type", "")),
            cell(event.get("reason", "")),
            cell(f"{about.get('kind')}/{about.get('name')}"),
            cell((event.get("message") or "").strip()),
        ]
        rows.append([event["metadata"].get("namespace", ""), *row] if namespaces else row)
    for line in columns.lines(rows):
        print(line, flush=True)


def _print_objects(events: list[dict[str, Any]], output: str) -> None:
    complete = [printers.hide_managed_fields({**ABSENT, **event}) for event in events]
    if output == "name":
        for event in complete:
            print(f"event/{event['metadata']['name']}")
    else:
        printers.print_object({**printers.as_list(complete), "kind": "EventList", "metadata": {}}, output)
