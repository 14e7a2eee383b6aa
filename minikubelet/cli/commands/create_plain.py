"""`create namespace` and `create serviceaccount`: objects of which only the name matters."""

from __future__ import annotations

from typing import Any

from minikubelet.cli.base import Session, command
from minikubelet.cli.commands.create_config import Making, make, making_options


@command("namespace", examples="minikubelet create namespace team")
@making_options
def namespace_command(session: Session, **given: Any) -> None:
    """Create a Namespace."""
    make(session, "Namespace", {}, Making(**given))


@command("serviceaccount", examples="minikubelet create serviceaccount robot -n team")
@making_options
def serviceaccount_command(session: Session, **given: Any) -> None:
    """Create a ServiceAccount."""
    make(session, "ServiceAccount", {}, Making(**given))
