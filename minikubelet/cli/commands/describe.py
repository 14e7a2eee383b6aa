"""`describe`: one object in full, with its Events."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import targets
from minikubelet.cli.base import Session, command, complain, files_option, selector_option
from minikubelet.cli.client import Client
from minikubelet.cli.errors import CliError, StatusError, UsageError, raise_all
from minikubelet.cli.targets import Target


@command(
    "describe",
    examples="""
    # A pod, with its containers' states and its Events
    minikubelet describe pod web
    # Every pod with a label; every pod whose name begins with web
    minikubelet describe pods -l app=web
    minikubelet describe pod web
    # The node, with what its pods have asked for
    minikubelet describe node
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE [NAME…] | TYPE/NAME…")
@selector_option
@files_option()
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@click.option("--show-events/--no-events", default=True, help="Events about the object (default).")
def describe_command(session: Session, args: tuple[str, ...], **options: Any) -> None:
    """Show objects in detail, with their Events."""
    client = session.client
    errors: list[CliError] = []
    guessed: list[dict[str, Any]] = []
    for at, item in enumerate(_items(session, args, options, errors, guessed)):
        if at:
            print("\n")
        print(describe(client, item, show_events=options["show_events"]))
        if item in guessed:
            print()
    raise_all(errors)


def describe(client: Client, item: dict[str, Any], *, show_events: bool = True) -> str:
    """The description of any object."""
    if item["kind"] == "Pod":
        from minikubelet.cli.describe.pod import describe_pod

        return describe_pod(client, item, show_events=show_events)
    if item["kind"] == "Node":
        from minikubelet.cli.describe.node import describe_node

        return describe_node(client, item, show_events=show_events)
    if item["kind"] in ("Deployment", "ReplicaSet", "Job"):
        from minikubelet.cli.describe.workloads import describe_workload

        return describe_workload(client, item, show_events=show_events)
    if item["kind"] in ("Service", "Endpoints", "EndpointSlice"):
        from minikubelet.cli.describe.network import describe_network

        return describe_network(client, item, show_events=show_events)
    from minikubelet.cli.describe.others import describe_other

    return describe_other(client, item, show_events=show_events)


def _items(
    session: Session,
    args: tuple[str, ...],
    options: dict[str, Any],
    errors: list[CliError],
    guessed: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The objects meant; `guessed` gets those that only begin as they were called."""
    client = session.client
    if options["files"]:
        from minikubelet.cli.manifests import targets_in

        return targets.fetch(client, targets_in(session, options["files"]))
    if not args:
        raise UsageError(
            "You must specify the type of resource to describe. "
            'Use "kubectl api-resources" for a complete list of supported resources.'
        )
    types, names = targets.parse(client, args)
    scope = None if options["all_namespaces"] else session.namespace
    found: list[dict[str, Any]] = []
    for resource in types:
        listed = {"apiVersion": resource.group_version, "kind": resource.kind}
        query = {"labelSelector": options["selector"] or None}
        for page in targets.pages(client, resource.path(scope), query):
            found += [{**listed, **item} for item in page["items"]]
    for resource, name in names:
        found += _named(client, Target(resource, session.namespace, name), errors, guessed)
    if types and not found:
        complain(f"No resources found in {session.namespace} namespace." if scope else "No resources found")
    return found


def _named(
    client: Client, target: Target, errors: list[CliError], guessed: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The object, or else all whose names begin like that: kubectl's way with describe."""
    try:
        return [client.get(target.path)]
    except StatusError as error:
        if error.code != 404:
            raise
        listed = {"apiVersion": target.resource.group_version, "kind": target.resource.kind}
        similar = [
            {**listed, **item}
            for page in targets.pages(client, target.resource.path(target.namespace), {})
            for item in page["items"]
            if item["metadata"]["name"].startswith(target.name)
        ]
        if not similar:
            errors.append(error)
        guessed += similar
        return similar
