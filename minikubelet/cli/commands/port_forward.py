"""`port-forward`: ports of this machine that lead to ports of a pod, until Ctrl-C or the end of the pod."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import workload_pods
from minikubelet.cli.base import Session, command
from minikubelet.cli.errors import AgentUnreachable, CliError, UsageError
from minikubelet.cli.forwarding import Forwarder, listen_addresses
from minikubelet.cli.resources import PODS

Object = dict[str, Any]


@command(
    "port-forward",
    examples="""
    # http://localhost:8080 is port 80 of the pod, also when the server there listens on its loopback only
    minikubelet port-forward web 8080:80
    # Any free port here; several at once; a port by its name
    minikubelet port-forward web :80 9000 8443:https
    # For others on the network, too
    minikubelet port-forward --address 0.0.0.0 deployment/web 8080:80
    """,
)
@click.argument("args", nargs=-1, metavar="POD|TYPE/NAME [LOCAL:]REMOTE…")
@click.option("--address", "addresses", default="localhost", metavar="IP,…", help="Where to listen.")
def port_forward_command(session: Session, args: tuple[str, ...], addresses: str) -> int:
    """Forward ports of this machine to a pod."""
    if len(args) < 2:
        raise UsageError("TYPE/NAME and list of ports are required for port-forward")
    where = listen_addresses(addresses.split(","))
    pod, through = workload_pods.find(session.client, session.namespace, args[0])
    ports = [_ports(pod, through, text) for text in args[1:]]
    if (phase := (pod.get("status") or {}).get("phase")) != "Running":
        raise CliError(f"unable to forward port because pod is not running. Current status={phase}")
    path = PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"], "portforward")
    with Forwarder(session.client, path) as forwarder:
        try:
            forwarder.listen(where, ports)
            _wait_for_end(session, pod)
        except KeyboardInterrupt:
            return 0
    raise CliError("lost connection to pod")


def _wait_for_end(session: Session, pod: Object) -> None:
    """Of the pod, or of the agent."""
    metadata = pod["metadata"]
    query = {"fieldSelector": f"metadata.name={metadata['name']}"}
    try:
        while True:
            for event in session.client.watch(PODS.path(metadata["namespace"]), query):
                now = event["object"]
                if now["metadata"].get("uid") != metadata["uid"] or event["type"] == "DELETED":
                    return
                if (now.get("status") or {}).get("phase") != "Running":
                    return
    except AgentUnreachable:
        return


def _ports(pod: Object, through: Object | None, text: str) -> tuple[int, int]:
    """(local, remote) of `80`, `8080:80`, `:80`, `8080:http`; local 0: any that is free."""
    local, colon, remote = text.rpartition(":")
    if ":" in local or not remote:
        raise UsageError(f"invalid port format '{text}'")
    number = _remote(pod, through, remote)
    if not colon:
        wanted = int(remote) if remote.isdecimal() else number
    else:
        wanted = _number(text, local or "0", least=0)
    return wanted, number


def _remote(pod: Object, through: Object | None, word: str) -> int:
    """A number or a name; of a Service its own port, which leads to a port of the pod."""
    if through is not None and through.get("kind") == "Service":
        ports = (through.get("spec") or {}).get("ports") or ()
        found = next((p for p in ports if word in (str(p.get("port")), p.get("name"))), None)
        if found is None:
            raise CliError(f"Service {through['metadata']['name']} does not have a service port {word}")
        if (through["spec"].get("clusterIP")) != "None":
            word = str(found.get("targetPort") or found["port"])
    if not word.isdecimal():
        return _named(pod, word)
    return _number(word, word, least=1)


def _named(pod: Object, name: str) -> int:
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == name:
                return int(port["containerPort"])
    raise CliError(f"Pod '{pod['metadata']['name']}' does not have a named port '{name}'")


def _number(text: str, digits: str, *, least: int) -> int:
    if not digits.isascii() or not digits.isdecimal() or not least <= int(digits[:6]) <= 65535:
        raise UsageError(f"invalid port format '{text}'")
    return int(digits)
