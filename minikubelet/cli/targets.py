"""Which objects a command is about (`TYPE NAME…`, `TYPE/NAME…`, `TYPE -l …`): kubectl's resource builder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from minikubelet.cli import resources
from minikubelet.cli.client import Client
from minikubelet.cli.errors import AgentUnreachable, CliError, StatusError, UsageError, raise_all
from minikubelet.cli.resources import Resource

PAGE = 500


class Target(NamedTuple):
    """One object, by name."""

    resource: Resource
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace, self.name)

    def __str__(self) -> str:
        """`pod/web`, as in `pod/web created`."""
        return f"{self.resource.label}/{self.name}"


def parse(client: Client, args: Sequence[str]) -> tuple[list[Resource], list[tuple[Resource, str]]]:
    """(types without names, named objects); one of the two is empty."""
    if not args:
        raise UsageError("Required resource not specified: TYPE, TYPE NAME or TYPE/NAME, such as pod/web")
    if any("/" in arg for arg in args):
        return [], [_slashed(client, arg) for arg in args]
    types = resources.find_all(client, args[0])
    if len(args) == 1:
        return types, []
    return [], [(resource, name) for name in args[1:] for resource in types]


def named(client: Client, namespace: str, args: Sequence[str]) -> list[Target]:
    """The objects named; types alone are an error."""
    types, names = parse(client, args)
    if types:
        raise UsageError("resource(s) were provided, but no name was specified")
    return [Target(resource, namespace, name) for resource, name in names]


def select(
    client: Client,
    namespace: str | None,
    args: Sequence[str],
    *,
    selector: str,
    every: bool,
    field_selector: str = "",
) -> list[dict[str, Any]]:
    """The objects of commands that change many: named, by -l, or by --all."""
    types, names = parse(client, args)
    if names and (selector or every):
        raise UsageError("name cannot be provided when a selector is specified")
    if names:
        return fetch(client, [Target(resource, namespace or "default", name) for resource, name in names])
    if not (selector or every or field_selector):
        raise UsageError("resource(s) were provided, but no name was specified")
    query = {"labelSelector": selector or None, "fieldSelector": field_selector or None}
    found: list[dict[str, Any]] = []
    for resource in types:
        for page in pages(client, resource.path(namespace), query):
            listed = {"apiVersion": resource.group_version, "kind": resource.kind}
            found += [{**listed, **item} for item in page.get("items") or ()]
    return found


def pages(client: Client, path: str, query: dict[str, Any], **request: Any) -> Iterable[dict[str, Any]]:
    """Every page of a list."""
    query = {"limit": PAGE, **query}
    while True:
        page = client.get(path, query, **request)
        yield page
        token = (page.get("metadata") or {}).get("continue")
        if not token:
            return
        query = {**query, "continue": token}


def fetch(client: Client, targets: Iterable[Target]) -> list[dict[str, Any]]:
    """The objects, all of them or an error that names every missing one."""
    found, errors = [], []
    for target in targets:
        try:
            found.append(client.get(target.path))
        except StatusError as error:
            errors.append(error)
    raise_all(errors)
    return found


def of_object(client: Client, item: dict[str, Any], namespace: str = "default") -> Target:
    """The target an object in hand is."""
    resource = resources.of_kind(client, item.get("apiVersion", "v1"), item.get("kind", ""))
    metadata = item.get("metadata") or {}
    return Target(resource, metadata.get("namespace") or namespace, metadata.get("name") or "")


def each(items: Iterable[Any], act: Callable[[Any], None]) -> None:
    """Do it to all, go on after a failure, and report every failure at the end: kubectl's ContinueOnError."""
    errors: list[CliError] = []
    for item in items:
        try:
            act(item)
        except AgentUnreachable:
            raise
        except CliError as error:
            errors.append(error)
    raise_all(errors)


def _slashed(client: Client, arg: str) -> tuple[Resource, str]:
    kind, slash, name = arg.partition("/")
    if not slash:
        raise UsageError(
            "there is no need to specify a resource type as a separate argument when passing arguments in "
            "resource/name form (e.g. 'minikubelet get resource/<resource_name>')"
        )
    if not kind or not name or "/" in name:
        raise UsageError("arguments in resource/name form must have a single resource and name")
    return resources.find(client, kind), name
