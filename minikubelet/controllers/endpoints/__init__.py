"""Endpoints: who is behind a Service, now, as EndpointSlices and in the older form.

A Service with a selector has one slice (or more: `grouping`) that names every pod the selector matches and
says of each whether it is Ready; and an Endpoints object with the same. For a Service without a selector
somebody else writes the Endpoints, and they are mirrored to a slice. Nothing is polled: a pod that becomes
Ready, or is no longer, is a change in the store, and this looks at the Services whose selector matches it.

As kubernetes/pkg/controller/endpointslice, endpoint and endpointslicemirroring.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.objects import Objects, WriteOptions
from minikubelet.controllers.controller_refs import controller_ref
from minikubelet.controllers.endpoints.backends import backends_of, selects
from minikubelet.controllers.endpoints.grouping import Group, Port, endpoints_of, groups_of, mirrored_groups
from minikubelet.controllers.reconciler import Reconciler
from minikubelet.controllers.work_queue import Key
from minikubelet.errors import Forbidden, NotFound
from minikubelet.v1.endpoint_slice import MANAGED_BY, SERVICE_NAME
from minikubelet.v1.resources import BY_KEY
from minikubelet.v1.service import EXTERNAL_NAME, HEADLESS

Object = dict[str, Any]

SERVICES, PODS = BY_KEY["services"], BY_KEY["pods"]
ENDPOINTS, SLICES = BY_KEY["endpoints"], BY_KEY["endpointslices.discovery.k8s.io"]
WRITER = "endpointslice-controller.k8s.io"
MIRROR = "endpointslicemirroring-controller.k8s.io"
KUBERNETES = ("default", "kubernetes")
IS_OURS = "endpoints.kubernetes.io/managed-by"
NOT_MIRRORED = "endpointslice.kubernetes.io/skip-mirror"
IS_HEADLESS = "service.kubernetes.io/headless"


async def keep(objects: Objects) -> None:
    """For ever: every Service has its endpoints."""
    controller = EndpointsController(objects)
    await Reconciler(
        objects,
        SERVICES.stored,
        controller.sync,
        {
            PODS.stored: controller.of_pod,
            ENDPOINTS.stored: lambda obj: [_place(obj)],
            SLICES.stored: of_slice,
        },
        needs_dependents=lambda service: _place(service) != KUBERNETES,  # whose endpoints the API writes
    ).run()


class EndpointsController:
    """The controller."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def of_pod(self, pod: Object) -> Iterator[Key]:
        """The Services whose selector matches it."""
        for service in self._objects.store.list(SERVICES.stored, pod["metadata"]["namespace"])[0]:
            if selects(service, pod):
                yield _place(service)

    def sync(self, namespace: str, name: str) -> None:
        """One Service: its Endpoints and its slices are as its pods are."""
        service = self._find(SERVICES.stored, namespace, name)
        if service is None or service["spec"]["type"] == EXTERNAL_NAME:
            self._write_slices(namespace, name, WRITER, [], None)
            self._write_slices(namespace, name, MIRROR, [], None)
            if service is None:
                self._delete_endpoints(namespace, name)
        elif service["spec"].get("selector"):
            pods = self._objects.store.list(PODS.stored, namespace)[0]
            groups = groups_of(service, backends_of(service, pods))
            self._write_slices(namespace, name, WRITER, groups, service)
            self._write_slices(namespace, name, MIRROR, [], None)
            self._write_endpoints(service, groups)
        else:
            endpoints = self._find(ENDPOINTS.stored, namespace, name)
            groups = mirrored_groups(endpoints) if endpoints and _is_mirrored(endpoints) else []
            self._write_slices(namespace, name, WRITER, [], None)
            self._write_slices(namespace, name, MIRROR, groups, endpoints)

    def _find(self, resource: str, namespace: str, name: str) -> Object | None:
        with contextlib.suppress(NotFound):
            return self._objects.store.get(resource, namespace, name)
        return None

    def _write_slices(
        self, namespace: str, name: str, writer: str, groups: list[Group], owner: Object | None
    ) -> None:
        """A slice stays with the ports it has; what is left over is filled anew, or goes."""
        left = [
            found
            for found in self._objects.store.list(SLICES.stored, namespace)[0]
            if (labels := found["metadata"].get("labels") or {}).get(SERVICE_NAME) == name
            and labels.get(MANAGED_BY) == writer
        ]
        for group in sorted(groups, key=lambda group: not any(_same_ports(group, old) for old in left)):
            assert owner is not None, "somebody's endpoints"
            old = next((old for old in left if _same_ports(group, old)), left[0] if left else None)
            if old is not None:
                left.remove(old)
                self._change(SLICES, old, _filled(old, group, owner, writer, name))
            else:
                new: Object = {"metadata": {"generateName": f"{name}-", "namespace": namespace}}
                self._create(SLICES, _filled(new, group, owner, writer, name))
        for old in left:
            with contextlib.suppress(NotFound):
                self._objects.delete(SLICES, namespace, old["metadata"]["name"], DeleteOptions())

    def _write_endpoints(self, service: Object, groups: list[Group]) -> None:
        """The older form carries the name of its Service."""
        namespace, name = _place(service)
        labels = {**(service["metadata"].get("labels") or {}), IS_OURS: "endpoint-controller"}
        if _is_headless(service):
            labels[IS_HEADLESS] = ""
        wanted = endpoints_of(groups)
        old = self._find(ENDPOINTS.stored, namespace, name)
        metadata = {"name": name, "namespace": namespace} if old is None else old["metadata"]
        new = {**(old or {}), "metadata": {**metadata, "labels": labels}, "subsets": wanted}
        if not wanted:
            del new["subsets"]
        if old is None:
            self._create(ENDPOINTS, new)
        else:
            self._change(ENDPOINTS, old, new)

    def _delete_endpoints(self, namespace: str, name: str) -> None:
        """What somebody wrote by hand, perhaps before its Service, is left alone."""
        old = self._find(ENDPOINTS.stored, namespace, name)
        if old is not None and IS_OURS in (old["metadata"].get("labels") or {}):
            self._objects.delete(ENDPOINTS, namespace, name, DeleteOptions())

    def _create(self, info: Any, obj: Object) -> None:
        """Nothing is born in a namespace that is going."""
        with contextlib.suppress(Forbidden):
            self._objects.create(info, obj["metadata"]["namespace"], obj, WriteOptions())

    def _change(self, info: Any, old: Object, new: Object) -> None:
        if new != old:
            self._objects.update(info, *_place(old), lambda _: new, WriteOptions())


