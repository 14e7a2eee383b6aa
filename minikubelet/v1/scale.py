"""autoscaling/v1 Scale: the number of pods of an object, by itself, whatever its kind."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int32, Object
from minikubelet.v1.meta import Resource


class ScaleSpec(Object, kw_only=True):
    """How many pods are wanted."""

    replicas: Int32 | None = None


class ScaleStatus(Object, kw_only=True):
    """How many there are, and which."""

    replicas: Int32 | None = None
    selector: str | None = None


class Scale(Resource, kw_only=True):
    """Read and written at the subresource `scale` of a Deployment or ReplicaSet."""

    API_VERSION: ClassVar[str] = "autoscaling/v1"

    spec: ScaleSpec | None = None
    status: ScaleStatus | None = None
