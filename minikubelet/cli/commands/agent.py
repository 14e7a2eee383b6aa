"""`agent`: the only command that is not a client. It imports the agent when it is asked to run it."""

from __future__ import annotations

from pathlib import Path

import click

from minikubelet.cli.base import Session, command
from minikubelet.cli.errors import CliError, NodeNotFit
from minikubelet.config import SERVICE_CIDR, AgentOptions


@command(
    "agent",
    examples="""
    # The node's agent, with its state in the usual places
    minikubelet agent
    # A second node beside it: all state, bridge and pod network of its own
    minikubelet agent --root /run/two --bridge mk1 --pod-cidr 10.245.0.0/24
    # With static pods
    minikubelet agent --manifests /etc/minikubelet/manifests
    """,
)
@click.option("--bridge", default="mk0", show_default=True, metavar="NAME", help="The pods' bridge.")
@click.option(
    "--pod-cidr", default="10.244.0.0/24", show_default=True, metavar="CIDR", help="The pods' network."
)
@click.option(
    "--service-cidr",
    default=SERVICE_CIDR,
    show_default=True,
    metavar="CIDR",
    help="Where Services get their addresses from.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where kubectl finds the API. Default: 127.0.0.1:6443, with --root a free port of 127.0.0.1.",
)
@click.option("--node-name", metavar="NAME", help="The node's name. Default: the host name.")
@click.option(
    "--manifests", type=click.Path(path_type=Path), metavar="DIR", help="Run static pods from here."
)
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="A KubeletConfiguration (YAML or JSON)."
)
@click.option(
    "--kube-reserved", metavar="PAIRS", help="Never given to pods, for this agent: cpu=100m,memory=200Mi."
)
@click.option("--system-reserved", metavar="PAIRS", help="The same, for the rest of the system.")
@click.option("--node-labels", metavar="PAIRS", help="Labels of the Node when it is new: disk=ssd,zone=a.")
@click.option("--remove-on-exit", is_flag=True, help="Take bridge and nftables table away at the end.")
def agent_command(
    session: Session,
    bridge: str,
    pod_cidr: str,
    service_cidr: str,
    listen: str | None,
    node_name: str | None,
    manifests: Path | None,
    config: Path | None,
    kube_reserved: str | None,
    system_reserved: str | None,
    node_labels: str | None,
    remove_on_exit: bool,
) -> int:
    """Run the node agent in the foreground.

    Prints one line `ready: unix=… https=… kubeconfig=…` when it serves. SIGTERM stops the agent and leaves
    the pods running; the next start finds them.
    """
    from minikubelet import errors
    from minikubelet.daemon import run

    default = "127.0.0.1:0" if session.root else "127.0.0.1:6443"
    options = AgentOptions(
        root=session.root,
        bridge=bridge,
        pod_cidr=pod_cidr,
        service_cidr=service_cidr,
        listen=listen or default,
        node_name=node_name,
        manifests=manifests,
        config=config,
        kube_reserved=kube_reserved,
        system_reserved=system_reserved,
        node_labels=node_labels,
        remove_on_exit=remove_on_exit,
    )
    try:
        return run(options)
    except errors.NodeNotFit as error:
        raise NodeNotFit(str(error)) from error
    except errors.MinikubeletError as error:
        raise CliError(str(error)) from error
