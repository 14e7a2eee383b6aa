"""`top`: what pods and the node use of CPU and memory now, measured when it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import click

from minikubelet.cli import ages, targets
from minikubelet.cli.base import Session, command, complain, say, selector_option
from minikubelet.cli.client import Client
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import NODES, PODS, Resource
from minikubelet.cli.tables import layout

VERSION = "metrics.k8s.io/v1beta1"
POD_METRICS = Resource("pods", "pod", "PodMetrics", True, (), VERSION)
NODE_METRICS = Resource("nodes", "node", "NodeMetrics", False, (), VERSION)
DELAY = 120.0  # seconds a new pod may be without a measurement
MI = 1024 * 1024

Item = dict[str, Any]


@command(
    "top",
    examples="""
    # Every pod of the namespace; the hungriest first
    minikubelet top pod
    minikubelet top pod --sort-by=cpu
    # Each container, with the sum
    minikubelet top pod web --containers --sum
    # The node
    minikubelet top node
    """,
)
@click.argument("kind", metavar="pod|node", required=False, default="")
@click.argument("name", required=False, default="")
@selector_option
@click.option("--field-selector", default="", metavar="QUERY", help="E.g. metadata.name=web.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@click.option("--containers", is_flag=True, help="A line for each container.")
@click.option("--sum", "total", is_flag=True, help="The sum of all lines at the end.")
@click.option("--sort-by", default="", metavar="cpu|memory", help="The largest first.")
@click.option("--no-headers", is_flag=True, help="Leave the header line out.")
@click.option(
    "--show-capacity", is_flag=True, help="Of a node: per cent of all it has, not of what pods may ask for."
)
@click.option("--use-protocol-buffers", is_flag=True, default=True, hidden=True)
def top_command(session: Session, kind: str, name: str, **options: Any) -> None:
    """Show what pods or nodes use of CPU and memory."""
    if options["sort_by"] not in ("", "cpu", "memory"):
        raise CliError("--sort-by accepts only cpu or memory")
    if name and (options["selector"] or options["field_selector"]):
        raise UsageError("only one of NAME or selector can be provided")
    if kind in ("pod", "pods", "po"):
        _top_pods(session, name, options)
    elif kind in ("node", "nodes", "no"):
        _top_nodes(session, name, options)
    else:
        raise UsageError("say what to look at: pod or node")


# Pods


def _top_pods(session: Session, name: str, options: dict[str, Any]) -> None:
    everywhere = options["all_namespaces"]
    scope = None if everywhere and not name else session.namespace
    items = _measured(session.client, POD_METRICS, scope, name, options)
    if not items:
        _check_pods(session.client, scope, options)
        complain(
            "No resources found" if everywhere else f"No resources found in {session.namespace} namespace."
        )
        return
    rows: list[list[str]] = []
    for item in _sorted(items, options["sort_by"], lambda item: _sum(_containers(item)), spread=everywhere):
        rows += _pod_rows(item, options)
    heads = [
        *(["NAMESPACE"] if everywhere else []),
        *(["POD"] if options["containers"] else []),
        "NAME",
        "CPU(cores)",
        "MEMORY(bytes)",
    ]
    if options["total"]:
        front = [""] * (len(heads) - 2)
        rows.append([*front, "________", "________"])
        usages = [usage for item in items for usage in _containers(item)]
        rows.append([*front, *_shown(_sum(usages))])
    _print(heads, rows, options)


def _pod_rows(item: Item, options: dict[str, Any]) -> list[list[str]]:
    metadata = item["metadata"]
    front = [metadata["namespace"]] if options["all_namespaces"] else []
    if not options["containers"]:
        return [[*front, metadata["name"], *_shown(_sum(_containers(item)))]]
    containers = item["containers"]
    if options["sort_by"]:
        containers = sorted(containers, key=lambda one: -_amount(one["usage"], options["sort_by"]))
    else:
        containers = sorted(containers, key=lambda one: str(one["name"]))
    return [[*front, metadata["name"], one["name"], *_shown(one["usage"])] for one in containers]


def _check_pods(client: Client, scope: str | None, options: dict[str, Any]) -> None:
    """Pods that have run for a while should have been measured; new ones may be next time."""
    pods = [
        item for page in targets.pages(client, PODS.path(scope), _query(options)) for item in page["items"]
    ]
    for pod in pods:
        metadata = pod["metadata"]
        born = datetime.fromisoformat(metadata["creationTimestamp"])
        if (datetime.now(UTC) - born).total_seconds() > DELAY:
            age = ages.since(metadata["creationTimestamp"])
            raise CliError(
                f"Metrics not available for pod {metadata['namespace']}/{metadata['name']}, age: {age}"
            )
    if pods:
        raise CliError("metrics not available yet")


def _containers(item: Item) -> list[dict[str, str]]:
    return [container["usage"] for container in item["containers"]]


# Nodes


def _top_nodes(session: Session, name: str, options: dict[str, Any]) -> None:
    client = session.client
    items = _measured(client, NODE_METRICS, None, name, options)
    if not items:
        raise CliError("metrics not available yet")
    field = "capacity" if options["show_capacity"] else "allocatable"
    offered = {}
    for item in items:
        found = client.get(NODES.path(None, item["metadata"]["name"]))
        offered[item["metadata"]["name"]] = (found.get("status") or {}).get(field) or {}
    rows = [
        _node_row(item, offered[item["metadata"]["name"]])
        for item in _sorted(items, options["sort_by"], lambda item: item["usage"], spread=False)
    ]
    _print(["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], rows, options)


def _node_row(item: Item, offered: dict[str, str]) -> list[str]:
    cpu, memory = _shown(item["usage"])
    return [
        item["metadata"]["name"],
        cpu,
        _share(item["usage"], offered, "cpu"),
        memory,
        _share(item["usage"], offered, "memory"),
    ]


def _share(usage: dict[str, str], offered: dict[str, str], name: str) -> str:
    if name not in offered or not _amount(offered, name):
        return "<unknown>"
    return f"{int(_milli(usage, name) * 100 / _milli(offered, name))}%"


# Both


def _measured(
    client: Client, resource: Resource, scope: str | None, name: str, options: dict[str, Any]
) -> list[Item]:
    if name:
        return [client.get(resource.path(scope, name))]
    return list(client.get(resource.path(scope), _query(options))["items"])


def _query(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "labelSelector": options["selector"] or None,
        "fieldSelector": options["field_selector"] or None,
    }


def _sorted(items: list[Item], by: str, usage_of: Any, *, spread: bool) -> list[Item]:
    def key(item: Item) -> tuple[Any, ...]:
        metadata = item["metadata"]
        if by:
            return (-_amount(usage_of(item), by),)
        return (metadata.get("namespace", ""), metadata["name"]) if spread else (metadata["name"],)

    return sorted(items, key=key)


def _sum(usages: list[dict[str, str]]) -> dict[str, str]:
    nanos = {name: sum(_nanos(usage, name) for usage in usages) for name in ("cpu", "memory")}
    return {"cpu": f"{nanos['cpu']}n", "memory": str(nanos["memory"] // 10**9)}


def _shown(usage: dict[str, str]) -> list[str]:
    """Thousandths of a core, rounded up; whole MiB."""
    return [f"{_milli(usage, 'cpu')}m", f"{_nanos(usage, 'memory') // 10**9 // MI}Mi"]


def _milli(usage: dict[str, str], name: str) -> int:
    return -(-_nanos(usage, name) // 10**6)


def _amount(usage: dict[str, str], name: str) -> Fraction:
    return Fraction(_nanos(usage, name), 10**9)


def _nanos(usage: dict[str, str], name: str) -> int:
    from minikubelet.v1.quantity import parse

    return parse(usage[name]).nanos if name in usage else 0


def _print(heads: list[str], rows: list[list[str]], options: dict[str, Any]) -> None:
    """Every cell is filled up, the last as well: kubectl's way with this table."""
    shown = rows if options["no_headers"] else [heads, *rows]
    say("\n".join(layout([*row, ""] for row in shown)))
