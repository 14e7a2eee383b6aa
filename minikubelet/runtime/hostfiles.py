"""What a pod reads about names: its host name, /etc/hosts, /etc/resolv.conf (kubelet-behaviour 9.6 to 9.8).

Pure functions from a pod, and what the node has, to text in the kubelet's exact form; and one function that
writes it. The files lie in the pod's directory and are bound into every container.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minikubelet.errors import CreatePodSandboxError
from minikubelet.v1 import Pod, PodDNSConfig, PodSpec

MAX_HOSTNAME = 63
MAX_FQDN = 64  # of the kernel: HOST_NAME_MAX
MAX_SERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH = 253
MAX_SEARCH_LINE = 2048

FILES = ("etc-hosts", "hostname", "resolv.conf", "containers")

MISSING_CLUSTER_DNS = "MissingClusterDNS"

RESOLV_CONF = Path("/etc/resolv.conf")
SYSTEMD_RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf")
SYSTEMD_STUB = "127.0.0.53"

_HOSTS = """\
# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
_HOSTS_OF_NODE = "# Kubernetes-managed hosts file (host network).\n"
_ALIASES = "\n# Entries added by HostAliases.\n"


@dataclass(slots=True)
class ResolvConf:
    """The three kinds of line, and what there is to warn about: (reason of the Event, message)."""

    servers: list[str] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def text(self) -> str:
        lines = [f"nameserver {server}" for server in self.servers]
        if self.searches:
            lines.insert(0, "search " + " ".join(self.searches))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "".join(f"{line}\n" for line in lines)


def hostname(pod: Pod) -> str:
    """The pod's own name for itself: hostname, else the pod's name, cut to what a label may be."""
    assert pod.metadata is not None
    spec = pod.spec or PodSpec()
    name = spec.hostname_override or spec.hostname or pod.metadata.name or ""
    return name[:MAX_HOSTNAME].rstrip("-.")


def domain(pod: Pod, cluster_domain: str) -> str:
    """What follows the host name in the pod's full name; empty without a subdomain."""
    assert pod.metadata is not None
    subdomain = pod.spec.subdomain if pod.spec else None
    if not subdomain or (pod.spec and pod.spec.hostname_override):
        return ""
    return f"{subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"


def kernel_hostname(pod: Pod, cluster_domain: str) -> str:
    """What sethostname(2) gets, and HOSTNAME: the full name if the pod asks for it. CreatePodSandboxError."""
    name, rest = hostname(pod), domain(pod, cluster_domain)
    if not (pod.spec and pod.spec.set_hostname_as_fqdn and rest):
        return name
    full = f"{name}.{rest}"
    if len(full) > MAX_FQDN:
        raise CreatePodSandboxError(
            "failed to construct FQDN from pod hostname and cluster domain, "
            f"FQDN {full} is too long ({MAX_FQDN} characters is the max, {len(full)} characters requested)"
        )
    return full


def hosts(pod: Pod, addresses: Iterable[str], node_hosts: str, cluster_domain: str) -> str:
    """/etc/hosts. `node_hosts` is the node's own file, used by pods in the node's network."""
    if pod.spec and pod.spec.host_network:
        return _HOSTS_OF_NODE + node_hosts + _aliases(pod)
    name, rest = hostname(pod), domain(pod, cluster_domain)
    names = f"{name}.{rest}\t{name}" if rest else name
    return _HOSTS + "".join(f"{address}\t{names}\n" for address in addresses) + _aliases(pod)


def resolv_conf(pod: Pod, node: str, cluster_dns: Sequence[str], cluster_domain: str) -> ResolvConf:
    """/etc/resolv.conf. `node` is the text of the node's own file."""
    spec = pod.spec or PodSpec()
    policy = spec.dns_policy or "ClusterFirst"
    if policy == "ClusterFirst" and spec.host_network:
        policy = "Default"
    if policy == "None":
        result = ResolvConf()
    elif policy == "Default":
        result = parse_resolv_conf(node)
    elif not cluster_dns:
        result = parse_resolv_conf(node)
        result.warnings.append(_missing_cluster_dns(pod))
    else:
        result = _cluster_first(pod, parse_resolv_conf(node), cluster_dns, cluster_domain)
    if spec.dns_config:
        _append(result, spec.dns_config)
    _limit(result)
    return result


