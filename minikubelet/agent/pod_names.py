"""Which names lead to which pods.

    POD.NS.pod.DOMAIN             the pod; here only
    10-244-0-5.NS.pod.DOMAIN      the pod, by its address, as on a cluster
    HOST.SUB.NS.svc.DOMAIN        the pod, by hostname and subdomain (9.6), as behind a headless Service
    SUB.NS.svc.DOMAIN             all pods of that subdomain
    POD.NS.svc.DOMAIN             the pod: with the search list of resolv.conf, `POD` and `POD.NS`; here only

A pod has a name as long as it has an address. Where there is a Service of that name, it is asked instead
(`cluster_names`).
The index is brought up to date from the store's log when somebody asks, and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import Expired
from minikubelet.store.store import Store

PAGE = 256  # changes; who is further behind reads everything anew
OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class PodName:
    """What of a pod names are made of."""

    namespace: str
    name: str
    hostname: str
    subdomain: str
    address: str


class PodNames:
    """The pods in the store, by name."""

    def __init__(self, store: Store, domain: str) -> None:
        self.domain = domain
        self._store = store
        self._revision: int | None = None
        self._pods: dict[str, dict[str, PodName]] = {}  # namespace → name → pod

    def addresses(self, name: str) -> Sequence[str] | None:
        self._catch_up()
        if name in ("", "pod", "svc"):
            return ()
        rest, _, zone = name.rpartition(".")
        rest, _, namespace = rest.rpartition(".")
        pods = self._pods.get(namespace, {})
        if zone not in ("pod", "svc") or not pods:
            return None
        if not rest:
            return ()
        found = of_zone(pods, rest) if zone == "pod" else of_services(pods, rest)
        return found or None

    def name_of(self, address: str) -> str | None:
        self._catch_up()
        for pods in self._pods.values():
            for pod in pods.values():
                if pod.address == address:
                    return f"{full_name(pod)}.{self.domain}"
        return None

    def _catch_up(self) -> None:
        if self._revision == self._store.revision:
            return
        try:
            changes = (
                None if self._revision is None else self._store.changes("pods", None, self._revision, PAGE)
            )
        except Expired:
            changes = None
        if changes is None or len(changes) == PAGE:
            found, self._revision = self._store.list("pods")
            self._pods.clear()
            for pod in found:
                self._put(pod)
            return
        for change in changes:
            self._forget(change.object) if change.type == "DELETED" else self._put(change.object)
        self._revision = self._store.revision

    def _put(self, pod: dict[str, Any]) -> None:
        named = pod_name(pod)
        if named is None:
            self._forget(pod)
        else:
            self._pods.setdefault(named.namespace, {})[named.name] = named

    def _forget(self, pod: dict[str, Any]) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        pods = self._pods.get(namespace, {})
        pods.pop(name, None)
        if not pods:
            self._pods.pop(namespace, None)


def pod_name(pod: dict[str, Any]) -> PodName | None:
    """None for a pod that has no address, or is over."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    address = status.get("podIP")
    if not address or status.get("phase") in OVER:
        return None
    return PodName(
        metadata["namespace"],
        metadata["name"],
        spec.get("hostname") or metadata["name"],
        spec.get("subdomain") or "",
        address,
    )


def of_zone(pods: dict[str, PodName], name: str) -> Sequence[str]:
    """POD, or its address with dashes."""
    if name in pods:
        return (pods[name].address,)
    return tuple(pod.address for pod in pods.values() if pod.address.replace(".", "-") == name)[:1]


def of_services(pods: dict[str, PodName], name: str) -> Sequence[str]:
    """SUB, HOST.SUB, or POD, in this order: a subdomain stands for the Service of that name."""
    addresses = tuple(
        pod.address
        for pod in pods.values()
        if pod.subdomain and name in (pod.subdomain, f"{pod.hostname}.{pod.subdomain}")
    )
    if addresses or name not in pods:
        return addresses
    return (pods[name].address,)


def full_name(pod: PodName) -> str:
    """Without the domain: what the pod itself takes for its full name, or the one in the zone of pods."""
    if pod.subdomain:
        return f"{pod.hostname}.{pod.subdomain}.{pod.namespace}.svc"
    return f"{pod.name}.{pod.namespace}.pod"
