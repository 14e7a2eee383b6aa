"""Names with real pods: what a pod calls itself, whom it finds, and whom the node's resolver asks on."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from .conftest import Agent, make_agent, remove_network, simple_pod, until

UPSTREAM = "127.0.0.77"
LOOK_UP = """
import json, socket, sys
def find(name):
    try:
        return sorted({item[4][0] for item in socket.getaddrinfo(name, 80, socket.AF_INET)})
    except OSError as error:
        return type(error).__name__
print(json.dumps({name: find(name) for name in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[list[str]]:
    """The node's DNS server, which knows example.org; and what it was asked."""
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((UPSTREAM, 53))

        def serve() -> None:
            while True:
                data, peer = server.recvfrom(4096)
                if not data:
                    return
                query = dns.message.from_wire(data)
                name = query.question[0].name
                asked.append(name.to_text(omit_final_dot=True))
                response = dns.message.make_response(query)
                if asked[-1] != "example.org":
                    response.set_rcode(dns.rcode.NXDOMAIN)
                elif query.question[0].rdtype == dns.rdatatype.A:
                    response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "192.0.2.7"))
                server.sendto(response.to_wire(), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        server.sendto(b"", (UPSTREAM, 53))
        thread.join()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, upstream: list[str]) -> Iterator[Agent]:
    """Of a node whose resolv.conf names `upstream`."""
    root = tmp_path_factory.mktemp("mk")
    resolv, configuration = root / "resolv.conf", root / "config.yaml"
    resolv.write_text(f"search corp.example\nnameserver {UPSTREAM}\noptions timeout:1\n")
    configuration.write_text(
        f"apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nresolvConf: {resolv}\n"
    )
    made = make_agent(root)
    made.start("--config", str(configuration))
    yield made
    made.delete_everything()
    assert made.stop() == 0
    remove_network(made)


def find(agent: Agent, pod: str, *names: str) -> dict[str, list[str] | str]:
    """What a pod's own resolver library finds."""
    found: dict[str, list[str] | str] = json.loads(
        agent.run("exec", pod, "--", "python3", "-c", LOOK_UP, *names)
    )
    return found


def test_pods_find_each_other_the_world_and_themselves(agent: Agent, upstream: list[str]) -> None:
    front = {"hostname": "front", "subdomain": "shop", "setHostnameAsFQDN": True}
    agent.apply(simple_pod("web", "sleep", "infinity", **front))
    agent.apply(simple_pod("client", "sleep", "infinity"))
    address = str(agent.wait_running("web")["status"]["podIP"])
    agent.wait_running("client")
    full = "front.shop.default.svc.cluster.local"

    # What the pod calls itself (9.6, 9.7).
    said = agent.run(
        "exec", "web", "--", "sh", "-c", "hostname; echo $HOSTNAME; cat /etc/hostname; tail -1 /etc/hosts"
    )
    assert said.splitlines() == [full, full, full, f"{address}\t{full}\tfront"]

    # What others find.
    names = [
        "web", "web.default", "web.default.svc.cluster.local", "web.default.pod.cluster.local",
        f"{address.replace('.', '-')}.default.pod.cluster.local", "shop", "front.shop", full,
    ]  # fmt: skip
    assert find(agent, "client", *names) == {name: [address] for name in names}
    lookup = f"import socket; print(socket.gethostbyaddr('{address}')[0])"
    assert agent.run("exec", "client", "--", "python3", "-c", lookup).strip() == full

    # The world, by way of the node's own server; what is the node's stays here.
    assert find(agent, "client", "example.org") == {"example.org": ["192.0.2.7"]}
    assert find(agent, "client", "nobody.default.svc.cluster.local.") == {
        "nobody.default.svc.cluster.local.": "gaierror"
    }
    assert "example.org" in upstream
    assert not [name for name in upstream if name.endswith("cluster.local")], "they stay on the node"

    # resolv.conf (9.8), and a name that goes with its pod.
    gateway = agent.cidr.replace("0/24", "1")
    assert agent.run("exec", "client", "--", "cat", "/etc/resolv.conf") == (
        "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
        f"nameserver {gateway}\noptions ndots:5\n"
    )
    agent.run("delete", "pod", "web")
    assert find(agent, "client", "web.default.svc.cluster.local.") == {
        "web.default.svc.cluster.local.": "gaierror"
    }


def test_the_other_policies_and_a_name_of_its_own_choice(agent: Agent) -> None:
    agent.apply(simple_pod("plain", "sleep", "infinity", dnsPolicy="Default", hostnameOverride="my.own.name"))
    agent.apply(
        simple_pod("on-host", "sleep", "infinity", dnsPolicy="ClusterFirstWithHostNet", hostNetwork=True)
    )
    agent.apply(
        simple_pod("set", "sleep", "infinity", dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.9"]})
    )
    for name in ("plain", "on-host", "set"):
        agent.wait_running(name)
    assert agent.run("exec", "plain", "--", "cat", "/etc/resolv.conf") == (
        f"search corp.example\nnameserver {UPSTREAM}\noptions timeout:1\n"
    )
    assert agent.run("exec", "plain", "--", "hostname").strip() == "my.own.name"
    assert agent.run("exec", "set", "--", "cat", "/etc/resolv.conf") == "nameserver 192.0.2.9\n"
    address = agent.pod("plain")["status"]["podIP"]
    assert find(agent, "on-host", "plain") == {"plain": [address]}, "the node itself may ask, too"


def test_a_full_name_that_is_too_long_fails_the_sandbox_in_the_kubelet_s_words(agent: Agent) -> None:
    name = "n" * 40
    agent.apply(simple_pod(name, "true", subdomain="shop", setHostnameAsFQDN=True))
    full = f"{name}.shop.default.svc.cluster.local"
    text = f"FQDN {full} is too long (64 characters is the max, {len(full)} characters requested)"
    until(
        lambda: [event for event in agent.events(name) if text in event["message"]],
        what="FailedCreatePodSandBox says why",
    )
    agent.run("delete", "pod", name)


def test_while_the_agent_is_away_containers_run_on_and_names_come_back_with_it(agent: Agent) -> None:
    agent.apply(simple_pod("stays", "sleep", "infinity"))
    address = agent.wait_running("stays")["status"]["podIP"]
    agent.stop()
    agent.start("--config", str(agent.root / "config.yaml"))
    assert find(agent, "stays", "stays.default.pod.cluster.local") == {
        "stays.default.pod.cluster.local": [address]
    }
