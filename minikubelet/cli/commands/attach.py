"""`attach`: this terminal on the streams of a container's own process."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from minikubelet.cli import containers, workload_pods
from minikubelet.cli.base import Session, command, complain
from minikubelet.cli.errors import CliError
from minikubelet.cli.resources import PODS
from minikubelet.cli.terminal import Conversation, want_tty
from minikubelet.cli.websocket import WebSocket

FALLING_BACK = "warning: couldn't attach to pod/{}, falling back to streaming logs: {}"  # kubectl's words


@command(
    "attach",
    examples="""
    # See what a container prints from now on
    minikubelet attach web
    # Type into it as well (the container needs stdin: true, and tty: true for -t)
    minikubelet attach -it web -c shell
    """,
)
@click.argument("pod", metavar="POD")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container.")
@click.option("-i", "--stdin", is_flag=True, help="Pass stdin to the container.")
@click.option("-t", "--tty", is_flag=True, help="stdin is a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what the container prints.")
def attach_command(session: Session, pod: str, container: str, stdin: bool, tty: bool, quiet: bool) -> int:
    """Attach to a process that is running in a container."""
    found, _ = workload_pods.find(session.client, session.namespace, pod)
    return attach(session, found, container=container, stdin=stdin, tty=tty, quiet=quiet)


def attach(
    session: Session, pod: dict[str, Any], *, container: str, stdin: bool, tty: bool, quiet: bool
) -> int:
    """Join the terminal to a container of `pod`; ends when the container does."""
    if (phase := pod.get("status", {}).get("phase")) in ("Succeeded", "Failed"):
        raise CliError(f"cannot attach a container in a completed pod; current phase is {phase}")
    name = containers.choose(pod, container, quiet=quiet)
    spec = containers.spec_of(pod, name)
    if tty and not spec.get("tty"):
        complain(f"error: Unable to use a TTY - container {name} did not allocate one")
        tty = False
    tty = want_tty(tty, stdin)
    if not quiet:
        complain("If you don't see a command prompt, try pressing enter.")
    # A container with a terminal has one output, and only a client in raw mode can tell it anything sensible.
    query = {
        "container": name,
        "stdin": stdin or None,
        "stdout": True,
        "stderr": None if tty or spec.get("tty") else True,
        "tty": tty or None,
    }
    path = PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"], "attach")
    socket = WebSocket.connect(session.client, path, query)
    return Conversation(socket, stdin=stdin and not _closed(sys.stdin), tty=tty).run()


def _closed(stream: Any) -> bool:
    try:
        os.fstat(stream.fileno())
    except (OSError, ValueError):
        return True
    return False
