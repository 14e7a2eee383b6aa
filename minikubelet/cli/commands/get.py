"""`get`: lists, single objects, and watches.

Without `-o` (or with `-o wide`) the server sends Tables with ready-made cells, so that kubectl and this
program show the same columns by construction; every other format works on plain JSON.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import click

from minikubelet.cli import jsonpath, printers, targets
from minikubelet.cli.base import Session, command, complain, output_option, say, selector_option
from minikubelet.cli.client import JSON, TABLE
from minikubelet.cli.errors import CliError, StatusError, UsageError, raise_all
from minikubelet.cli.resources import NAMESPACES, Resource


@dataclass(frozen=True)
class Options:
    output: str
    selector: str
    field_selector: str
    watch: bool
    watch_only: bool
    all_namespaces: bool
    no_headers: bool
    show_labels: bool
    show_kind: bool
    show_managed_fields: bool
    output_watch_events: bool
    ignore_not_found: bool
    label_columns: tuple[str, ...]
    subresource: str
    chunk_size: int
    sort_by: str

    @property
    def as_table(self) -> bool:
        return self.output in ("", "wide")

    @property
    def accept(self) -> str:
        return TABLE if self.as_table else JSON

    def query(self) -> dict[str, Any]:
        query: dict[str, Any] = {
            "labelSelector": self.selector or None,
            "fieldSelector": self.field_selector or None,
        }
        if self.sort_by and self.as_table:
            query["includeObject"] = "Object"
        if self.chunk_size != targets.PAGE:
            query["limit"] = self.chunk_size or None
        return query


@command(
    "get",
    examples="""
    # All pods of the default namespace, and everything the columns can tell about them
    minikubelet get pods
    minikubelet get pods -o wide --show-labels
    # One object in full; one field of it
    minikubelet get pod web -o yaml
    minikubelet get pod web -o jsonpath='{.status.podIP}'
    # Pods of every namespace with a label, as they change
    minikubelet get pods -A -l app=web -w
    # Several types
    minikubelet get pods,configmaps
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE[,TYPE] [NAME…] | TYPE/NAME…")
@output_option("wide, yaml, json, name, jsonpath=…, custom-columns=…")
@selector_option
@click.option(
    "--field-selector", default="", metavar="QUERY", help="E.g. status.phase=Running,metadata.name!=web."
)
@click.option("-w", "--watch", is_flag=True, help="After the list, show changes as they happen.")
@click.option("--watch-only", is_flag=True, help="Show only changes.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@click.option("--no-headers", is_flag=True, help="Leave the header line out.")
@click.option("--show-labels", is_flag=True, help="All labels as the last column.")
@click.option("--show-kind", is_flag=True, help="TYPE/ in front of names.")
@click.option("--show-managed-fields", is_flag=True, help="Keep managedFields in yaml and json.")
@click.option("--output-watch-events", is_flag=True, help="With -w: say ADDED, MODIFIED or DELETED.")
@click.option("--ignore-not-found", is_flag=True, help="A missing object is no error.")
@click.option("-L", "--label-columns", multiple=True, metavar="KEY", help="The value of a label as a column.")
@click.option("--raw", default="", metavar="PATH", help="What the API answers to this path, as it is.")
@click.option("--subresource", default="", metavar="NAME", help="E.g. status, scale.")
@click.option("--chunk-size", type=int, default=500, metavar="N", help="So many objects at once; 0: all.")
@click.option("--sort-by", default="", metavar="JSONPATH", help="Sort a list, e.g. by .metadata.name.")
def get_command(session: Session, args: tuple[str, ...], **given: Any) -> None:
    """Show objects."""
    if raw := given.pop("raw"):
        _print_raw(session, raw, args)
        return
    labels = tuple(key for keys in given.pop("label_columns") for key in keys.split(","))
    options = Options(label_columns=labels, **given)
    printers.check_format(options.output)
    types, names = targets.parse(session.client, args)
    if names and options.selector:
        raise UsageError("name cannot be provided when a selector is specified")
    if names and options.all_namespaces:
        raise CliError("a resource cannot be retrieved by name across all namespaces")
    if options.watch or options.watch_only:
        _watch(session, types, names, options)
    elif options.as_table:
        _tables(session, types, names, options)
    else:
        _objects(session, types, names, options)


def _namespace(session: Session, options: Options) -> str | None:
    return None if options.all_namespaces else session.namespace


def _printer(resource: Resource, options: Options, several: bool) -> printers.TablePrinter:
    return printers.TablePrinter(
        wide=options.output == "wide",
        headers=not options.no_headers,
        namespace=options.all_namespaces and (resource.namespaced or several),
        kind=resource.label if several or options.show_kind else "",
        show_labels=options.show_labels,
        label_columns=options.label_columns,
        events=options.output_watch_events,
    )


def _print_raw(session: Session, path: str, args: tuple[str, ...]) -> None:
    """The answer, byte for byte."""
    if args:
        raise CliError("arguments may not be passed when --raw is specified")
    where, _, query = path.partition("?")
    with session.client.request("GET", where, dict(parse_qsl(query))) as answer:
        for chunk in answer.chunks():
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


# Tables


def _tables(
    session: Session, types: list[Resource], names: list[tuple[Resource, str]], options: Options
) -> None:
    """One table per type, an empty line between them; errors after everything that was found."""
    errors: list[StatusError] = []
    found = {}
    for resource in dict.fromkeys([*types, *(resource for resource, _ in names)]):
        wanted = [name for of, name in names if of is resource]
        table = _table(session, resource, wanted, options, errors)
        if table["rows"]:
            found[resource] = table
    several = len(types) > 1 or len({resource for resource, _ in names}) > 1
    for at, (resource, table) in enumerate(found.items()):
        if at:
            say()
        _printer(resource, options, several).print(table)
    if types and not found and not errors:
        _say_nothing_found(session, types, options)
    raise_all(errors)


def _table(
    session: Session, resource: Resource, names: list[str], options: Options, errors: list[StatusError]
) -> dict[str, Any]:
    """The rows of all pages, or of all named objects, as one Table."""
    whole: dict[str, Any] = {"columnDefinitions": [], "rows": []}
    for table in _answers(session, resource, names, options, errors):
        whole["columnDefinitions"] = whole["columnDefinitions"] or table.get("columnDefinitions") or []
        whole["rows"] += table.get("rows") or []
    if options.sort_by:
        whole["rows"].sort(key=lambda row: _sort_key(options.sort_by, row.get("object") or {}))
    return whole


def _answers(
    session: Session, resource: Resource, names: list[str], options: Options, errors: list[StatusError]
) -> Iterator[dict[str, Any]]:
    client, namespace = session.client, _namespace(session, options)
    if not names:
        try:
            yield from targets.pages(client, resource.path(namespace), options.query(), accept=options.accept)
        except StatusError as error:
            raise _unlisted(error, resource, options) from error
    for name in names:
        try:
            yield client.get(resource.path(namespace, name, options.subresource), accept=options.accept)
        except StatusError as error:
            if not (error.code == 404 and options.ignore_not_found):
                errors.append(error if error.code != 404 else _why_missing(session, resource, error))


def _why_missing(session: Session, resource: Resource, error: StatusError) -> StatusError:
    """Of an object that is not there, its namespace may not be there either: that says more."""
    if resource.namespaced and session.given_namespace:
        try:
            session.client.get(NAMESPACES.path(None, session.namespace))
        except StatusError as missing:
            return missing if missing.code == 404 else error
    return error


def _unlisted(error: StatusError, resource: Resource, options: Options) -> StatusError:
    """kubectl says which selectors a server could not make sense of."""
    if error.code != 400:
        return error
    group, _, version = resource.group_version.rpartition("/")
    selectors = f'label selector "{options.selector}", field selector "{options.field_selector}"'
    what = f'"{group}/{version}, Resource={resource.name}"'
    return StatusError(error.status, f"Unable to find {what} that match {selectors}")


def _say_nothing_found(session: Session, types: list[Resource], options: Options) -> None:
    if options.ignore_not_found:
        return
    if options.all_namespaces or not any(resource.namespaced for resource in types):
        complain("No resources found")
    else:
        complain(f"No resources found in {session.namespace} namespace.")


# Objects


def _objects(
    session: Session, types: list[Resource], names: list[tuple[Resource, str]], options: Options
) -> None:
    errors: list[StatusError] = []
    items: list[tuple[Resource, dict[str, Any]]] = []
    for resource in types:
        for page in _answers(session, resource, [], options, errors):
            items += [(resource, item) for item in page.get("items") or ()]
    for resource, name in names:
        items += [(resource, item) for item in _answers(session, resource, [name], options, errors)]
    if options.sort_by:
        items.sort(key=lambda pair: _sort_key(options.sort_by, pair[1]))
    objects = [_complete(resource, item, options) for resource, item in items]
    if options.output == "name":
        for resource, item in items:
            say(f"{resource.label}/{item['metadata']['name']}")
    elif len(names) == 1 and objects:
        printers.print_object(objects[0], options.output, headers=not options.no_headers)
    elif types or objects:
        listed = printers.as_list(objects)
        printers.print_object(listed, options.output, headers=not options.no_headers)
    raise_all(errors)


def _complete(resource: Resource, item: dict[str, Any], options: Options) -> dict[str, Any]:
    """An item of a list lacks kind and apiVersion."""
    item = {"apiVersion": resource.group_version, "kind": resource.kind, **item}
    hidden = not options.show_managed_fields and options.output in ("json", "yaml")
    return printers.hide_managed_fields(item) if hidden else item


def _sort_key(path: str, item: dict[str, Any]) -> tuple[int, Any]:
    """Numbers before texts, missing values first."""
    inner = path.strip("{}")
    values = jsonpath.find(inner if inner.startswith(".") else f".{inner}", item)
    if not values or values[0] is None:
        return (0, 0)
    value = values[0]
    return (1, value) if isinstance(value, int | float) else (2, jsonpath.text(value))


# Watching


def _watch(
    session: Session, types: list[Resource], names: list[tuple[Resource, str]], options: Options
) -> None:
    """The list, then its changes; ends when the server ends the watch or the user has seen enough."""
    if len(types) + len(names) != 1:
        raise CliError("you may only specify a single resource type")
    resource = types[0] if types else names[0][0]
    path = resource.path(_namespace(session, options))
    query = options.query()
    if names:
        query["fieldSelector"] = ",".join(
            filter(None, [f"metadata.name={names[0][1]}", options.field_selector])
        )
        session.client.get(resource.path(session.namespace, names[0][1]))  # NotFound, rather than silence
    printer = _printer(resource, options, several=False)
    page = session.client.get(path, query, accept=options.accept)
    if not options.watch_only:
        _print_page(resource, page, printer, options)
    query["resourceVersion"] = page["metadata"]["resourceVersion"]
    with contextlib.suppress(KeyboardInterrupt):
        for event in session.client.watch(path, query, accept=options.accept):
            _print_change(resource, event, printer, options)


def _print_page(
    resource: Resource, page: dict[str, Any], printer: printers.TablePrinter, options: Options
) -> None:
    if options.as_table and page.get("rows"):
        printer.print(page, "ADDED")
    for item in page.get("items") or ():
        _print_change(resource, {"type": "ADDED", "object": item}, printer, options)


def _print_change(
    resource: Resource, event: dict[str, Any], printer: printers.TablePrinter, options: Options
) -> None:
    item = event["object"]
    if event["type"] == "BOOKMARK":
        return
    if options.as_table:
        printer.print(item, event["type"])
        return
    item = _complete(resource, item, options)
    if options.output == "name":
        say(f"{resource.label}/{item['metadata']['name']}")
    elif options.output_watch_events:
        printers.print_object({"type": event["type"], "object": item}, options.output)
    else:
        printers.print_object(item, options.output)
    if options.output == "yaml":
        say("---")
