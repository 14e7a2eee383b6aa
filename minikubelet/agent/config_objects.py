"""ConfigMaps and Secrets as pods see them, and who must hear when one changes (kubelet-behaviour 10.5).

The kubelet keeps a watch for each object that a pod refers to, and looks at it when it syncs the pod, once a
minute. Here the store is at hand: `find` reads it, and `follow` calls whoever refers to what has changed, at
once. An object seen with `immutable: true` is kept as it was then for as long as a pod on the node refers to
it, also when somebody deletes it and makes another of its name: that is what the kubelet promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minikubelet.errors import NotFound
from minikubelet.runtime.environment import CONFIG_MAPS, SECRETS
from minikubelet.runtime.volumes.api_data import objects_of
from minikubelet.store import Store
from minikubelet.v1 import Container, EphemeralContainer, Pod, PodSpec

from .names import uid_of

RESOURCES = (CONFIG_MAPS, SECRETS)

Key = tuple[str, str, str]  # resource, namespace, name


class ConfigObjects:
    """One for the node. Used in the event loop only, as the store is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._references: dict[str, frozenset[Key]] = {}  # pod uid → what the pod refers to
        self._immutable: dict[Key, dict[str, Any]] = {}

    def find(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None when there is none."""
        key = (resource, namespace, name)
        if key in self._immutable:
            return self._immutable[key]
        try:
            found = self._store.get(resource, namespace, name)
        except NotFound:
            return None
        if found.get("immutable") and any(key in references for references in self._references.values()):
            self._immutable[key] = found
        return found

    def pod_changed(self, pod: Pod) -> None:
        """There is such a pod, and this is what it refers to now."""
        self._references[uid_of(pod)] = frozenset(references(pod))

    def pod_gone(self, uid: str) -> None:
        self._references.pop(uid, None)
        wanted = {key for references in self._references.values() for key in references}
        self._immutable = {key: kept for key, kept in self._immutable.items() if key in wanted}

    async def follow(self, resource: str, changed: Callable[[str], None]) -> None:
        """For ever: call `changed` with the uid of each pod that refers to an object that has changed."""
        async for _, found, _ in self._store.watch(resource):
            metadata = found["metadata"]
            key = (resource, metadata["namespace"], metadata["name"])
            if key not in self._immutable:
                for uid in [uid for uid, references in self._references.items() if key in references]:
                    changed(uid)


def references(pod: Pod) -> Iterator[Key]:
    """Every ConfigMap and Secret in the pod's environment and volumes."""
    namespace, spec = (pod.metadata and pod.metadata.namespace) or "", pod.spec or PodSpec()
    containers: list[Container | EphemeralContainer] = [
        *(spec.init_containers or ()),
        *(spec.containers or ()),
        *(spec.ephemeral_containers or ()),
    ]
    for container in containers:
        for resource, name in _of_environment(container):
            yield resource, namespace, name
    for resource, name in objects_of(spec):
        yield resource, namespace, name


def _of_environment(container: Container | EphemeralContainer) -> Iterator[tuple[str, str]]:
    for source in container.env_from or ():
        if source.config_map_ref is not None:
            yield CONFIG_MAPS, source.config_map_ref.name or ""
        if source.secret_ref is not None:
            yield SECRETS, source.secret_ref.name or ""
    for variable in container.env or ():
        value = variable.value_from
        if value is not None and value.config_map_key_ref is not None:
            yield CONFIG_MAPS, value.config_map_key_ref.name or ""
        if value is not None and value.secret_key_ref is not None:
            yield SECRETS, value.secret_key_ref.name or ""
