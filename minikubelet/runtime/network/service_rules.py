"""Services as rules of nftables: where a connection to the address of a Service goes.

As kube-proxy in its nftables mode, smaller. Two maps lead from address, protocol and port of a Service, and
from a port of the node, to a chain for that port of that Service; the chain chooses one of its backends at
random and rewrites the destination. The kernel remembers the choice with the connection, so that only the
first packet comes by here, and a connection outlives what led to its backend. Read it on a node with
`nft list table ip minikubelet-services`.

A pod sees the address of the pod that asked, as in a cluster. Its answer must pass here again, or the client
would hear from an address it has not asked. But a bridge carries frames between its ports by itself, and so a
second table, of the family bridge, hands those from and to backends to the node, which routes them. (Clusters
switch br_netfilter on, for all bridges of the node.) Two cases are asked under the bridge's address: a pod
that reaches itself, and, as with kube-proxy, whoever comes by a port of the node.

`sessionAffinity: ClientIP` is a set for each backend of the clients that were sent there lately, asked before
chance is; the kernel forgets them by itself.

Text only; `services` gives it to `nft`, in one transaction. Everything is in tables of its own, made anew
with each change but for the sets of clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from minikubelet.runtime.network.nftables import link_group, table_name


@dataclass(frozen=True, slots=True, order=True)
class ServicePort:
    """One port of a Service, as the kernel is to know it."""

    namespace: str
    name: str
    protocol: str  # TCP, UDP or SCTP
    address: str
    port: int
    node_port: int = 0  # 0: none
    backends: tuple[tuple[str, int], ...] = ()  # (address, port)
    sticky_seconds: int = 0  # how long a client stays with its backend; 0: it does not

    @property
    def chain(self) -> str:
        """Begins with a letter, as nft wants it of a name; a namespace need not."""
        return f"service/{self.namespace}/{self.name}/{self.protocol.lower()}/{self.port}"

    def chain_of(self, backend: tuple[str, int]) -> str:
        """For a sticky one; also the name of the set of its clients."""
        address, port = backend
        return f"{self.chain}/{address}/{port}"


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """The bridge and the pods on it, as far as Services have to do with them."""

    bridge: str
    pods: IPv4Network
    mac: str  # the bridge's own
    has_tables: bool  # whether the kernel has nftables for bridges


def services_table(bridge: str) -> str:
    return f"{table_name(bridge)}-services"


def named_objects(ports: Iterable[ServicePort]) -> tuple[set[str], set[str]]:
    """The chains and the sets that come and go with Services."""
    chains, sets = set(), set()
    for port in ports:
        if port.backends:
            chains.add(port.chain)
        if port.sticky_seconds:
            sets |= {port.chain_of(backend) for backend in port.backends}
    return chains | sets, sets


def replace_services(
    pods: PodNetwork,
    network: IPv4Network,
    ports: Iterable[ServicePort],
    before: Iterable[ServicePort] | None,
) -> str:
    """All of it, in the place of what there is for `before`; None: whatever is there is thrown away, and who
    was sent where is forgotten.

    ClusterIPs answer this node and the pods of its bridge; to others they do not exist. `network` is that of
    all Services: what goes there and has no backend is refused at once, a Service without endpoints as well
    as an address that is nobody's. Pods are told before a route is looked up: the kernel would first advise
    them of the way by which the packet came, and owe them the refusal, as it counts what it sends by ICMP.
    Node ports answer at every address of the node.
    """
    ports, bridge = sorted(ports), pods.bridge
    table = services_table(bridge)
    backends = sorted({address for port in ports for address, _ in port.backends})
    addresses = [
        f"{port.address} . {port.protocol.lower()} . {port.port} : goto {port.chain}"
        for port in ports
        if port.backends
    ]
    nodes = [
        f"{port.protocol.lower()} . {port.node_port} : goto {port.chain}"
        for port in ports
        if port.backends and port.node_port
    ]
    idle = [
        f"{port.protocol.lower()} . {port.node_port}"
        for port in ports
        if not port.backends and port.node_port
    ]
    chains = "".join(line for port in ports if port.backends for line in _chains(port))
    return f"""\
{_cleared(pods, ports, before)}
table ip {table} {{
    map addresses {{
        type ipv4_addr . inet_proto . inet_service : verdict; {_elements(addresses)}
    }}
    map node_ports {{
        type inet_proto . inet_service : verdict; {_elements(nodes)}
    }}
    set idle_node_ports {{
        type inet_proto . inet_service; {_elements(idle)}
    }}
{chains}    chain prerouting {{
        type nat hook prerouting priority -100
        iifname "{bridge}" ip daddr . meta l4proto . th dport vmap @addresses
        fib daddr type local meta l4proto . th dport vmap @node_ports
    }}
    chain output {{
        type nat hook output priority -100
        ip daddr . meta l4proto . th dport vmap @addresses
        fib daddr type local meta l4proto . th dport vmap @node_ports
    }}
{_sources(pods, network, backends) if pods.has_tables else ""}    chain refuse {{
        meta l4proto tcp reject with tcp reset
        reject
    }}
    chain from_pods {{
        type filter hook prerouting priority -90
        iifname "{bridge}" ip daddr {network} goto refuse
    }}
    chain leaving {{
        type filter hook output priority 0
        oifname "{bridge}" ip daddr {network} goto refuse
    }}
    chain input {{
        type filter hook input priority 0
        fib daddr type local meta l4proto . th dport @idle_node_ports goto refuse
    }}
}}
{_replace_passage(pods, backends) if pods.has_tables else ""}"""


def delete_services(pods: PodNetwork) -> str:
    """Accepts that there is no such table."""
    families = ("ip", "bridge") if pods.has_tables else ("ip",)
    return "".join(_delete(family, pods.bridge) for family in families)


def _delete(family: str, bridge: str) -> str:
    table = f"{family} {services_table(bridge)}"
    return f"add table {table}\ndelete table {table}\n"


def _sets(pods: PodNetwork) -> tuple[str, ...]:
    """Of the table of the family ip, without those of clients."""
    return ("idle_node_ports", "selves") if pods.has_tables else ("idle_node_ports",)


def _sources(pods: PodNetwork, network: IPv4Network, backends: list[str]) -> str:
    """Before the pod network's own chain, which asks for every pod under the bridge's address whose packet
    was led elsewhere. A source that was set, if to what it is, is not set again.
    """
    selves = [f"{address} . {address}" for address in backends]
    return f"""\
    set selves {{
        type ipv4_addr . ipv4_addr; {_elements(selves)}
    }}
    chain postrouting {{
        type nat hook postrouting priority 90
        oifname != "{pods.bridge}" return
        ct original ip daddr != {network} return
        ip saddr . ip daddr @selves masquerade comment "a pod that reaches itself"
        ip saddr {pods.pods} snat to ip saddr comment "stays what it is"
    }}
