"""The Service `kubernetes` in the namespace default: where pods find the API.

Its address is the first of the network of Services, its only endpoint where the API listens for pods. On a
cluster kube-apiserver writes it by itself, with its Endpoints and its EndpointSlice; when nobody listens for
pods there is none. Who deletes it finds it again at once.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.objects import Objects, WriteOptions
from minikubelet.errors import Expired, NotFound
from minikubelet.v1.endpoint_slice import SERVICE_NAME
from minikubelet.v1.resources import BY_KEY

Object = dict[str, Any]
log = logging.getLogger(__name__)

NAMESPACE, NAME = "default", "kubernetes"
SERVICES, ENDPOINTS = BY_KEY["services"], BY_KEY["endpoints"]
SLICES = BY_KEY["endpointslices.discovery.k8s.io"]
PORT = 443


async def keep(objects: Objects, door: tuple[str, int] | None) -> None:
    """For ever. `door` is address and port that pods can reach."""
    while True:
        try:
            watch = objects.store.watch(SERVICES.stored, NAMESPACE)
            publish(objects, door)
            async for kind, obj, _ in watch:
                if kind == "DELETED" and obj["metadata"]["name"] == NAME:
                    publish(objects, door)
            return
        except Expired:
            log.info("the watch of services fell behind: looking at all of them again")


def publish(objects: Objects, door: tuple[str, int] | None) -> None:
    """Make it so."""
    if door is None:
        for info in (SERVICES, ENDPOINTS, SLICES):
            _delete(objects, info)
        return
    service_address = str(objects.services.first)
    with contextlib.suppress(NotFound):
        old = objects.get(SERVICES, NAMESPACE, NAME)
        if old["spec"].get("clusterIP") != service_address:  # there was another --service-cidr
            _delete(objects, SERVICES)
    address, port = door
    _write(objects, SERVICES, _service(service_address, port))
    _write(objects, ENDPOINTS, _endpoints(address, port))
    _write(objects, SLICES, _slice(address, port))


def _service(address: str, port: int) -> Object:
    spec = {
        "clusterIP": address,
        "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": port}],
    }
    labels = {"component": "apiserver", "provider": "kubernetes"}
    return {"metadata": _metadata(labels), "spec": spec}


def _endpoints(address: str, port: int) -> Object:
    # Its slice is written here, not mirrored from it.
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    return {"metadata": _metadata(labels), "subsets": [{"addresses": [{"ip": address}], "ports": ports}]}


def _slice(address: str, port: int) -> Object:
    return {
        "metadata": _metadata({SERVICE_NAME: NAME}),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


def _metadata(labels: dict[str, str]) -> Object:
    return {"name": NAME, "namespace": NAMESPACE, "labels": labels}


def _write(objects: Objects, info: Any, obj: Object) -> None:
    if objects.exists(info, NAMESPACE, NAME):
        objects.update(info, NAMESPACE, NAME, lambda _: obj, WriteOptions())
    else:
        objects.create(info, NAMESPACE, obj, WriteOptions())


def _delete(objects: Objects, info: Any) -> None:
    with contextlib.suppress(NotFound):
        objects.delete(info, NAMESPACE, NAME, DeleteOptions())
