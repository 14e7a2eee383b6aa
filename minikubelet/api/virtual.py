"""Resources whose objects are made when they are asked for: they can be read, and nothing else.

They are listed, selected, paged and shown like all others; there is nothing to watch and nothing to write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from minikubelet.api import metrics
from minikubelet.api.listing import ListOptions, Page
from minikubelet.api.request import Call
from minikubelet.errors import NotFound

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Virtual:
    """`objects`: all of the namespace in the call, by namespace and name; `missing`: one is not there."""

    objects: Callable[[Call], Awaitable[list[Object]]]
    missing: Callable[[str, str], NotFound]


# By `ResourceInfo.key`.
VIRTUAL: dict[str, Virtual] = {
    "pods.metrics.k8s.io": Virtual(metrics.pods, metrics.pod_not_found),
    "nodes.metrics.k8s.io": Virtual(metrics.nodes, metrics.node_not_found),
}


async def read(virtual: Virtual, call: Call, options: ListOptions) -> Page:
    """What matches, in one part: it would be another measurement by the next."""
    items = [obj for obj in await virtual.objects(call) if options.matches is None or options.matches(obj)]
    return Page(items, call.backend.store.revision)


async def get(virtual: Virtual, call: Call) -> Object:
    """One of them. NotFound."""
    for obj in await virtual.objects(call):
        if obj["metadata"]["name"] == call.name:
            return obj
    raise virtual.missing(call.namespace, call.name)
