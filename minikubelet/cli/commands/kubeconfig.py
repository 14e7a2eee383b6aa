"""`kubeconfig`: a kubeconfig that stock kubectl can use as it is: the admin's, or one for somebody else."""

from __future__ import annotations

import os
from pathlib import Path

import click

from minikubelet.cli.base import Session, command, complain, say
from minikubelet.cli.errors import CliError, UsageError

LIFETIME = 365


@command(
    "kubeconfig",
    examples="""
    # Drive the node with stock kubectl
    export KUBECONFIG=$(minikubelet kubeconfig)
    kubectl get nodes
    # A file for somebody who may only look
    minikubelet kubeconfig --user eve --group view
    # … good for a week, in a file of your choice
    minikubelet kubeconfig --user eve --group edit --days 7 --file eve.conf
    """,
)
@click.option("--user", metavar="NAME", help="Make one for this user; root only.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="The user's role: view, edit or admin; system:masters for everything. May be repeated.",
)
@click.option(
    "--days", type=int, metavar="N", help=f"How long the user's certificate is good; default: {LIFETIME}."
)
@click.option("--file", "path", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it.")
def kubeconfig_command(
    session: Session, user: str | None, groups: tuple[str, ...], days: int | None, path: Path | None
) -> None:
    """Print the path of a kubeconfig for kubectl.

    The agent writes the admin's when it starts. With --user it signs a certificate with that name and those
    groups, and the file is written here, for its owner's eyes only (0600); the key is kept nowhere else. A
    certificate cannot be taken back: give it few days.
    """
    if user is None:
        if groups or days is not None or path is not None:
            raise UsageError("--group, --days and --file want a --user")
        path = session.paths.kubeconfig
        if not path.exists():
            complain(f"Warning: {path} does not exist yet; the agent writes it when it starts")
    else:
        body = {"user": user, "groups": list(groups), "days": LIFETIME if days is None else days}
        made = session.client.post("/minikubelet/v1/kubeconfig", body)
        path = path or session.paths.kubeconfig.with_name(f"{user}.kubeconfig")
        _write(path, made["kubeconfig"])
    say(str(path))


def _write(path: Path, text: str) -> None:
    """As a whole, and private before there is anything in it."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        new.rename(path)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}") from error
