"""`kubeconfig`: where the agent wrote a kubeconfig that stock kubectl can use as it is."""

from __future__ import annotations

from minikubelet.cli.base import Session, command, complain, say


@command(
    "kubeconfig",
    examples="""
    # Drive the node with stock kubectl
    export KUBECONFIG=$(minikubelet kubeconfig)
    kubectl get nodes
    """,
)
def kubeconfig_command(session: Session) -> None:
    """Print the path of a kubeconfig for kubectl.

    The agent writes the file when it starts.
    """
    path = session.paths.kubeconfig
    if not path.exists():
        complain(f"Warning: {path} does not exist yet; the agent writes it when it starts")
    say(str(path))
