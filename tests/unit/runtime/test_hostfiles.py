"""Host name, /etc/hosts and /etc/resolv.conf, in the kubelet's exact form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from minikubelet.errors import CreatePodSandboxError
from minikubelet.runtime import hostfiles
from minikubelet.v1 import Pod, from_dict

DOMAIN = "cluster.local"
NODE = "# made by hand\nsearch corp.example other.\nnameserver 192.0.2.53\noptions timeout:2 edns0\n"


def pod(**spec: Any) -> Pod:
    metadata = {"name": "web", "namespace": "shop", "uid": "u-1"}
    return from_dict(Pod, {"metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        pytest.param({}, "web", id="the pod's name"),
        pytest.param({"hostname": "front"}, "front", id="hostname"),
        pytest.param({"hostname": "front", "hostnameOverride": "o"}, "o", id="hostnameOverride wins"),
        pytest.param(
            {"hostname": "a" * 62 + "-b"}, "a" * 62, id="cut to 63, without the dash left at the end"
        ),
    ],
)
def test_hostname(spec: dict[str, Any], name: str) -> None:
    assert hostfiles.hostname(pod(**spec)) == name
    assert hostfiles.kernel_hostname(pod(**spec), DOMAIN) == name


def test_the_full_name_is_the_hostname_if_the_pod_asks_for_it() -> None:
    asked = pod(subdomain="db", setHostnameAsFQDN=True)
    assert hostfiles.kernel_hostname(asked, DOMAIN) == "web.db.shop.svc.cluster.local"


def test_a_full_name_longer_than_the_kernel_takes_fails_the_sandbox() -> None:
    asked = pod(hostname="h" * 60, subdomain="db", setHostnameAsFQDN=True)
    with pytest.raises(
        CreatePodSandboxError, match=r"is too long \(64 characters is the max, 86 characters requested\)"
    ):
        hostfiles.kernel_hostname(asked, DOMAIN)


FIXED = (
    "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param({}, FIXED + "10.0.0.5\tweb\n", id="plain"),
        pytest.param(
            {"subdomain": "db"}, FIXED + "10.0.0.5\tweb.db.shop.svc.cluster.local\tweb\n", id="subdomain"
        ),
        pytest.param(
            {"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}, {"ip": "::2", "hostnames": ["c"]}]},
            FIXED + "10.0.0.5\tweb\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n::2\tc\n",
            id="aliases",
        ),
        pytest.param(
            {"hostNetwork": True, "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a"]}]},
            "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost node\n"
            "\n# Entries added by HostAliases.\n1.2.3.4\ta\n",
            id="host network",
        ),
    ],
)
def test_hosts(spec: dict[str, Any], text: str) -> None:
    assert hostfiles.hosts(pod(**spec), ["10.0.0.5"], "127.0.0.1 localhost node\n", DOMAIN) == text


CLUSTER = "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example other\n"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param({}, CLUSTER + "nameserver 10.96.0.10\noptions ndots:5\n", id="ClusterFirst"),
        pytest.param(
            {"hostNetwork": True},
            "search corp.example other\nnameserver 192.0.2.53\noptions timeout:2 edns0\n",
            id="ClusterFirst in the node's network is Default",
        ),
        pytest.param(
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
            CLUSTER + "nameserver 10.96.0.10\noptions ndots:5\n",
            id="ClusterFirstWithHostNet",
        ),
        pytest.param(
            {"dnsPolicy": "Default"},
            "search corp.example other\nnameserver 192.0.2.53\noptions timeout:2 edns0\n",
            id="Default",
        ),
        pytest.param(
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "debug"}]}},
            "nameserver 1.1.1.1\noptions debug\n",
            id="None leaves out what is empty",
        ),
        pytest.param(
            {
                "dnsConfig": {
                    "nameservers": ["10.96.0.10", "1.1.1.1"],
                    "searches": ["cluster.local", "my"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                }
            },
            CLUSTER.replace(" other\n", " other my\n")
            + "nameserver 10.96.0.10\nnameserver 1.1.1.1\noptions ndots:2 edns0\n",
            id="dnsConfig is appended without duplicates and replaces options",
        ),
    ],
)
def test_resolv_conf(spec: dict[str, Any], text: str) -> None:
    result = hostfiles.resolv_conf(pod(**spec), NODE, ["10.96.0.10"], DOMAIN)
    assert result.text() == text
    assert result.warnings == []


def test_without_cluster_dns_the_nodes_file_is_used_with_a_warning() -> None:
    result = hostfiles.resolv_conf(pod(), NODE, [], DOMAIN)
    assert result.servers == ["192.0.2.53"]
    ((reason, message),) = result.warnings
    assert reason == "MissingClusterDNS"
    assert message == (
        'pod: "web_shop(u-1)". kubelet does not have ClusterDNS IP configured and cannot create Pod using '
        '"ClusterFirst" policy. Falling back to "Default" policy.'
    )


def test_the_kubelets_limits_are_applied_with_warnings() -> None:
    wanted = {"nameservers": [f"10.0.0.{n}" for n in range(5)], "searches": [f"s{n}" for n in range(40)]}
    result = hostfiles.resolv_conf(pod(dnsPolicy="None", dnsConfig=wanted), "", [], DOMAIN)
    assert len(result.searches) == 32
    assert result.servers == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    assert [message for _, message in result.warnings] == [
        "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "
        + " ".join(f"s{n}" for n in range(32)),
        "Nameserver limits were exceeded, some nameservers have been omitted, "
        "the applied nameserver line is: 10.0.0.0 10.0.0.1 10.0.0.2",
    ]


@pytest.mark.parametrize(
    ("searches", "kept"),
    [
        pytest.param(["x" * 254, "short"], ["short"], id="an entry over 253 characters"),
        pytest.param(["y" * 250] * 9, ["y" * 250], id="duplicates go first"),
        pytest.param(
            [f"{n}{'y' * 240}" for n in range(9)], [f"{n}{'y' * 240}" for n in range(8)], id="2048 in all"
        ),
    ],
)
def test_long_searches_are_dropped(searches: list[str], kept: list[str]) -> None:
    result = hostfiles.resolv_conf(pod(dnsPolicy="None", dnsConfig={"searches": searches}), "", [], DOMAIN)
    assert result.searches == kept


def test_a_file_is_rewritten_in_place_so_that_running_containers_see_it(tmp_path: Path) -> None:
    path = tmp_path / "etc-hosts"
    hostfiles.write_shared(path, "a longer text\n")
    inode = path.stat().st_ino
    hostfiles.write_shared(path, "short\n")
    assert path.read_text() == "short\n"
    assert path.stat().st_ino == inode
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.symlink(victim, tmp_path / "etc-hosts")
    with pytest.raises(OSError, match="symbolic links"):
        hostfiles.write_shared(tmp_path / "etc-hosts", "x")
    assert victim.read_text() == "precious"
