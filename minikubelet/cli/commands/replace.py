"""`replace`: put whole objects in the place of those that are there; with --force delete them first."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import applying, targets, waiting
from minikubelet.cli.base import Session, command, duration, files_option, output_option, say
from minikubelet.cli.client import Client, warn
from minikubelet.cli.commands import apply
from minikubelet.cli.commands.apply import (
    DRY,
    create,
    dry_run_option,
    recursive_option,
    show,
    validate_option,
)
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.manifests import Manifested, objects_in

MANAGER = "kubectl-replace"


@dataclass(frozen=True, kw_only=True)
class Options(apply.Options):
    force: bool
    grace_period: int
    timeout: str
    subresource: str
    save_config: bool


@command(
    "replace",
    examples="""
    # The object as the file has it
    minikubelet replace -f web.yaml
    # What may not be changed in place: delete it and create it anew
    minikubelet replace --force -f web.yaml
    """,
)
@files_option(required=True)
@recursive_option
@dry_run_option
@validate_option
@click.option("--force", is_flag=True, help="Delete the objects, wait, and create them.")
@click.option("--grace-period", type=int, default=-1, metavar="SECONDS", help="With --force.")
@click.option("--timeout", default="0s", metavar="DURATION", help="With --force: how long to wait.")
@click.option("--subresource", default="", metavar="NAME", help="Replace this part only, e.g. status.")
@click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply.")
@output_option("yaml, json, name, jsonpath=…")
def replace_command(session: Session, **given: Any) -> None:
    """Replace objects by those of manifests."""
    options = Options(**given)
    if options.grace_period >= 0 and not options.force:
        raise UsageError("--grace-period must have --force specified")
    items = objects_in(session, options.files, recursive=options.recursive)
    if not items:
        raise CliError("no objects passed to replace")
    if options.force:
        if options.dry_run != "none":
            raise UsageError("--dry-run can not be used when --force is set")
        _delete(session.client, items, options)
    targets.each(items, lambda item: _replace(session.client, item, options))


def _replace(client: Client, item: Manifested, options: Options) -> None:
    data = applying.with_annotation(item.data) if options.save_config else item.data
    done = f"replaced{DRY.get(options.dry_run, '')}"
    if options.force:
        made = create(client, item, data, options, MANAGER)
        show(made, item, done, options.output)
        return
    path = item.target.resource.path(item.target.namespace, item.target.name, options.subresource)
    if options.dry_run == "client":
        show(data, item, done, options.output)
        return
    try:
        answer = client.request("PUT", path, options.query(MANAGER), body=data).json()
    except StatusError as error:
        raise StatusError(error.status, f'error when replacing "{item.source}"') from error
    show(answer, item, done, options.output)


def _delete(client: Client, items: list[Manifested], options: Options) -> None:
    """All of them, and wait until they are gone; one that is not there is none the worse."""
    grace = options.grace_period
    body = {"propagationPolicy": "Background"} | ({"gracePeriodSeconds": grace} if grace >= 0 else {})
    if grace == 0:
        from minikubelet.cli.commands.delete import FORCE_WARNING

        warn(FORCE_WARNING)
    seconds = duration(options.timeout)
    end = waiting.deadline(seconds) if seconds else None
    deleted = []
    for item in items:
        with contextlib.suppress(_NotThere):
            deleted.append((item.target, _delete_one(client, item, body)))
    targets.each(deleted, lambda pair: waiting.gone(client, pair[0], pair[1], end))


class _NotThere(Exception):
    """There is nothing to delete."""


def _delete_one(client: Client, item: Manifested, body: dict[str, Any]) -> str:
    """Its uid."""
    target = item.target
    try:
        uid = str(client.get(target.path)["metadata"].get("uid"))
        client.delete(target.path, body)
    except StatusError as error:
        if error.code == 404:
            raise _NotThere from error
        raise
    origin = f" from {target.namespace} namespace" if target.resource.namespaced else ""
    say(f'{target.resource.label} "{target.name}" deleted{origin}')
    return uid
