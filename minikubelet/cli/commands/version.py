"""`version`: of this program, and of the agent that answers."""

from __future__ import annotations

import click

from minikubelet import __version__
from minikubelet.cli.base import Session, command, output_option, say


@command(
    "version",
    examples="""
    # Of the client and the agent
    minikubelet version
    # Of the client only; needs no agent
    minikubelet version --client
    """,
)
@click.option("--client", "client_only", is_flag=True, help="Do not ask the agent.")
@output_option("json, yaml")
def version_command(session: Session, client_only: bool, output: str) -> None:
    """Print the versions of client and agent."""
    versions = {"clientVersion": {"gitVersion": f"v{__version__}"}}
    if not client_only:
        versions["serverVersion"] = session.client.get("/version")
    if output:
        from minikubelet.cli.printers import print_object

        print_object(versions, output)
        return
    say(f"Client Version: {versions['clientVersion']['gitVersion']}")
    if "serverVersion" in versions:
        say(f"Server Version: {versions['serverVersion']['gitVersion']}")
