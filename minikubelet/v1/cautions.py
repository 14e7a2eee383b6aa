"""Warnings about what works and may still surprise: addresses a probe or a hook should think twice about.

A probe's `host` is asked by the *node*, not by the pod: whoever may make pods can have the node knock at
services that only the node reaches (threat A36). The kubelet allows it and so do we, but the client is told
when the address is one where that matters: the node's own services on loopback, link-local addresses, and
the metadata services of clouds, which hand out credentials. Pure: names are not looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from minikubelet.v1.container import Container
from minikubelet.v1.pod import Pod
from minikubelet.v1.probe import LifecycleHandler, Probe

METADATA = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data")
LOOPBACK_NAMES = ("localhost", "ip6-localhost", "ip6-loopback")

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def cautions(pod: Pod) -> list[str]:
    """One text for each host of a probe or hook that the client should know about."""
    own_network = not (pod.spec and pod.spec.host_network)
    found = []
    for path, host in _hosts(pod):
        risk = risk_of(host)
        if risk and (own_network or risk is not LOOPBACK):
            found.append(f"{path}: {host} {risk}")
    return found


LOOPBACK = "is loopback: the node itself is asked, not the pod"
LINK_LOCAL = "is link-local: the node asks it, from its own network, not from the pod's"
CLOUD = "is a cloud's metadata service: the node asks it, with the node's identity"


def risk_of(host: str) -> str:
    """What is risky about asking this host from the node; empty: nothing that can be seen."""
    name = host.rstrip(".").lower()
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return LOOPBACK
    if name in METADATA_NAMES:
        return CLOUD
    address = _address(name)
    if address is None:
        return ""
    if str(address) in METADATA:
        return CLOUD
    if address.is_loopback or address.is_unspecified:
        return LOOPBACK
    return LINK_LOCAL if address.is_link_local else ""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address however it is written: in brackets, with a zone, IPv4 inside IPv6, `127.1`, `0x7f000001`."""
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return _old_ipv4(text)
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def _old_ipv4(text: str) -> IPv4Address | None:
    """inet_aton(3): one to four numbers, octal and hexadecimal too; the last fills what is left."""
    parts = text.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        *heads, last = (_c_number(part) for part in parts)
    except ValueError:
        return None
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    return IPv4Address(sum(head << 8 * (3 - place) for place, head in enumerate(heads)) + last)


def _c_number(text: str) -> int:
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _hosts(pod: Pod) -> Iterator[tuple[str, str]]:
    spec = pod.spec
    for field, containers in (
        ("containers", (spec and spec.containers) or ()),
        ("initContainers", (spec and spec.init_containers) or ()),
    ):
        for index, container in enumerate(containers):
            for name, handler in _handlers(container):
                for action, target in (("httpGet", handler.http_get), ("tcpSocket", handler.tcp_socket)):
                    if target is not None and target.host:
                        yield f"spec.{field}[{index}].{name}.{action}.host", target.host


def _handlers(container: Container) -> Iterator[tuple[str, Probe | LifecycleHandler]]:
    lifecycle = container.lifecycle
    for name, handler in (
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
        ("lifecycle.postStart", lifecycle.post_start if lifecycle else None),
        ("lifecycle.preStop", lifecycle.pre_stop if lifecycle else None),
    ):
        if handler is not None:
            yield name, handler