def of_slice(found: Object) -> Iterator[Key]:
    """The Service it belongs to."""
    name = (found["metadata"].get("labels") or {}).get(SERVICE_NAME)
    if name:
        yield found["metadata"]["namespace"], name


def _filled(obj: Object, group: Group, owner: Object, writer: str, name: str) -> Object:
    """The slice with the endpoints of one group."""
    labels = {**(owner["metadata"].get("labels") or {}), SERVICE_NAME: name, MANAGED_BY: writer}
    if owner["kind"] == "Service" and _is_headless(owner):
        labels[IS_HEADLESS] = ""
    metadata = {**obj["metadata"], "labels": labels, "ownerReferences": [controller_ref(owner)]}
    filled = {**obj, "metadata": metadata, "addressType": "IPv4", "endpoints": list(group.endpoints)}
    filled.pop("ports", None)
    return filled | ({"ports": [_port(port) for port in group.ports]} if group.ports else {})


def _port(port: Port) -> Object:
    shown: Object = {"name": port.name, "protocol": port.protocol, "port": port.port}
    return shown | ({"appProtocol": port.app_protocol} if port.app_protocol else {})


def _same_ports(group: Group, found: Object) -> bool:
    return [_port(port) for port in group.ports] == (found.get("ports") or [])


def _is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == HEADLESS)


def _is_mirrored(endpoints: Object) -> bool:
    """Unless somebody writes the slices as well, as for the Service `kubernetes`."""
    return (endpoints["metadata"].get("labels") or {}).get(NOT_MIRRORED) != "true"


def _place(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
