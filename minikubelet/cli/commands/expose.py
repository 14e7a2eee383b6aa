"""`expose`: a Service for pods that exist, with their selector and ports found out."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import targets
from minikubelet.cli.base import Session, command, label_pairs, output_option
from minikubelet.cli.commands.apply import dry_run_option, validate_option
from minikubelet.cli.commands.create_workload import make
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import SERVICES

Object = dict[str, Any]

NO_SELECTOR = "couldn't retrieve selectors via --selector flag or introspection: "
NO_PORT = "couldn't find port via --port flag or introspection"


@command(
    "expose",
    examples="""
    # Under the pod's name, at the port that its container says
    minikubelet expose pod web
    # Port 80 of the Service, port 8080 of the pods; at a port of the node, too
    minikubelet expose deployment web --port=80 --target-port=8080 --type=NodePort
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE NAME | TYPE/NAME")
@click.option("--port", "ports", default="", metavar="PORT,…", help="The ports of the Service.")
@click.option("--target-port", default="", metavar="PORT", help="The port of the pods, or its name.")
@click.option("--protocol", default="", metavar="PROTOCOL", help="TCP, UDP or SCTP.")
@click.option("--name", default="", metavar="NAME", help="The Service's name. Default: the object's.")
@click.option("--type", "kind", default="", metavar="TYPE", help="ClusterIP, NodePort or LoadBalancer.")
@click.option("--selector", default="", metavar="A=B,…", help="Which pods. Default: the object's.")
@click.option("-l", "--labels", default="", metavar="A=B,…", help="The Service's labels.")
@click.option("--cluster-ip", default="", metavar="ADDRESS", help="The address; None: headless.")
@click.option("--session-affinity", default="", metavar="KIND", help="ClientIP: a client stays with its pod.")
@click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply.")
@dry_run_option
@validate_option
@output_option("yaml, json, name, jsonpath=…")
def expose_command(
    session: Session,
    args: tuple[str, ...],
    ports: str,
    name: str,
    selector: str,
    labels: str,
    **given: Any,
) -> None:
    """Make a Service for pods that exist."""
    if not args:
        raise UsageError("You must provide one or more resources by argument or filename.")
    for item in targets.fetch(session.client, targets.named(session.client, session.namespace, args)):
        wanted = label_pairs(selector) or selector_of(item)
        spec: Object = {"selector": wanted}
        found = _given_ports(ports) or [(number, way) for number, way in ports_of(item)]
        if not found and given["cluster_ip"] != "None":
            raise CliError(NO_PORT)
        spec |= {"ports": _service_ports(found, given)} if found else {}
        for field, value in (
            ("type", given["kind"]),
            ("clusterIP", given["cluster_ip"]),
            ("sessionAffinity", given["session_affinity"]),
        ):
            spec |= {field: value} if value else {}
        metadata: Object = {"name": name or item["metadata"]["name"]}
        own = label_pairs(labels) or item["metadata"].get("labels") or {}
        metadata |= {"labels": own} if own else {}
        make(session, SERVICES, metadata, spec, given, manager="kubectl-expose", done="exposed", failed="")


def selector_of(item: Object) -> dict[str, str]:
    """Which pods an object stands for."""
    kind, spec = item["kind"], item.get("spec") or {}
    if kind == "Pod":
        if not item["metadata"].get("labels"):
            raise CliError(NO_SELECTOR + "the pod has no labels and cannot be exposed")
        return dict(item["metadata"]["labels"])
    if kind == "Service":
        if not spec.get("selector"):
            raise CliError(NO_SELECTOR + "the service has no pod selector set")
        return dict(spec["selector"])
    if kind in ("Deployment", "ReplicaSet"):
        if (spec.get("selector") or {}).get("matchExpressions"):
            raise CliError(
                f"{NO_SELECTOR}couldn't convert expressions - "
                f'"{spec["selector"]["matchExpressions"]}" to map-based selector format'
            )
        return dict((spec.get("selector") or {}).get("matchLabels") or {})
    raise CliError(f"cannot expose a {kind}")


def ports_of(item: Object) -> list[tuple[int, str]]:
    """(port, protocol) of the containers, or of the Service."""
    spec = item.get("spec") or {}
    if item["kind"] == "Service":
        return [(port["port"], port.get("protocol", "TCP")) for port in spec.get("ports") or ()]
    pod = spec if item["kind"] == "Pod" else (spec.get("template") or {}).get("spec") or {}
    return [
        (port["containerPort"], port.get("protocol", "TCP"))
        for container in pod.get("containers") or ()
        for port in container.get("ports") or ()
    ]


def _given_ports(text: str) -> list[tuple[int, str]]:
    found = []
    for word in filter(None, text.split(",")):
        if not word.isdecimal():
            raise CliError(f'strconv.Atoi: parsing "{word}": invalid syntax')
        found.append((int(word), "TCP"))
    return found


def _service_ports(found: list[tuple[int, str]], given: Object) -> list[Object]:
    target: str = given["target_port"]
    return [
        {
            **({"name": f"port-{index}"} if len(found) > 1 else {}),
            "port": number,
            "protocol": given["protocol"] or protocol,
            "targetPort": (int(target) if target.isdecimal() else target) if target else number,
        }
        for index, (number, protocol) in enumerate(found, 1)
    ]
