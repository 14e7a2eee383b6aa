"""Every name of the cluster: Services first, then pods (`pod_names`). What the node's resolver answers from.

    WEB.NS.svc.DOMAIN               the Service's address; of a headless one those of its Ready pods
    _PORT._TCP.WEB.NS.svc.DOMAIN    SRV: where a named port is
    HOST.WEB.NS.svc.DOMAIN          one pod behind a headless Service, by its hostname or by its address with
                                    dashes
    WEB.NS.svc.DOMAIN               of type ExternalName: an alias

Where there is a Service, it alone says what its name and those below it mean. As CoreDNS does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

from minikubelet.agent.pod_names import PodNames
from minikubelet.agent.service_ports import endpoints_in_use, place_of
from minikubelet.errors import Expired
from minikubelet.runtime.resolver import Record
from minikubelet.store import Store
from minikubelet.v1.endpoint_slice import SERVICE_NAME
from minikubelet.v1.service import EXTERNAL_NAME, HEADLESS

Object = Mapping[str, Any]
Key = tuple[str, str]  # namespace, name

LONGEST_LABEL = 63  # RFC 1035


class ClusterNames:
    """`runtime.resolver.Names` of Services and pods in the store; `networks` are those of both."""

    def __init__(self, store: Store, domain: str, networks: Sequence[IPv4Network]) -> None:
        self.domain = domain
        self.networks = networks
        self._pods = PodNames(store, domain)
        self._services = _Index(store, "services", place_of)
        self._slices = _Index(store, "endpointslices.discovery.k8s.io", _service_of)

    def records(self, name: str) -> Sequence[Record] | None:
        *prefix, service, namespace, zone = ["", "", "", *name.split(".")]
        found = self._services.get((namespace, service)) if zone == "svc" else ()
        if found:
            below = [label for label in prefix if label]
            return service_records(found[0], self._slices.get((namespace, service)), below, self.domain)
        addresses = self._pods.addresses(name)
        return None if addresses is None else [Record("A", address) for address in addresses]

    def name_of(self, address: str) -> str | None:
        for service in self._services.all():
            if service["spec"].get("clusterIP") == address:
                return f"{_name(service)}.{self.domain}"
        return self._pods.name_of(address)


def service_records(
    service: Object, slices: Sequence[Object], below: Sequence[str], domain: str
) -> Sequence[Record] | None:
    """Of the name of a Service, or one below it. Empty: it exists, without records. Pure."""
    spec = service["spec"]
    if spec["type"] == EXTERNAL_NAME:
        alias = spec["externalName"].rstrip(".")
        if any(len(label) > LONGEST_LABEL for label in alias.split(".")):
            return ()  # the API takes it, DNS does not
        return None if below else [Record("CNAME", f"{alias}.")]
    name = f"{_name(service)}.{domain}"
    if spec.get("clusterIP", HEADLESS) != HEADLESS:
        own = [Record("A", spec["clusterIP"])]
        ports = [(port, port["port"], name) for port in spec.get("ports") or ()]
    else:
        endpoints = list(_endpoints(slices))
        own = [Record("A", address) for _, address in dict.fromkeys((host, at) for host, at, _ in endpoints)]
        ports = [
            (port, port.get("port", 0), f"{host}.{name}")
            for host, _, of_slice in endpoints
            for port in of_slice.get("ports") or ()
        ]
        if len(below) == 1 and not below[0].startswith("_"):
            return [Record("A", at) for host, at in {host: at for host, at, _ in endpoints}.items()
                    if below[0] in (host, at.replace(".", "-"))] or None  # fmt: skip
    if not below:
        return [*own, *_services(ports)]
    return _services([entry for entry in ports if below == _labels(entry[0])]) or None


def _services(ports: Sequence[tuple[Object, int, str]]) -> list[Record]:
    """All with the same weight (as CoreDNS has it, a hundred for all together)."""
    weight = 100 // len(ports) if ports else 0
    return [Record("SRV", f"0 {max(weight, 1)} {number} {target}.") for _, number, target in ports]


def _labels(port: Object) -> list[str]:
    return [f"_{port.get('name') or ''}", f"_{port.get('protocol', 'TCP').lower()}"]


def _endpoints(slices: Sequence[Object]) -> Iterator[tuple[str, str, Object]]:
    """(host name, address, slice) of each that takes traffic."""
    for found, endpoint in endpoints_in_use(one for one in slices if one["addressType"] == "IPv4"):
        address = endpoint["addresses"][0]
        yield endpoint.get("hostname") or address.replace(".", "-"), address, found


def _name(service: Object) -> str:
    return f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"


def _service_of(found: Object) -> Key:
    return found["metadata"]["namespace"], (found["metadata"].get("labels") or {}).get(SERVICE_NAME, "")


class _Index:
    """The objects of one resource, looked up anew when somebody asks and some have changed."""

    def __init__(self, store: Store, resource: str, key: Callable[[Object], Key]) -> None:
        self._store = store
        self._resource = resource
        self._key = key
        self._revision: int | None = None
        self._found: dict[Key, list[Object]] = {}

    def get(self, key: Key) -> Sequence[Object]:
        self._catch_up()
        return self._found.get(key, ())

    def all(self) -> Iterator[Object]:
        self._catch_up()
        for found in self._found.values():
            yield from found

    def _catch_up(self) -> None:
        if self._revision == self._store.revision:
            return
        if self._is_behind():
            self._found.clear()
            for obj in self._store.list(self._resource)[0]:
                self._found.setdefault(self._key(obj), []).append(obj)
        self._revision = self._store.revision

    def _is_behind(self) -> bool:
        try:
            return self._revision is None or bool(
                self._store.changes(self._resource, None, self._revision, 1)
            )
        except Expired:
            return True
