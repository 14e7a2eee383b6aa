"""`patch`: change some fields of an object, by any of the API's three kinds of patch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from minikubelet.cli import printers, targets
from minikubelet.cli.base import Session, command, files_option, output_option, say
from minikubelet.cli.client import Client
from minikubelet.cli.commands.apply import dry_run_option
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.targets import Target

TYPES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


@dataclass(frozen=True)
class Options:
    files: tuple[str, ...]
    patch: str
    patch_file: str
    kind: str
    subresource: str
    dry_run: str
    output: str


@command(
    "patch",
    examples="""
    # Merge: maps by key, containers by name
    minikubelet patch pod web -p '{"spec":{"containers":[{"name":"main","image":"localhost/other"}]}}'
    # A JSON patch: one operation after another
    minikubelet patch pod web --type=json -p '[{"op":"remove","path":"/metadata/labels/tier"}]'
    # The resources of a pod that runs
    minikubelet patch pod web --subresource=resize -p '{"spec":{"containers":[{"name":"main",\
"resources":{"limits":{"cpu":"200m"}}}]}}'
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE NAME | TYPE/NAME")
@files_option()
@click.option("-p", "--patch", default="", metavar="PATCH", help="JSON or YAML.")
@click.option("--patch-file", default="", metavar="FILE", help="A file with the patch.")
@click.option("--type", "kind", type=click.Choice(list(TYPES)), default="strategic", show_default=True)
@click.option("--subresource", default="", metavar="NAME", help="E.g. status, resize.")
@dry_run_option
@output_option("yaml, json, name, jsonpath=…")
def patch_command(session: Session, args: tuple[str, ...], **given: Any) -> None:
    """Change fields of an object."""
    options = Options(**given)
    printers.check_format(options.output)
    if not options.patch and not options.patch_file:
        raise UsageError("must specify --patch or --patch-file containing the contents of the patch")
    patch = _read(options)
    if options.files:
        from minikubelet.cli.manifests import targets_in

        found = targets_in(session, options.files)
    else:
        found = targets.named(session.client, session.namespace, args)
    targets.each(found, lambda target: _patch(session.client, target, patch, options))


def _read(options: Options) -> Any:
    """The patch as data; JSON is YAML."""
    import yaml

    text = Path(options.patch_file).read_text() if options.patch_file else options.patch
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line}: {error.problem}" if mark else error  # type: ignore[attr-defined]
        raise CliError(f'unable to parse "{text}": yaml: {where}') from error


def _patch(client: Client, target: Target, patch: Any, options: Options) -> None:
    path = target.resource.path(target.namespace, target.name, options.subresource)
    before = client.get(path)
    query = {"fieldManager": "kubectl-patch", "dryRun": "All" if options.dry_run == "server" else None}
    after = before
    if options.dry_run != "client":
        request = client.request("PATCH", path, query, body=patch, content_type=TYPES[options.kind])
        after = request.json()
    if options.output == "name":
        say(str(target))
    elif options.output:
        printers.print_object(printers.hide_managed_fields(after), options.output)
    else:
        same = before["metadata"].get("resourceVersion") == after["metadata"].get("resourceVersion")
        unchanged = " (no change)" if same and options.dry_run == "none" else ""
        say(f"{target} patched{unchanged}")  # stock: nothing of a dry run
