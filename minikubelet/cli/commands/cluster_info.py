"""`cluster-info`: where the control plane is; here, the agent's socket."""

from __future__ import annotations

from minikubelet.cli.base import Session, command, say


@command("cluster-info", examples="minikubelet cluster-info")
def cluster_info_command(session: Session) -> None:
    """Say where the API is."""
    session.client.get("/version")  # is there somebody?
    say(f"Kubernetes control plane is running at {session.paths.socket}")
    if session.paths.kubeconfig.exists():
        say(f"for kubectl: export KUBECONFIG={session.paths.kubeconfig}")
