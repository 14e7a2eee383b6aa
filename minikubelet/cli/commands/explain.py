"""`explain`: what a kind and its fields are for, and which fields of a Pod this node honours.

The texts come from the agent's OpenAPI document, as kubectl's do, and are printed as kubectl prints them;
what becomes of a field of a Pod is added below, from the one table in `v1.support_table`. `--unsupported`
needs no agent.
"""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import resources
from minikubelet.cli.base import Session, command, say
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import Resource
from minikubelet.cli.tables import layout


class NoSuchType(CliError):
    """Told as kubectl tells it here: without `error:`."""

    def lines(self) -> list[str]:
        return [str(self)]


@command(
    "explain",
    examples="""
    # What a pod is, and its fields
    minikubelet explain pod
    # One field, and what this node makes of it
    minikubelet explain pod.spec.containers.livenessProbe
    minikubelet explain deployment.spec --recursive
    # Every field that is refused, or accepted without effect
    minikubelet explain --unsupported
    # Only those below a path
    minikubelet explain --unsupported pod.spec.volumes
    """,
)
@click.argument("path", required=False, default="", metavar="TYPE[.FIELD…]")
@click.option("--recursive", is_flag=True, help="All fields below, without their texts.")
@click.option("--api-version", default="", metavar="VERSION", help="E.g. apps/v1.")
@click.option("-o", "--output", default="plaintext", metavar="FORMAT", help="Only plaintext.")
@click.option("--unsupported", is_flag=True, help="The fields of a Pod this node does not honour.")
def explain_command(session: Session, path: str, unsupported: bool, **options: Any) -> None:
    """Say what a kind and its fields are for."""
    if unsupported:
        _print_unsupported(path)
        return
    if not path:
        raise UsageError(
            "You must specify the type of resource to explain. "
            'Use "kubectl api-resources" for a complete list of supported resources.'
        )
    if options["output"] != "plaintext":
        raise UsageError(f'unsupported output format "{options["output"]}": only plaintext is there')
    _explain(session, path, options["api_version"], recursive=options["recursive"])


def _explain(session: Session, path: str, version: str, *, recursive: bool) -> None:
    from minikubelet.cli.explaining import Document, NoSuchField

    client = session.client
    resource, fields = _split(session, path, version)
    place = f"apis/{resource.group_version}" if resource.group else f"api/{resource.group_version}"
    where, _, digest = client.get("/openapi/v3")["paths"][place]["serverRelativeURL"].partition("?hash=")
    document = Document(client.get(where, {"hash": digest}))
    version = resource.group_version.rpartition("/")[2]
    if resource.group:
        say(f"GROUP:      {resource.group}")
    say(f"KIND:       {resource.kind}\nVERSION:    {version}\n")
    schema = document.of_kind(resource.group, version, resource.kind)
    try:
        say(document.explain(schema, fields, recursive=recursive))
    except NoSuchField as error:
        raise CliError(f'field "{error}" does not exist') from None
    if resource.kind == "Pod" and fields:
        _say_support(".".join(fields))


def _split(session: Session, path: str, version: str) -> tuple[Resource, list[str]]:
    """`deployments.apps.spec` → the resource and [`spec`]."""
    words = path.rstrip(".").split(".")
    for resource in [*resources.KNOWN, *resources.discovered(session.client)]:
        if words[0].lower() not in (resource.name, resource.singular, *resource.short):
            continue
        if version and resource.group_version != version:
            continue
        group = resource.group.split(".") if resource.group else []
        named = bool(group) and words[1 : 1 + len(group)] == group
        return resource, words[1 + len(group) :] if named else words[1:]
    raise NoSuchType(f'the server doesn\'t have a resource type "{words[0]}"')


# Which fields this node honours.


def _say_support(path: str) -> None:
    """What becomes of one field of a Pod; of a field that holds others, what those have to say."""
    from minikubelet.v1.support import expand
    from minikubelet.v1.support_table import ALWAYS_FINE, RULES

    told = []
    for rule in RULES:
        if rule.when is ALWAYS_FINE:
            continue
        for field in (each.replace("[*]", "") for each in expand(rule.path)):
            if field == path or field.startswith(f"{path}.") or path.startswith(f"{field}."):
                told.append([f"  {field}", rule.state, rule.when.words, rule.reason])
    say("SUPPORT:")
    say("\n".join(layout(told)) if told else "    Honoured by this node.")
    say()


def _print_unsupported(path: str) -> None:
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
