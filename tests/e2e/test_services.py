"""Services with real pods: spread, followed, refused, named; from pods, from the node, through restarts."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Agent, simple_pod, until

NODE_PORT = 31917
SERVE = """
import http.server, os, socket, threading
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 5353))
def answer():
    while True:
        _, sender = udp.recvfrom(100)
        udp.sendto(os.uname().nodename.encode(), sender)
threading.Thread(target=answer, daemon=True).start()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.uname().nodename.encode())
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
ASK = """
import socket, sys, urllib.request
host, port, count = sys.argv[1], int(sys.argv[2]), 30
def http():
    return urllib.request.urlopen(f"http://{host}:{port}/", timeout=5).read().decode()
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((host, port))
    s.send(b"?")
    return s.recv(100).decode()
try:
    print(*sorted({(udp if sys.argv[3:] else http)() for _ in range(count)}))
except OSError as error:
    print(getattr(error, "reason", error))
"""
SHOP = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop"},
    "spec": {
        "type": "NodePort",
        "selector": {"app": "shop"},
        "ports": [
            {"name": "http", "port": 80, "targetPort": "http", "nodePort": NODE_PORT},
            {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        ],
    },
}


def clerk(name: str, **spec: Any) -> dict[str, Any]:
    made = simple_pod(
        name,
        "python3",
        "-c",
        SERVE,
        container={
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {
                "exec": {"command": ["sh", "-c", "! test -e /tmp/tired"]},
                "periodSeconds": 1,
                "timeoutSeconds": 30,
                "failureThreshold": 1,
            },
        },
        **spec,
    )
    made["metadata"]["labels"] = {"app": "shop"}
    return made


@pytest.fixture(scope="module")
def shop(agent: Agent) -> Iterator[Agent]:
    """Two clerks behind a Service, and a pod that was there before it."""
    agent.apply(simple_pod("early", "sleep", "infinity"))
    agent.wait_running("early")
    agent.apply(SHOP)
    for name in ("clerk-1", "clerk-2"):
        agent.apply(clerk(name))
    for name in ("clerk-1", "clerk-2"):
        agent.wait_running(name)
    until(lambda: set(ready(agent)) == {"clerk-1", "clerk-2"}, what=lambda: f"both ready\n{agent.report()}")
    yield agent
    agent.run("delete", "service", "shop", "bare", "other", "--ignore-not-found")


def ready(agent: Agent) -> list[str]:
    selector = "kubernetes.io/service-name=shop"
    items = json.loads(agent.run("get", "endpointslices", "-l", selector, "-o", "json"))["items"]
    return [
        endpoint["targetRef"]["name"]
        for item in items
        for endpoint in item["endpoints"] or ()
        if endpoint["conditions"]["ready"]
    ]


def address(agent: Agent) -> str:
    return agent.run("get", "service", "shop", "-o", "jsonpath={.spec.clusterIP}")


def asked(agent: Agent, pod: str, host: str, port: int, *options: str) -> str:
    """Who answers a pod, or why nobody does."""
    return agent.run("exec", pod, "--", "python3", "-c", ASK, host, str(port), *options).strip()


def from_node(host: str, port: int) -> str:
    """Who answers the node, or nobody."""
    try:
        found = set()
        for _ in range(30):
            with urllib.request.urlopen(f"http://{host}:{port}/", timeout=5) as page:
                found.add(page.read().decode())
    except (urllib.error.URLError, OSError) as error:
        return str(getattr(error, "reason", error))
    return " ".join(sorted(found))


def test_connections_are_spread_over_the_pods_that_are_ready(shop: Agent) -> None:
    both = "clerk-1 clerk-2"
    gateway = shop.cidr.replace("0/24", "1")
    until(lambda: from_node(address(shop), 80) == both, what="the kernel has heard of both")

    assert asked(shop, "early", "shop", 80) == both
    assert asked(shop, "early", "shop.default.svc.cluster.local", 80) == both
    assert asked(shop, "clerk-1", "shop", 80) == both  # itself among them
    assert asked(shop, "early", "shop", 53, "udp") == both
    assert asked(shop, "early", gateway, NODE_PORT) == both
    assert from_node(gateway, NODE_PORT) == from_node("127.0.0.1", NODE_PORT) == both


