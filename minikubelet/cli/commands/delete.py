"""`delete`: ask for the deletion of objects, and wait until they are gone.

`--grace-period`, `--now` and `--force` combine as kubectl's do: 0 without --force means 1, --force without a
period means 0, --now means 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import printers, resources, targets, waiting
from minikubelet.cli.base import Session, command, duration, files_option, output_option, say, selector_option
from minikubelet.cli.client import Client, warn
from minikubelet.cli.errors import StatusError, UsageError
from minikubelet.cli.targets import Target

FORCE_WARNING = (
    "Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)


@dataclass(frozen=True)
class Options:
    files: tuple[str, ...]
    selector: str
    field_selector: str
    every: bool
    all_namespaces: bool
    grace_period: int
    force: bool
    now: bool
    wait: bool
    timeout: str
    ignore_not_found: bool
    cascade: str
    dry_run: str
    output: str

    def body(self) -> dict[str, Any]:
        """DeleteOptions. DELETE carries its dry run in the body."""
        body: dict[str, Any] = {"propagationPolicy": self.cascade.capitalize()}
        period = 1 if self.now or (self.grace_period == 0 and not self.force) else self.grace_period
        if self.force and period < 0:
            period = 0
        if period >= 0:
            body["gracePeriodSeconds"] = period
        if self.dry_run == "server":
            body["dryRun"] = ["All"]
        return body


@command(
    "delete",
    examples="""
    # One pod, with the grace period of its spec
    minikubelet delete pod web
    # What a manifest names
    minikubelet delete -f web.yaml
    # By label; all of a namespace
    minikubelet delete pods -l app=web
    minikubelet delete pods --all
    # At once
    minikubelet delete pod web --grace-period=0 --force
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE NAME… | TYPE/NAME…")
@files_option()
@selector_option
@click.option("--field-selector", default="", metavar="QUERY", help="E.g. status.phase=Failed.")
@click.option("--all", "every", is_flag=True, help="All objects of the type in the namespace.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@click.option("--grace-period", type=int, default=-1, metavar="SECONDS", help="Instead of the pod's own.")
@click.option("--force", is_flag=True, help="Remove from the API at once; grace period 0.")
@click.option("--now", is_flag=True, help="Grace period 1.")
@click.option("--wait/--no-wait", default=True, help="Wait until the objects are gone (default).")
@click.option("--timeout", default="0s", metavar="DURATION", help="How long to wait; 0: as long as it takes.")
@click.option("--ignore-not-found", is_flag=True, help="A missing object is no error.")
@click.option(
    "--cascade",
    type=click.Choice(["background", "foreground", "orphan"]),
    default="background",
    show_default=True,
    help="What becomes of what belongs to the objects: goes after them, before them, or stays.",
)
@click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none")
@output_option("name")
def delete_command(session: Session, args: tuple[str, ...], **given: Any) -> None:
    """Delete objects."""
    options = Options(**given)
    _check(args, options)
    client = session.client
    found = _found(session, args, options)
    deleted: list[tuple[Target, str]] = []

    def delete(target: Target) -> None:
        uid = _delete(client, target, options)
        if uid is not None:
            deleted.append((target, uid))

    if options.force and found and options.dry_run == "none":
        warn(FORCE_WARNING)
    if not found and not options.files:
        say("No resources found")
    targets.each(found, delete)
    if options.wait and options.dry_run == "none" and not options.force:
        seconds = duration(options.timeout)
        end = waiting.deadline(seconds) if seconds else None
        targets.each(deleted, lambda pair: waiting.gone(client, pair[0], pair[1], end))


def _check(args: tuple[str, ...], options: Options) -> None:
    if options.now and options.grace_period >= 0:
        raise UsageError("--now and --grace-period cannot be specified together")
    if options.force and options.grace_period > 0:
        raise UsageError("--force and --grace-period greater than 0 cannot be specified together")
    if options.every and (options.selector or options.field_selector):
        raise UsageError("setting 'all' parameter but found a non empty selector. ")
    if options.files and (args or options.selector or options.every):
        raise UsageError("when -f is given, no other objects may be named")
    if not options.files and not args:
        raise UsageError("you must provide one or more resources by argument or filename")
    if options.output not in ("", "name"):
        raise UsageError(f"unexpected -o output mode: {options.output}. We only support '-o name'")
    printers.check_format(options.output)


def _found(session: Session, args: tuple[str, ...], options: Options) -> list[Target]:
    client = session.client
    if options.files:
        from minikubelet.cli.manifests import targets_in

        return targets_in(session, options.files)
    if not (options.selector or options.field_selector or options.every):
        return targets.named(client, session.namespace, args)
    if len(args) != 1 or "/" in args[0]:
        raise UsageError("name cannot be provided when a selector is specified")
    scope = None if options.all_namespaces else session.namespace
    found = []
    query = {"labelSelector": options.selector or None, "fieldSelector": options.field_selector or None}
    for resource in resources.find_all(client, args[0]):
        for page in targets.pages(client, resource.path(scope), query):
            for item in page["items"]:
                metadata = item["metadata"]
                found.append(Target(resource, metadata.get("namespace") or "", metadata["name"]))
    return found


def _delete(client: Client, target: Target, options: Options) -> str | None:
    """Ask for one deletion; the uid of what was deleted, None when it was not there and need not be."""
    listed = options.every or options.selector or options.field_selector
    try:
        before = client.get(target.path)
        if options.dry_run != "client":
            client.delete(target.path, options.body())
    except StatusError as error:
        if error.code == 404 and (options.ignore_not_found or listed):
            return None
        error.doing = f'error when deleting "{",".join(options.files)}"' if options.files else ""
        raise
    _say_deleted(target, options)
    return str(before["metadata"].get("uid"))


def _say_deleted(target: Target, options: Options) -> None:
    if options.output == "name":
        say(str(target))
        return
    verb = "force deleted" if options.force else "deleted"
    origin = f" from {target.namespace} namespace" if target.resource.namespaced else ""
    dry = {"client": " (dry run)", "server": " (server dry run)"}.get(options.dry_run, "")
    say(f'{target.resource.label} "{target.name}" {verb}{origin}{dry}')
