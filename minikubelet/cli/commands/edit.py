"""`edit`: an object in an editor, and what was changed there sent back as a patch.

As with kubectl the editor opens again, with the reason on top, when the API refuses what was written; closed
without a change, it ends. What could not be sent is left in a file that is named.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from minikubelet.cli import applying, printers, targets
from minikubelet.cli.base import Session, command, complain, output_option, say
from minikubelet.cli.client import Client
from minikubelet.cli.commands.apply import VALIDATION, validate_option
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.targets import Target

HEADER = """\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
"""
EDITORS = ("KUBE_EDITOR", "EDITOR")


@command(
    "edit",
    examples="""
    # In $KUBE_EDITOR, $EDITOR, or vi
    minikubelet edit pod web
    KUBE_EDITOR=nano minikubelet edit cm words
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE NAME… | TYPE/NAME…")
@validate_option
@output_option("yaml or json, in the editor")
def edit_command(session: Session, args: tuple[str, ...], validate: str, output: str) -> None:
    """Change objects in an editor."""
    if output not in ("", "yaml", "json"):
        raise UsageError("the flag 'output' must be one of yaml|json")
    found = targets.named(session.client, session.namespace, args)
    targets.each(found, lambda target: _edit(session.client, target, validate, output or "yaml"))


def _edit(client: Client, target: Target, validate: str, form: str) -> None:
    current = client.get(target.path)
    shown = printers.hide_managed_fields(current)
    text, reasons = _text(shown, form), ""
    while True:
        edited = _in_editor(HEADER + _comment(reasons) + text, form)
        wanted = _parsed(edited)
        if wanted is None or (not reasons and wanted == shown) or (reasons and _stripped(edited) == text):
            complain("Edit cancelled, no changes made.")
            if reasons:
                raise CliError(f"changes have been stored to {_kept(edited, form)}")
            return
        text = _stripped(edited)
        try:
            if not isinstance(wanted, dict):
                raise CliError("the edited file is no object")
            _send(client, target, shown, wanted, validate)
        except CliError as error:
            if not _can_ask_again():
                complain(f'A copy of your changes has been stored to "{_kept(edited, form)}"')
                raise
            reasons = "\n".join(error.lines())
        else:
            say(f"{target} edited")
            return


def _send(
    client: Client, target: Target, shown: dict[str, Any], wanted: dict[str, Any], validate: str
) -> None:
    """Only what is different: what others have changed meanwhile stays."""
    if wanted.get("metadata", {}).get("name") != target.name:
        raise CliError("at least one of apiVersion, kind and name was changed")
    patch = applying.difference(shown, wanted)
    query = {"fieldManager": "kubectl-edit", "fieldValidation": VALIDATION[validate]}
    try:
        client.patch(target.path, patch, query)
    except StatusError as error:
        raise StatusError(
            error.status, f"{target.resource.qualified} {target.name!r} was not valid"
        ) from error


def _in_editor(text: str, form: str) -> str:
    """What the editor made of it."""
    with tempfile.TemporaryDirectory(prefix="minikubelet-edit-") as folder:
        file = Path(folder) / f"object.{form}"
        file.write_text(text)
        command = _editor(file)
        try:
            done = subprocess.run(command, shell=len(command) == 1, check=False)
        except OSError as error:
            raise CliError(f"unable to launch the editor {command[0]!r}: {error.strerror}") from error
        if done.returncode:
            raise CliError(f"there was a problem with the editor {command[0]!r}")
        return file.read_text()


def _editor(file: Path) -> Sequence[str]:
    """A command with arguments or quotes in it is one for the shell, as kubectl has it."""
    chosen = next((os.environ[name] for name in EDITORS if os.environ.get(name)), "vi")
    if any(sign in chosen for sign in "\"'\\"):
        return [f"{chosen} {shlex.quote(str(file))}"]
    return [*chosen.split(" "), str(file)]


def _can_ask_again() -> bool:
    """An editor that is a program (sed) would be asked for ever."""
    import sys

    return sys.stdin.isatty()


def _text(item: dict[str, Any], form: str) -> str:
    import json

    if form == "json":
        return json.dumps(item, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
    return printers.to_yaml(item)


def _stripped(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def _parsed(text: str) -> Any:
    """The object; None of an empty file."""
    import yaml

    from minikubelet.errors import ManifestError
    from minikubelet.v1 import manifest

    body = _stripped(text)
    if not body.strip():
        return None
    try:
        documents = manifest.parse(body.encode(), "the edited file")
    except (ManifestError, yaml.YAMLError) as error:
        raise CliError(str(error)) from error
    return documents[0].data if documents else None


def _comment(reasons: str) -> str:
    return "".join(f"# {line}\n" for line in reasons.splitlines()) + ("#\n" if reasons else "")


def _kept(text: str, form: str) -> str:
    with tempfile.NamedTemporaryFile(
        "w", prefix="minikubelet-edit-", suffix=f".{form}", delete=False
    ) as file:
        file.write(text)
    return file.name
