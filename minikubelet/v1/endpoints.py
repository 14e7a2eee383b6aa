"""Endpoints: the addresses behind a Service, in the form that came before EndpointSlices."""

from __future__ import annotations

from minikubelet.v1.base import Int32, Object
from minikubelet.v1.meta import ObjectReference, Resource


class EndpointAddress(Object, kw_only=True):
    """One address, and the object behind it."""

    ip: str | None = None
    hostname: str | None = None
    node_name: str | None = None
    target_ref: ObjectReference | None = None


class EndpointPort(Object, kw_only=True):
    """A port that every address has."""

    name: str | None = None
    port: Int32 | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSubset(Object, kw_only=True):
    """Addresses with the same ports."""

    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None
    ports: list[EndpointPort] | None = None


class Endpoints(Resource, kw_only=True):
    """The addresses behind the Service of the same name."""

    subsets: list[EndpointSubset] | None = None
