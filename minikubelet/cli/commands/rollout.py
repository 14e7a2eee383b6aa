"""`rollout`: status, history, undo, restart, pause and resume of a Deployment, in kubectl's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from minikubelet.cli import targets, waiting
from minikubelet.cli.base import Command, Session, command, duration, files_option, say, selector_option
from minikubelet.cli.errors import CliError, TimedOut, UsageError
from minikubelet.cli.history import REVISION, history, new_of, revision, template_of
from minikubelet.cli.resources import DEPLOYMENTS
from minikubelet.cli.tables import elastic
from minikubelet.cli.targets import Target

Object = dict[str, Any]

CHANGE_CAUSE = "kubernetes.io/change-cause"
# Of the ReplicaSet alone, or of the Deployment alone: not taken over by an undo.
OWN_ANNOTATIONS = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
}
JSON_PATCH = "application/json-patch+json"


class Rollout(Command, click.Group):
    """A command of commands."""


@command(
    "rollout",
    cls=Rollout,
    examples="""
    # Wait until all pods are new ones, and ready
    minikubelet rollout status deploy/web
    # Which templates there have been; back to the one before
    minikubelet rollout history deploy/web
    minikubelet rollout undo deploy/web
    """,
)
def rollout_command(session: Session) -> None:
    """Follow, pause, undo or repeat the rollout of a Deployment."""
    click.get_current_context().obj = session


def _arguments(function: Any) -> Any:
    for option in (
        files_option(),
        selector_option,
        click.argument("args", nargs=-1, metavar="TYPE NAME… | TYPE/NAME…"),
    ):
        function = option(function)
    return function


@command("status", examples="    minikubelet rollout status deploy/web --timeout=60s")
@_arguments
@click.option("-w", "--watch", is_flag=True, default=True, help="Until it is done (default).")
@click.option("--timeout", default="0s", metavar="DURATION", help="How long to wait; 0: for ever.")
@click.option("--revision", type=int, default=0, metavar="N", help="Fail when another one takes its place.")
def status_command(session: Session, args: tuple[str, ...], **options: Any) -> None:
    """Show how far a rollout is, until it is done."""
    limit = duration(options["timeout"])
    end = waiting.deadline(limit) if limit else None
    for target in _targets(session, args, options):
        session.client.get(target.path)  # what was never there has not been deleted
        last = ""

        def finished(item: Object | None, target: Target = target) -> bool:
            nonlocal last
            if item is None:
                raise CliError(f"object has been deleted: {target.resource.label}/{target.name}")
            text, done = progress(item, options["revision"])
            if text != last:
                say(text)
                last = text
            return done or not options["watch"]

        try:
            waiting.until(session.client, target, finished, end)
        except TimedOut:
            raise CliError("timed out waiting for the condition") from None


def progress(item: Object, wanted: int = 0) -> tuple[str, bool]:
    """What kubectl says of a Deployment, and whether its rollout is done. Raises CliError when it failed."""
    metadata, status = item["metadata"], item.get("status") or {}
    name, replicas = metadata["name"], item["spec"].get("replicas", 0)
    if wanted and (present := revision(item)) and present != wanted:
        raise CliError(f"desired revision ({wanted}) is different from the running revision ({present})")
    if metadata.get("generation", 0) > status.get("observedGeneration", 0):
        return "Waiting for deployment spec update to be observed...", False
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise CliError(f'deployment "{name}" exceeded its progress deadline')
    waits = f'Waiting for deployment "{name}" rollout to finish: '
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < replicas:
        return f"{waits}{updated} out of {replicas} new replicas have been updated...", False
    if status.get("replicas", 0) > updated:
        left = status["replicas"] - updated
        return f"{waits}{left} old replicas are pending termination...", False
    if available < updated:
        return f"{waits}{available} of {updated} updated replicas are available...", False
    return f'deployment "{name}" successfully rolled out', True


@command(
    "history",
    examples="""
    minikubelet rollout history deploy/web
    minikubelet rollout history deploy/web --revision=2
    """,
)
@_arguments
@click.option("--revision", "wanted", type=int, default=0, metavar="N", help="The template of this one.")
def history_command(session: Session, args: tuple[str, ...], wanted: int, **options: Any) -> None:
    """Show which templates a Deployment has had."""
    from minikubelet.cli.describe.template import describe_template
    from minikubelet.cli.describe.writer import Writer

    for target in _targets(session, args, options):
        sets = history(session.client, session.client.get(target.path))
        if not wanted:
            causes = [(one["metadata"].get("annotations") or {}).get(CHANGE_CAUSE) for one in sets]
            rows = [f"{revision(one)}\t{cause or '<none>'}" for one, cause in zip(sets, causes, strict=True)]
            say(f"{target} ")
            say("\n".join(elastic(["REVISION\tCHANGE-CAUSE", *rows])) + "\n")
            continue
        found = next((one for one in sets if revision(one) == wanted), None)
        if found is None:
            raise CliError(f"unable to find the specified revision {wanted} in history")
        writer = Writer()
        describe_template(writer, found["spec"]["template"])
        # kubectl leaves the tabs as they are here.
        lines = [line for block in writer.blocks for line in block]
        say("\n".join([f"{target} with revision #{wanted}", *lines]) + "\n")


@command(
    "undo",
    examples="""
    minikubelet rollout undo deploy/web
    minikubelet rollout undo deploy/web --to-revision=3
    """,
)
@_arguments
@click.option("--to-revision", type=int, default=0, metavar="N", help="0: the one before the present one.")
def undo_command(session: Session, args: tuple[str, ...], to_revision: int, **options: Any) -> None:
    """Go back to a former template."""

    def undo(target: Target) -> None:
        item = session.client.get(target.path)
        if item["spec"].get("paused"):
            again = f"minikubelet rollout resume {target.resource.singular}/{target.name}"
            raise CliError(
                f"you cannot rollback a paused deployment; resume it first with '{again}' and try again"
            )
        old = _former(session, item, to_revision)
        if template_of(old) == template_of(item):
            said = f"skipped rollback (current template already matches revision {revision(old)})"
            say(f"{target} {said}")
            return
        own, taken = (one["metadata"].get("annotations") or {} for one in (item, old))
        annotations = {key: value for key, value in own.items() if key in OWN_ANNOTATIONS}
        annotations |= {key: value for key, value in taken.items() if key not in OWN_ANNOTATIONS}
        patch = [
            {"op": "replace", "path": "/spec/template", "value": template_of(old)},
            {"op": "replace", "path": "/metadata/annotations", "value": annotations},
        ]
        session.client.request(
            "PATCH", target.path, {"fieldManager": "kubectl-rollout"}, body=patch, content_type=JSON_PATCH
        ).json()
        say(f"{target} rolled back")

    targets.each(_targets(session, args, options), undo)


def _former(session: Session, item: Object, wanted: int) -> Object:
    sets = history(session.client, item)
    if wanted:
        found = next((one for one in sets if revision(one) == wanted), None)
        if found is None:
            raise CliError(f"unable to find specified revision {wanted} in history")
        return found
    new = new_of(item, sets)
    others = [one for one in sets if one is not new and revision(one)]
    if not others:
        raise CliError(f'no rollout history found for deployment "{item["metadata"]["name"]}"')
    return others[-1]


@command("restart", examples="    minikubelet rollout restart deploy/web")
@_arguments
def restart_command(session: Session, args: tuple[str, ...], **options: Any) -> None:
    """Replace all pods by new ones of the same template."""

    def restart(target: Target, item: Object) -> str:
        if item["spec"].get("paused"):
            raise CliError("can't restart paused deployment (run rollout resume first)")
        now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        annotations = {"kubectl.kubernetes.io/restartedAt": now}
        _patch(session, target, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
        return "restarted"

    _change(session, args, options, restart)


@command("pause", examples="    minikubelet rollout pause deploy/web")
@_arguments
def pause_command(session: Session, args: tuple[str, ...], **options: Any) -> None:
    """Let changes of the template wait."""

    def pause(target: Target, item: Object) -> str:
        if item["spec"].get("paused"):
            raise CliError(f'{target.resource.qualified} "{target.name}" is already paused')
        _patch(session, target, {"spec": {"paused": True}})
        return "paused"

    _change(session, args, options, pause)


@command("resume", examples="    minikubelet rollout resume deploy/web")
@_arguments
def resume_command(session: Session, args: tuple[str, ...], **options: Any) -> None:
    """Go on with what has waited."""

    def resume(target: Target, item: Object) -> str:
        if not item["spec"].get("paused"):
            raise CliError(f'{target.resource.qualified} "{target.name}" is not paused')
        _patch(session, target, {"spec": {"paused": None}})
        return "resumed"

    _change(session, args, options, resume)


def _change(session: Session, args: tuple[str, ...], options: Object, change: Any) -> None:
    def one(target: Target) -> None:
        done = change(target, session.client.get(target.path))
        say(f"{target} {done}")

    targets.each(_targets(session, args, options), one)


def _patch(session: Session, target: Target, patch: Object) -> None:
    session.client.patch(target.path, patch, {"fieldManager": "kubectl-rollout"})


def _targets(session: Session, args: tuple[str, ...], options: Object) -> list[Target]:
    """Only Deployments have rollouts here."""
    if options["files"]:
        from minikubelet.cli.manifests import targets_in

        found = targets_in(session, options["files"])
    elif not args:
        raise UsageError("required resource not specified")
    elif options["selector"]:
        items = targets.select(
            session.client, session.namespace, args, selector=options["selector"], every=False
        )
        found = [targets.of_object(session.client, item, session.namespace) for item in items]
    else:
        found = targets.named(session.client, session.namespace, args)
    for target in found:
        if target.resource != DEPLOYMENTS:
            group_version, kind = target.resource.group_version, target.resource.kind
            raise CliError(f"no rollout has been implemented for {group_version}, Kind={kind}")
    return found


for _command in (
    status_command,
    history_command,
    undo_command,
    restart_command,
    pause_command,
    resume_command,
):
    rollout_command.add_command(_command)  # type: ignore[attr-defined]
