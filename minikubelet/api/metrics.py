"""PodMetrics and NodeMetrics, from what the node measures when it is asked."""

from __future__ import annotations

from typing import Any

from minikubelet.agent.mirror_pods import runtime_uid
from minikubelet.agent.usage import NodeUsage, Usage
from minikubelet.api.request import Call
from minikubelet.errors import NotFound
from minikubelet.store.store import timestamp

Object = dict[str, Any]


async def pods(call: Call) -> list[Object]:
    """Of every pod (of the namespace) with a container that runs."""
    measured = await call.backend.usage()
    items, _ = call.backend.store.list("pods", call.namespace or None)
    return [made for pod in items if (made := _of_pod(pod, measured)) is not None]


async def nodes(call: Call) -> list[Object]:
    """Of this node."""
    measured = await call.backend.usage()
    items, _ = call.backend.store.list("nodes", None)
    mine = [node for node in items if node["metadata"]["name"] == call.backend.node_name]
    return [
        {
            "kind": "NodeMetrics",
            "apiVersion": "metrics.k8s.io/v1beta1",
            **_head(node, measured, measured.node),
            "usage": _amounts(measured.node),
        }
        for node in mine
    ]


def pod_not_found(namespace: str, name: str) -> NotFound:
    return NotFound.of("podmetrics.metrics.k8s.io", f"{namespace}/{name}")


def node_not_found(namespace: str, name: str) -> NotFound:
    return NotFound.of("nodemetrics.metrics.k8s.io", name)


def _of_pod(pod: Object, measured: NodeUsage) -> Object | None:
    used = measured.of_pod(runtime_uid(pod))
    if not used:
        return None
    shortest = min(used.values(), key=lambda usage: usage.window)
    return {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        **_head(pod, measured, shortest),
        "containers": [{"name": name, "usage": _amounts(usage)} for name, usage in used.items()],
    }


def _head(of: Object, measured: NodeUsage, usage: Usage) -> Object:
    """Whose it is, and when it was measured; labels are kept to be selected by."""
    moment = timestamp(measured.at)
    kept = {key: value for key, value in of["metadata"].items() if key in ("name", "namespace", "labels")}
    return {
        "metadata": {**kept, "creationTimestamp": moment},
        "timestamp": moment,
        "window": _duration(usage.window),
    }


def _amounts(usage: Usage) -> Object:
    return {"cpu": f"{usage.cpu}n", "memory": f"{usage.memory // 1024}Ki"}


def _duration(seconds: float) -> str:
    """As Go writes it: `500ms`, `12.34s`."""
    milli = round(seconds * 1000)
    return f"{milli}ms" if milli < 1000 else f"{milli / 1000:.3f}".rstrip("0").rstrip(".") + "s"
