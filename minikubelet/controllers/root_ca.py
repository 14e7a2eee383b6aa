"""Every namespace has a ConfigMap kube-root-ca.crt, by which its pods know the API. It is kept as it must be:
whoever deletes or changes it finds it again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from minikubelet.api.objects import Objects, WriteOptions
from minikubelet.api.token_volume import ROOT_CA
from minikubelet.controllers.reconciler import Reconciler
from minikubelet.controllers.work_queue import Key
from minikubelet.errors import Forbidden, NotFound
from minikubelet.v1.resources import BY_KEY

Object = dict[str, Any]

ANNOTATIONS = {
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when "
    "using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
}


async def keep(objects: Objects, ca: str) -> None:
    """For ever; `ca` is the certificate, PEM."""

    def sync(_: str, namespace: str) -> None:
        publish(objects, namespace, ca)

    await Reconciler(objects, "namespaces", sync, {"configmaps": namespace_of}).run()


def namespace_of(config_map: Object) -> Iterable[Key]:
    """The namespace that a ConfigMap of this name concerns."""
    metadata = config_map["metadata"]
    return [("", metadata["namespace"])] if metadata["name"] == ROOT_CA else []


def publish(objects: Objects, namespace: str, ca: str) -> None:
    """Make it, or make it right; nothing when the namespace is going."""
    info, data, options = BY_KEY["configmaps"], {"ca.crt": ca}, WriteOptions(validation="Strict")
    metadata = {"name": ROOT_CA, "namespace": namespace, "annotations": ANNOTATIONS}
    with contextlib.suppress(Forbidden, NotFound):
        if not objects.exists(info, namespace, ROOT_CA):
            objects.create(info, namespace, {"metadata": metadata, "data": data}, options)
        elif objects.get(info, namespace, ROOT_CA).get("data") != data:
            objects.update(info, namespace, ROOT_CA, lambda old: {**old, "data": data}, options)
