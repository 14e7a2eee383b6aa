"""`diff`: what `apply` would change, as diff(1) tells it. Exit code 0: nothing, 1: something, 2: an error."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from minikubelet.cli import applying, printers, targets
from minikubelet.cli.base import Session, command, files_option
from minikubelet.cli.client import Client
from minikubelet.cli.commands.apply import MANAGER, recursive_option
from minikubelet.cli.errors import CliError, Exit, StatusError
from minikubelet.cli.manifests import Manifested, objects_in

EXTERNAL = "KUBECTL_EXTERNAL_DIFF"


@command(
    "diff",
    examples="""
    # What is different in the agent from what the file says
    minikubelet diff -f web.yaml
    # With another program
    KUBECTL_EXTERNAL_DIFF="diff -y" minikubelet diff -f web.yaml
    """,
)
@files_option(required=True)
@recursive_option
def diff_command(session: Session, files: tuple[str, ...], recursive: bool) -> int:
    """Show what apply would change."""
    try:
        return _compare(session, objects_in(session, files, recursive=recursive))
    except CliError as error:
        error.exit_code = 2  # 1 says that something differs
        raise


def _compare(session: Session, items: list[Manifested]) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="LIVE-") as live,
        tempfile.TemporaryDirectory(prefix="MERGED-") as merged,
    ):
        targets.each(items, lambda item: _write(session.client, item, Path(live), Path(merged)))
        program = shlex.split(os.environ.get(EXTERNAL) or "diff -u -N")
        try:
            done = subprocess.run([*program, live, merged], check=False)
        except OSError as error:
            raise CliError(f"failed to run {program[0]!r}: {error.strerror}") from error
    if done.returncode:
        raise Exit(done.returncode)
    return 0


def _write(client: Client, item: Manifested, live: Path, merged: Path) -> None:
    """The object as it is and as it would be, side by side under one name."""
    target = item.target
    group = target.resource.group_version.replace("/", ".")
    name = f"{group}.{target.resource.kind}.{target.namespace}.{target.name}"
    wanted = applying.with_annotation(item.data)
    query = {"fieldManager": MANAGER, "dryRun": "All"}
    try:
        current = client.get(target.path)
    except StatusError as error:
        if error.code != 404:
            raise
        after = client.post(target.resource.path(target.namespace), wanted, query)
    else:
        patch = applying.patch(wanted, current)
        after = client.patch(target.path, patch, query) if patch else current
        (live / name).write_text(_shown(target.resource.kind, current))
    (merged / name).write_text(_shown(target.resource.kind, after))


def _shown(kind: str, item: dict[str, Any]) -> str:
    """Without what is noise, and without what is secret: only whether it changes."""
    item = printers.hide_managed_fields(item)
    annotations = item["metadata"].pop("annotations", None) or {}
    if others := {name: text for name, text in annotations.items() if name != applying.ANNOTATION}:
        item["metadata"]["annotations"] = others
    if kind == "Secret":
        item = {
            **item,
            "data": {key: f"*** ({_mark(value)})" for key, value in (item.get("data") or {}).items()},
        }
    return printers.to_yaml(item)


def _mark(value: str) -> str:
    """Different for different values, and says nothing of them."""
    import hashlib

    return hashlib.blake2b(value.encode(), key=_SALT, digest_size=4).hexdigest()


_SALT = os.urandom(16)
