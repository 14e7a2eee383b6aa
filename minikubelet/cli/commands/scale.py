"""`scale`: how many pods a Deployment or ReplicaSet has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from minikubelet.cli import targets
from minikubelet.cli.base import Session, command, files_option, say, selector_option
from minikubelet.cli.errors import CliError, StatusError, UsageError, raise_all
from minikubelet.cli.targets import Target

NEEDED = "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"


@command(
    "scale",
    examples="""
    # Three pods
    minikubelet scale deploy/web --replicas=3
    # Only if nobody else has changed it meanwhile
    minikubelet scale deploy/web --replicas=3 --current-replicas=2
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE NAME… | TYPE/NAME…")
@click.option("--replicas", type=int, metavar="COUNT", help="How many pods there shall be.")
@click.option("--current-replicas", type=int, default=-1, metavar="COUNT", help="How many there must be now.")
@click.option("--resource-version", default="", metavar="VERSION", help="Which the object must have now.")
@click.option("--all", "every", is_flag=True, help="All objects of the type in the namespace.")
@selector_option
@files_option()
def scale_command(session: Session, args: tuple[str, ...], replicas: int | None, **options: Any) -> None:
    """Change how many pods a Deployment or ReplicaSet has."""
    if replicas is None:
        raise CliError('required flag(s) "replicas" not set')
    if replicas < 0:
        raise CliError(NEEDED)
    found, missing = _found(session, _targets(session, args, options))
    if not found:
        raise CliError(f"no objects passed to scale {_all_of(missing)}".rstrip())

    def scale(target: Target) -> None:
        path = target.resource.path(target.namespace, target.name, "scale")
        body: dict[str, Any] = {"spec": {"replicas": replicas}}
        version, current = options["resource_version"], options["current_replicas"]
        if version or current >= 0:
            seen = session.client.get(path)
            _check(seen, current, version)
            body["metadata"] = {"resourceVersion": seen["metadata"]["resourceVersion"]}
        session.client.patch(path, body, {"fieldManager": "kubectl-scale"})
        say(f"{target} scaled")

    targets.each(found, scale)
    raise_all(missing)


def _targets(session: Session, args: tuple[str, ...], options: dict[str, Any]) -> list[Target]:
    if options["files"]:
        from minikubelet.cli.manifests import targets_in

        return targets_in(session, options["files"])
    if not args:
        raise UsageError("You must specify the type of resource to scale")
    if options["selector"] or options["every"]:
        items = targets.select(
            session.client, session.namespace, args, selector=options["selector"], every=options["every"]
        )
        return [targets.of_object(session.client, item, session.namespace) for item in items]
    return targets.named(session.client, session.namespace, args)


def _found(session: Session, wanted: Iterable[Target]) -> tuple[list[Target], list[StatusError]]:
    """As kubectl, which reads all of them before it scales one, and says at the end what it did not find."""
    found, missing = [], []
    for target in wanted:
        try:
            session.client.get(target.path)
            found.append(target)
        except StatusError as error:
            missing.append(error)
    return found, missing


def _all_of(errors: Sequence[StatusError]) -> str:
    """As Go prints one error, or several."""
    texts = ", ".join(str(error) for error in errors)
    return f"[{texts}]" if len(errors) > 1 else texts


def _check(scale: dict[str, Any], current: int, version: str) -> None:
    """kubectl's preconditions, in its words."""
    have, revision = scale["spec"].get("replicas", 0), scale["metadata"]["resourceVersion"]
    if current >= 0 and have != current:
        raise CliError(f"Expected replicas to be {current}, was {have}")
    if version and revision != version:
        raise CliError(f"Expected resource version to be {version}, was {revision}")
