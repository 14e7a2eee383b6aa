"""`apply`: make the objects of a manifest be as it says, creating or changing them.

Every document is a request of its own, as with kubectl: what one of them is refused for does not keep the
others from being applied, and all refusals are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import applying, printers, targets
from minikubelet.cli.base import Session, command, files_option, output_option, say
from minikubelet.cli.client import Client, warn
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.manifests import Manifested, objects_in

MANAGER = "kubectl-client-side-apply"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
CONFLICT_ADVICE = """\
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"""
DRY = {"client": " (dry run)", "server": " (server dry run)"}


@dataclass(frozen=True)
class Options:
    files: tuple[str, ...]
    recursive: bool
    dry_run: str
    validate: str
    output: str
    server_side: bool = False
    force_conflicts: bool = False
    field_manager: str = ""

    def query(self, manager: str) -> dict[str, Any]:
        return {
            "fieldManager": self.field_manager or manager,
            "fieldValidation": VALIDATION[self.validate],
            "dryRun": "All" if self.dry_run == "server" else None,
        }


VALIDATION = {"strict": "Strict", "true": "Strict", "warn": "Warn", "ignore": "Ignore", "false": "Ignore"}
validate_option = click.option(
    "--validate",
    type=click.Choice(list(VALIDATION)),
    default="strict",
    show_default=True,
    help="What to do about unknown fields.",
)
dry_run_option = click.option(
    "--dry-run",
    type=click.Choice(["none", "client", "server"]),
    default="none",
    help="server: check everything, change nothing.",
)
recursive_option = click.option("-R", "--recursive", is_flag=True, help="With -f DIR: below it as well.")


@command(
    "apply",
    examples="""
    # Create what is new, change what is different
    minikubelet apply -f web.yaml
    # Every manifest of a directory; from stdin
    minikubelet apply -f examples/
    cat web.yaml | minikubelet apply -f -
    # Only check
    minikubelet apply -f web.yaml --dry-run=server
    # Let the agent merge, and keep account of who owns which field
    minikubelet apply -f web.yaml --server-side --force-conflicts
    """,
)
@files_option(required=True)
@recursive_option
@dry_run_option
@validate_option
@click.option("--server-side", is_flag=True, help="The agent merges, by the owners of fields.")
@click.option("--force-conflicts", is_flag=True, help="With --server-side: take fields from other owners.")
@click.option("--field-manager", default="", metavar="NAME", help="The owner of the fields that are set.")
@output_option("yaml, json, name, jsonpath=…")
def apply_command(session: Session, **given: Any) -> None:
    """Create or change objects from manifests."""
    options = Options(**given)
    printers.check_format(options.output)
    if options.force_conflicts and not options.server_side:
        raise UsageError("--force-conflicts only works with --server-side")
    if options.server_side and options.dry_run == "client":
        raise UsageError(
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"
        )
    items = objects_in(session, options.files, recursive=options.recursive)
    if not items:
        raise CliError("no objects passed to apply")
    one = _apply_on_server if options.server_side else _apply_one
    targets.each(items, lambda item: one(session.client, item, options))


def _apply_one(client: Client, item: Manifested, options: Options) -> None:
    result, verb = apply(client, item, options)
    show(result, item, f"{verb}{DRY.get(options.dry_run, '')}", options.output)


def _apply_on_server(client: Client, item: Manifested, options: Options) -> None:
    """One PATCH; the agent creates what is not there."""
    query = options.query("kubectl") | {"force": options.force_conflicts}
    try:
        request = client.request("PATCH", item.target.path, query, body=item.data, content_type=APPLY_PATCH)
        result = request.json()
    except StatusError as error:
        if error.reason == "Conflict":
            raise CliError(f"{error}\n{CONFLICT_ADVICE}") from error
        raise
    show(result, item, f"serverside-applied{DRY.get(options.dry_run, '')}", options.output)


def apply(client: Client, item: Manifested, options: Options) -> tuple[dict[str, Any], str]:
    """The object afterwards, and created, configured or unchanged."""
    if not item.target.name:
        raise CliError(_nameless(item))
    wanted = applying.with_annotation(item.data)
    query = options.query(MANAGER)
    try:
        current = client.get(item.target.path)
    except StatusError as error:
        if error.code != 404:
            raise
        return create(client, item, wanted, options, MANAGER), "created"
    if applying.last_applied(current) is None:
        warn(_missing_annotation(item))
    patch = applying.patch(wanted, current)
    if not patch:
        return current, "unchanged"
    if options.dry_run == "client":
        return current, "configured"
    try:
        result = client.patch(item.target.path, patch, query)
    except StatusError as error:
        raise StatusError(error.status, f'error when patching "{item.source}"') from error
    # Defaults inside of lists without merge keys look like a difference until the API has filled them in
    # again.
    same = result["metadata"].get("resourceVersion") == current["metadata"].get("resourceVersion")
    return result, "unchanged" if same and not query["dryRun"] else "configured"


def create(
    client: Client, item: Manifested, data: dict[str, Any], options: Options, manager: str
) -> dict[str, Any]:
    """POST one object; the object as the API made it."""
    if options.dry_run == "client":
        return data
    path = item.target.resource.path(item.target.namespace)
    try:
        created: dict[str, Any] = client.post(path, data, options.query(manager))
    except StatusError as error:
        raise StatusError(error.status, f'error when creating "{item.source}"') from error
    return created


def show(result: dict[str, Any], item: Manifested, done: str, output: str) -> None:
    """`pod/web created`, or the object in the format asked for."""
    name = f"{item.target.resource.label}/{result['metadata'].get('name', item.target.name)}"
    if not output:
        say(f"{name} {done}")
    elif output == "name":
        say(name)
    else:
        printers.print_object(printers.hide_managed_fields(result), output)


def _nameless(item: Manifested) -> str:
    if item.data["metadata"].get("generateName"):
        return f"from {item.data['metadata']['generateName']}: cannot use generate name with apply"
    return f'cannot apply an object of "{item.source}": resource name may not be empty'


def _missing_annotation(item: Manifested) -> str:
    return (
        f"resource {item.target.resource.qualified}/{item.target.name} is missing the {applying.ANNOTATION} "
        "annotation which is required by apply. apply should only be used on resources created declaratively "
        "by either create --save-config or apply. The missing annotation will be patched automatically."
    )
