"""EndpointSlice: some of the addresses behind a Service."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int32, Object
from minikubelet.v1.meta import ObjectReference, Resource

SERVICE_NAME = "kubernetes.io/service-name"  # label: whose endpoints they are
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"  # label: who writes the slice


class EndpointConditions(Object, kw_only=True):
    """Whether an endpoint takes traffic."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(Object, kw_only=True):
    """A zone that should use an endpoint."""

    name: str | None = None


class ForNode(Object, kw_only=True):
    """A node that should use an endpoint."""

    name: str | None = None


class EndpointHints(Object, kw_only=True):
    """Who should use an endpoint."""

    for_zones: list[ForZone] | None = None
    for_nodes: list[ForNode] | None = None


class Endpoint(Object, kw_only=True):
    """One backend of a Service."""

    addresses: list[str] | None = None
    conditions: EndpointConditions | None = None
    hostname: str | None = None
    target_ref: ObjectReference | None = None
    deprecated_topology: dict[str, str] | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None


class EndpointPort(Object, kw_only=True):
    """A port that every endpoint of the slice has."""

    name: str | None = None
    protocol: str | None = None
    port: Int32 | None = None
    app_protocol: str | None = None


class EndpointSlice(Resource, kw_only=True):
    """Some of the endpoints of a Service."""

    API_VERSION: ClassVar[str] = "discovery.k8s.io/v1"

    address_type: str | None = None
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None