"""


def _replace_passage(pods: PodNetwork, backends: list[str]) -> str:
    """What a backend's port of the bridge takes from or for another pod goes to the node instead. `other`
    is what is neither for the bridge itself nor for many; fragments are told by their addresses like all.
    """
    table = services_table(pods.bridge)
    return f"""\
{_delete("bridge", pods.bridge)}
table bridge {table} {{
    set backends {{
        type ipv4_addr; {_elements(backends)}
    }}
    chain prerouting {{
        type filter hook prerouting priority -290
        iifgroup != {link_group(pods.bridge)} return
        meta pkttype != other return
        ip saddr @backends goto by_the_node
        ip daddr @backends goto by_the_node
    }}
    chain by_the_node {{
        ether daddr set {pods.mac} meta pkttype set host
    }}
}}
"""


def _cleared(pods: PodNetwork, ports: Iterable[ServicePort], before: Iterable[ServicePort] | None) -> str:
    """Make room: everything goes, or all but the sets of clients that are still wanted."""
    if before is None:
        return _delete("ip", pods.bridge).rstrip()
    table = services_table(pods.bridge)
    old_chains, old_sets = named_objects(before)
    chains, sets = named_objects(ports)
    return "\n".join(
        [
            f"flush table ip {table}",
            *(f"flush map ip {table} {name}" for name in ("addresses", "node_ports")),
            *(f"flush set ip {table} {name}" for name in _sets(pods)),
            *(f"delete chain ip {table} {name}" for name in sorted(old_chains - chains)),
            *(f"delete set ip {table} {name}" for name in sorted(old_sets - sets)),
        ]
    )


def _chains(port: ServicePort) -> Iterator[str]:
    protocol = f"meta l4proto {port.protocol.lower()}"
    count = len(port.backends)
    if port.sticky_seconds:
        yield from _sticky_chains(port, protocol)
        return
    yield f"    chain {port.chain} {{\n"
    if count == 1:
        address, number = port.backends[0]
        yield f"        {protocol} dnat to {address}:{number}\n"
    else:
        goals = ", ".join(f"{i} : {address} . {number}" for i, (address, number) in enumerate(port.backends))
        yield f"        {protocol} dnat ip to numgen random mod {count} map {{ {goals} }}\n"
    yield "    }\n"


def _sticky_chains(port: ServicePort, protocol: str) -> Iterator[str]:
    for backend in port.backends:
        name = port.chain_of(backend)
        yield (
            f"    set {name} {{\n        type ipv4_addr; size 65536; flags dynamic,timeout; "
            f"timeout {port.sticky_seconds}s\n    }}\n"
            f"    chain {name} {{\n        update @{name} {{ ip saddr }}\n"
            f"        {protocol} dnat to {backend[0]}:{backend[1]}\n    }}\n"
        )
    goals = ", ".join(
        f"{number} : goto {port.chain_of(backend)}" for number, backend in enumerate(port.backends)
    )
    yield f"    chain {port.chain} {{\n"
    for backend in port.backends:
        yield f"        ip saddr @{port.chain_of(backend)} goto {port.chain_of(backend)}\n"
    yield f"        numgen random mod {len(port.backends)} vmap {{ {goals} }}\n    }}\n"


def _elements(elements: list[str]) -> str:
    return f"elements = {{ {', '.join(elements)} }}" if elements else ""
