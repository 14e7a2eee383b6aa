"""`exec`: another process in a running container; its exit code is ours."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import containers, workload_pods
from minikubelet.cli.base import Session, command
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import PODS
from minikubelet.cli.terminal import Conversation, want_tty
from minikubelet.cli.websocket import WebSocket


@command(
    "exec",
    dash=True,
    examples="""
    # One command; its exit code is this command's
    minikubelet exec web -- cat /etc/hostname
    # A shell with a terminal, in a named container
    minikubelet exec -it web -c sidecar -- sh
    # Send a file in
    minikubelet exec -i web -- sh -c 'cat > /tmp/a' < a
    """,
)
@click.argument("args", nargs=-1, metavar="POD -- COMMAND [ARG…]")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container.")
@click.option("-i", "--stdin", is_flag=True, help="Pass stdin to the command.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what the command prints.")
def exec_command(session: Session, args: tuple[str, ...], **options: Any) -> int:
    """Run a command in a running container."""
    command_line = session.after_dash
    if not args:
        raise UsageError("pod or type/name must be specified")
    if len(args) > 1 and command_line is None:
        raise UsageError("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
    if not command_line or len(args) > 1:
        raise UsageError("you must specify at least one command for the container")
    pod, _ = workload_pods.find(session.client, session.namespace, args[0])
    name = pod["metadata"]["name"]
    if (phase := pod.get("status", {}).get("phase")) in ("Succeeded", "Failed"):
        raise CliError(f"cannot exec into a container in a completed pod; current phase is {phase}")
    tty = want_tty(options["tty"], options["stdin"])
    query = {
        "command": command_line,
        "container": containers.choose(pod, options["container"], quiet=options["quiet"]),
        "stdin": options["stdin"] or None,
        "stdout": True,
        "stderr": None if tty else True,
        "tty": tty or None,
    }
    socket = WebSocket.connect(session.client, PODS.path(session.namespace, name, "exec"), query)
    return Conversation(socket, stdin=options["stdin"], tty=tty).run()