def test_a_failing_readiness_probe_takes_a_pod_out_and_brings_it_back(shop: Agent) -> None:
    shop.run("exec", "clerk-2", "--", "touch", "/tmp/tired")
    until(lambda: from_node(address(shop), 80) == "clerk-1", what="only one is asked")
    assert ready(shop) == ["clerk-1"]
    assert shop.container("clerk-2")["restartCount"] == 0
    assert asked(shop, "early", "shop", 53, "udp") == "clerk-1"

    shop.run("exec", "clerk-1", "--", "touch", "/tmp/tired")
    until(lambda: "refused" in from_node(address(shop), 80), what="nobody is left")
    assert "refused" in asked(shop, "early", "shop", 80)
    assert "refused" in asked(shop, "early", "shop", 53, "udp")
    assert "refused" in from_node("127.0.0.1", NODE_PORT)

    for name in ("clerk-1", "clerk-2"):
        shop.run("exec", name, "--", "rm", "/tmp/tired")
    until(lambda: from_node(address(shop), 80) == "clerk-1 clerk-2", what="both are back")


def test_variables_are_those_of_services_that_were_there_first(shop: Agent) -> None:
    shop.apply(simple_pod("unlinked", "sleep", "infinity", enableServiceLinks=False))
    shop.wait_running("unlinked")

    def variables(pod: str) -> set[str]:
        words = shop.run("exec", pod, "--", "env").split()
        return {word for word in words if word.startswith("SHOP_")}

    assert f"SHOP_SERVICE_HOST={address(shop)}" in variables("clerk-1")
    assert f"SHOP_PORT_80_TCP=tcp://{address(shop)}:80" in variables("clerk-1")
    assert variables("early") == set()
    assert variables("unlinked") == set()


def test_names_of_headless_and_external_services(shop: Agent) -> None:
    shop.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "bare"},
            "spec": {"clusterIP": "None", "selector": {"app": "shop"}},
        }
    )
    shop.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "other"},
            "spec": {"type": "ExternalName", "externalName": "shop.default.svc.cluster.local"},
        }
    )

    def looked_up(name: str) -> set[str]:
        code = "import socket, sys; print(*socket.gethostbyname_ex(sys.argv[1])[2])"
        done = shop.call("exec", "early", "--", "python3", "-c", code, name)
        return set(done.stdout.split())

    addresses = {shop.pod(name)["status"]["podIP"] for name in ("clerk-1", "clerk-2")}
    until(lambda: looked_up("bare") == addresses, what="a headless name leads to the pods")
    assert looked_up("other") == {address(shop)}
    dashed = shop.pod("clerk-1")["status"]["podIP"].replace(".", "-")
    assert looked_up(f"{dashed}.bare.default.svc.cluster.local") == {shop.pod("clerk-1")["status"]["podIP"]}


def test_everything_goes_on_without_an_agent_and_with_the_next_one(shop: Agent) -> None:
    where = address(shop)
    shop.stop()
    assert from_node(where, 80) == "clerk-1 clerk-2"
    shop.start()
    assert from_node(where, 80) == "clerk-1 clerk-2"
    table = f"minikubelet-{shop.bridge}-services"
    subprocess.run(["nft", "delete", "table", "ip", table], check=True)
    until(lambda: from_node(where, 80) == "clerk-1 clerk-2", what="what was taken away comes back")


def test_pods_reach_the_api_by_its_service_which_stays(shop: Agent) -> None:
    code = """
import os, ssl, urllib.request
where = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}/version"
mount = "/var/run/secrets/kubernetes.io/serviceaccount"
trust = ssl.create_default_context(cafile=mount + "/ca.crt")
for url in (where, "https://kubernetes.default.svc/version"):
    print(urllib.request.urlopen(url, context=trust, timeout=5).status)
"""
    assert shop.run("exec", "clerk-1", "--", "python3", "-c", code).split() == ["200", "200"]
    before = shop.run("get", "service", "kubernetes", "-o", "jsonpath={.metadata.uid}")
    shop.run("delete", "service", "kubernetes")

    def uid() -> str:
        return shop.call("get", "service", "kubernetes", "-o", "jsonpath={.metadata.uid}").stdout

    until(lambda: uid() not in ("", before), what="it is made again")


def test_nothing_is_left_of_a_service_that_is_deleted(shop: Agent) -> None:
    where = address(shop)
    shop.run("delete", "service", "shop")

    def rules() -> str:
        done = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
        return done.stdout

    until(lambda: where not in rules(), what="its rules are gone")
    until(lambda: ready(shop) == [], what="its endpoints are gone")
    until(lambda: shop.call("get", "endpoints", "shop").returncode == 1, what="in their older form, too")