def parse_resolv_conf(text: str) -> ResolvConf:
    """The node's file as the kubelet reads it: the last search line counts, options are collected."""
    result = ResolvConf()
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver" and len(words) > 1:
            result.servers.append(words[1])
        elif words[0] == "search":
            result.searches = [word.removesuffix(".") for word in words[1:] if word != "."]
        elif words[0] == "options":
            result.options = _merged_options(result.options, words[1:])
    return result


def node_resolv_conf(path: Path = RESOLV_CONF) -> str:
    """The node's resolv.conf, empty without; the one with real servers where systemd-resolved puts itself in
    front.
    """
    text = path.read_text() if path.exists() else ""
    stub = path == RESOLV_CONF and parse_resolv_conf(text).servers == [SYSTEMD_STUB]
    if stub and SYSTEMD_RESOLV_CONF.exists():
        return SYSTEMD_RESOLV_CONF.read_text()
    return text


def writable(directory: Path) -> list[Path]:
    """What lies in a pod's directory and is bound into its containers, which may append to it for ever: these
    files and the termination logs. They count as the pod's (CVE-2020-8557).
    """
    return [directory / name for name in FILES]


def write_shared(path: Path, text: str) -> None:
    """Write a file that running containers may have bound: in place, so that they see it too.

    Links are not followed, and what a container has written into the file is gone. Usually nothing has
    changed since the last start, and then nothing is written: a read is much cheaper.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    data = text.encode()
    with open(os.open(path, flags, 0o644), "r+b", buffering=0) as file:
        os.fchmod(file.fileno(), 0o644)
        if file.read(len(data) + 1) != data:
            file.seek(0)
            file.truncate()
            file.write(data)


def _aliases(pod: Pod) -> str:
    aliases = (pod.spec.host_aliases if pod.spec else None) or ()
    lines = "".join("\t".join([alias.ip or "", *(alias.hostnames or ())]) + "\n" for alias in aliases)
    return _ALIASES + lines if lines else ""


def _cluster_first(pod: Pod, node: ResolvConf, servers: Sequence[str], cluster_domain: str) -> ResolvConf:
    """Names of services first: ndots:5 makes the resolver try the searches for most names."""
    assert pod.metadata is not None
    own = [f"{pod.metadata.namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain]
    searches = _unique([*own, *node.searches]) if cluster_domain else node.searches
    return ResolvConf(list(servers), searches, ["ndots:5"])


def _missing_cluster_dns(pod: Pod) -> tuple[str, str]:
    assert pod.metadata is not None
    who = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
    return (
        MISSING_CLUSTER_DNS,
        f'pod: "{who}". kubelet does not have ClusterDNS IP configured and cannot create Pod using '
        '"ClusterFirst" policy. Falling back to "Default" policy.',
    )


def _append(result: ResolvConf, config: PodDNSConfig) -> None:
    result.servers = _unique([*result.servers, *(config.nameservers or ())])
    result.searches = _unique([*result.searches, *(config.searches or ())])
    asked = [f"{o.name}:{o.value}" if o.value else o.name or "" for o in config.options or ()]
    result.options = _merged_options(result.options, asked)


def _merged_options(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """An option of the same name replaces the former one, in its place."""
    return list({option.partition(":")[0]: option for option in (*old, *new)}.values())


def _limit(result: ResolvConf) -> None:
    """What resolvers can bear; the rest is dropped, loudly."""
    searches = [search for search in result.searches[:MAX_SEARCHES] if len(search) <= MAX_SEARCH]
    while len(" ".join(searches)) > MAX_SEARCH_LINE:
        searches.pop()
    if searches != result.searches:
        result.searches = searches
        result.warnings.append(_exceeded("Search Line", "search paths", "search", searches))
    if len(result.servers) > MAX_SERVERS:
        result.servers = result.servers[:MAX_SERVERS]
        result.warnings.append(_exceeded("Nameserver", "nameservers", "nameserver", result.servers))


def _exceeded(limit: str, things: str, line: str, applied: Sequence[str]) -> tuple[str, str]:
    return (
        "DNSConfigForming",
        f"{limit} limits were exceeded, some {things} have been omitted, "
        f"the applied {line} line is: {' '.join(applied)}",
    )


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
