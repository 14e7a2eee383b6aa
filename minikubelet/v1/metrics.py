"""Group metrics.k8s.io: what pods and nodes use now. Measured when asked for, never stored."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Object, ResourceList, Time
from minikubelet.v1.meta import Resource


class ContainerMetrics(Object, kw_only=True):
    """What one running container uses."""

    name: str | None = None
    usage: ResourceList | None = None


class PodMetrics(Resource, kw_only=True):
    """What the running containers of a pod use."""

    API_VERSION: ClassVar[str] = "metrics.k8s.io/v1beta1"

    timestamp: Time | None = None
    window: str | None = None
    containers: list[ContainerMetrics] | None = None


class NodeMetrics(Resource, kw_only=True):
    """What a node uses as a whole."""

    API_VERSION: ClassVar[str] = "metrics.k8s.io/v1beta1"

    timestamp: Time | None = None
    window: str | None = None
    usage: ResourceList | None = None
