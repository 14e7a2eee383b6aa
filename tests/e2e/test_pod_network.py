"""Every pod has an address; pods, node and the world reach each other."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

from .conftest import Agent, simple_pod, until

SERVE = "cd /srv && echo served by $(hostname) > index.html && exec python3 -m http.server 8080"


def fetch(address: str) -> str:
    return (
        f"import urllib.request as u; print(u.urlopen('http://{address}:8080/', timeout=5).read().decode())"
    )


def serving(agent: Agent, name: str) -> str:
    """The address of a pod that answers HTTP."""
    probe = {"readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1}}
    agent.apply(simple_pod(name, "sh", "-c", SERVE, container=probe))
    until(lambda: agent.container(name).get("ready"), what=f"{name} ready")
    return str(agent.pod(name)["status"]["podIP"])


def test_pods_and_the_node_reach_each_other(agent: Agent) -> None:
    one, two = serving(agent, "one"), serving(agent, "two")
    assert one != two
    with urllib.request.urlopen(f"http://{one}:8080/", timeout=10) as page:
        assert page.read() == b"served by one\n", "node to pod"
    assert agent.run("exec", "one", "--", "python3", "-c", fetch(two)).strip() == "served by two", (
        "pod to pod"
    )
    assert agent.run("exec", "one", "--", "python3", "-c", fetch(one)).strip() == "served by one", "to itself"
    gateway = agent.cidr.replace("0/24", "1")
    server = subprocess.Popen(
        ["/usr/bin/python3", "-m", "http.server", "8080", "--bind", gateway, "--directory", "/etc/apt"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: agent.call("exec", "one", "--", "python3", "-c", fetch(gateway)).returncode == 0)
    finally:
        server.terminate()
        server.wait()
    agent.run("delete", "pods", "one", "two")


def test_what_leaves_the_pod_network_carries_the_nodes_address(agent: Agent) -> None:
    """Another host is a network namespace behind a veth; it has no route to the pod network."""
    serving(agent, "traveller")
    commands = [
        "ip netns add mk-world",
        "ip link add mkw0 type veth peer name eth0 netns mk-world",
        "ip addr add 198.51.100.1/24 dev mkw0",
        "ip link set mkw0 up",
        "ip -n mk-world addr add 198.51.100.2/24 dev eth0",
        "ip -n mk-world link set eth0 up",
        "ip -n mk-world link set lo up",
    ]
    server = None
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        tell = (
            "from http.server import *\n"
            "class Tell(BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        self.send_response(200); self.end_headers()\n"
            "        self.wfile.write(self.client_address[0].encode())\n"
            "HTTPServer(('', 8080), Tell).serve_forever()\n"
        )
        server = subprocess.Popen(
            ["ip", "netns", "exec", "mk-world", "/usr/bin/python3", "-c", tell], stderr=subprocess.DEVNULL
        )
        ask = ("exec", "traveller", "--", "python3", "-c", fetch("198.51.100.2"))
        seen = until(lambda: agent.call(*ask).stdout.strip(), what="an answer from the world")
        assert seen == "198.51.100.1"
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        subprocess.run(["ip", "netns", "delete", "mk-world"], check=False)
    agent.run("delete", "pod", "traveller")


def test_ip_netns_knows_the_pod_by_name(agent: Agent) -> None:
    agent.apply(simple_pod("visible", "sleep", "infinity"))
    address = agent.wait_running("visible")["status"]["podIP"]
    shown = subprocess.run(
        ["ip", "netns", "exec", "visible", "ip", "-4", "-o", "addr", "show", "dev", "eth0"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f" {address}/24 " in shown.stdout
    agent.run("delete", "pod", "visible")
    assert not Path("/run/netns/visible").is_symlink()


def test_addresses_survive_an_agent_restart_and_are_never_doubled(fresh_agent: Agent) -> None:
    agent = fresh_agent
    agent.start()
    names = [f"p{number}" for number in range(5)]
    for name in names:
        agent.apply(simple_pod(name, "sleep", "infinity"))
    before = {name: agent.wait_running(name)["status"]["podIP"] for name in names}
    agent.stop()
    agent.start()
    agent.apply(simple_pod("late", "sleep", "infinity"))
    late = agent.wait_running("late")["status"]["podIP"]
    after = {name: agent.wait_running(name)["status"]["podIP"] for name in names}
    assert after == before
    assert late not in before.values()
    assert len(set(before.values())) == len(names)
