"""Who gets at the API of a real agent: pods with their tokens, users, and those who have no business there
(threats A27, A29, A44, A48).
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Agent, simple_pod, until

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ASK = f"""
import json, socket, ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context(cafile="{MOUNT}/ca.crt")
token = open("{MOUNT}/token").read()
def ask(path, **headers):
    try:
        request = urllib.request.Request(sys.argv[1] + path, headers=headers)
        return urllib.request.urlopen(request, context=context, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
pods = "/api/v1/namespaces/default/pods"
good = {{"Authorization": "Bearer " + token}}
print(json.dumps([ask(pods), ask(pods, **good), ask("/api", **good), ask("/healthz")]))
"""


def door(agent: Agent) -> str:
    """Where pods find the API: the bridge's address, the port of loopback (nobody else has it there)."""
    return f"https://{agent.cidr.rpartition('.')[0]}.1:{address(agent)[1]}"


def address(agent: Agent) -> tuple[str, int]:
    """HOST and PORT of the ready line."""
    host, _, port = agent.ready_line.split("https://")[1].split()[0].rpartition(":")
    return host, int(port)


def ask_from(agent: Agent, pod: str) -> list[int]:
    """The codes of four questions."""
    return json.loads(agent.run("exec", pod, "--", "python3", "-c", ASK, door(agent)))


@contextmanager
def connection(agent: Agent) -> Iterator[ssl.SSLSocket]:
    """TLS to the port, without credentials."""
    context = ssl.create_default_context(cafile=str(agent.root / "etc/pki/ca.crt"))
    raw = socket.create_connection(address(agent), timeout=20)
    with raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped:
        yield wrapped


def send(agent: Agent, request: str, **headers: str) -> str:
    """The first line of the answer to METHOD PATH."""
    lines = [f"{request} HTTP/1.1", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
    if "Host" not in headers:
        lines.append("Host: 127.0.0.1")
    with connection(agent) as sock:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return sock.recv(65536).decode().partition("\r\n")[0]


def admin(agent: Agent) -> str:
    return f"Bearer {(agent.root / 'etc/pki/token').read_text().strip()}"


def test_a_pod_speaks_to_the_api_with_its_token_and_sees_what_its_account_may(agent: Agent) -> None:
    """A27: without the token nothing, also in the node's network."""
    agent.apply(simple_pod("web", "sleep", "3600"))
    agent.apply(simple_pod("on-host", "sleep", "3600", hostNetwork=True))
    agent.wait_running("web")
    agent.wait_running("on-host")
    assert ask_from(agent, "web") == ask_from(agent, "on-host") == [401, 403, 200, 200]
    agent.run("annotate", "namespace", "default", "role.minikubelet.io/default=view")
    assert ask_from(agent, "web") == [401, 200, 200, 200]
    agent.run("annotate", "namespace", "default", "role.minikubelet.io/default-")
    assert ask_from(agent, "web") == [401, 403, 200, 200]
    shown = agent.run("describe", "pod", "web")
    assert f"{MOUNT} from kube-api-access-" in shown
    assert "TokenExpirationSeconds:  3607" in shown
    agent.run("delete", "pod", "web", "on-host")


def test_a_pod_finds_the_api_as_clients_in_a_cluster_do(fresh_agent: Agent) -> None:
    """By the environment and by name, with the files at the usual place."""
    # A network of Services of its own: other agents on this machine may have the usual one.
    fresh_agent.start("--service-cidr", f"10.98.{fresh_agent.cidr.split('.')[2]}.0/24")
    fresh_agent.apply(simple_pod("web", "sleep", "3600"))
    fresh_agent.wait_running("web")
    for url in (
        "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT",
        "https://kubernetes.default.svc",
    ):
        ask = f'python3 -c "$0" {url}'
        command = ("exec", "web", "--", "sh", "-c", ask, ASK)
        told = until(lambda command=command: fresh_agent.call(*command).stdout, what="the Service's rules")
        assert json.loads(told) == [401, 403, 200, 200]


@pytest.mark.parametrize(
    ("security", "shown"),
    [
        ({}, "644 0 0"),
        ({"runAsUser": 1000}, "600 1000 0"),
        ({"runAsUser": 1000, "fsGroup": 2000}, "640 1000 2000"),
        ({"fsGroup": 2000}, "640 0 2000"),
    ],
)
def test_who_may_read_the_token_and_where_it_is(agent: Agent, security: dict[str, Any], shown: str) -> None:
    """A29: on a tmpfs, and nowhere else on the node."""
    look = f"stat -L -c '%a %u %g' {MOUNT}/token; stat -f -c %T {MOUNT}; cat {MOUNT}/namespace; echo"
    agent.apply(simple_pod("reader", "sleep", "3600", securityContext=security))
    agent.wait_running("reader")
    told = agent.run("exec", "reader", "--", "sh", "-c", f"{look}; cat {MOUNT}/token").split("\n")
    assert told[:3] == [shown, "tmpfs", "default"]
    canary = told[3].rpartition(".")[2]  # the signature
    found = subprocess.run(
        ["grep", "-rlF", "--exclude-dir=proc", canary, str(agent.root / "log"), str(agent.root / "lib"),
         str(agent.root / "agent.log")], capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert all("kubernetes.io~projected" in path for path in found), found
    agent.run("delete", "pod", "reader")


def test_a_token_of_ones_own_choice_is_renewed_in_place(agent: Agent) -> None:
    source = {"serviceAccountToken": {"path": "vault", "audience": "vault", "expirationSeconds": 600}}
    pod = simple_pod(
        "chosen",
        "sleep",
        "3600",
        automountServiceAccountToken=False,
        container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        volumes=[{"name": "v", "projected": {"sources": [source]}}],
    )
    agent.apply(pod)
    agent.wait_running("chosen")
    token = agent.run("exec", "chosen", "--", "cat", "/v/vault")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (["vault"], 600)
    assert claims["kubernetes.io"]["pod"]["name"] == "chosen"
    assert agent.call("exec", "chosen", "--", "ls", MOUNT).returncode != 0
    agent.run("delete", "pod", "chosen")


def test_hosts_pages_and_paths_that_are_refused(agent: Agent) -> None:
    """A44."""
    good = {"Authorization": admin(agent)}
    assert " 200 " in send(agent, "GET /api/v1/pods", **good)
    for host in ("evil.example", "127.0.0.1.evil.example", "[::"):
        assert " 400 " in send(agent, "GET /api/v1/pods", Host=host, **good), host
    assert " 403 " in send(agent, "GET /api/v1/pods", Origin="https://evil.example", **good)
    assert " 403 " in send(
        agent,
        "GET /api/v1/namespaces/default/pods/x/exec?command=id",
        Origin="https://evil.example",
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        Sec_WebSocket_Protocol="v5.channel.k8s.io",
        **good,
    )
    for path in ("/api/v1/../../etc/passwd", "/minikubelet/v1/%2e%2e/x", "/api/v1/namespaces/..%2f/pods"):
        first = send(agent, f"GET {path}", **good)
        assert " 404 " in first or " 400 " in first, path
    large = send(agent, "POST /api/v1/namespaces/default/configmaps", Content_Length="99999999", **good)
    assert " 413 " in large


def test_no_old_tls(agent: Agent) -> None:
    host, port = address(agent)
    ask = ["openssl", "s_client", "-connect", f"{host}:{port}", "-cipher", "ALL:@SECLEVEL=0"]
    for version, good in (("-tls1_1", False), ("-tls1_2", True)):
        done = subprocess.run([*ask, version], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert (done.returncode == 0) is good, done.stderr


def test_who_sends_nothing_keeps_nobody_waiting(agent: Agent) -> None:
    """A44: two hundred that never end their headers, and fifty that never begin to speak TLS."""
    with ExitStack() as stack:
        for _ in range(200):
            sock = stack.enter_context(connection(agent))
            sock.sendall(b"GET /api/v1/pods HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        for _ in range(50):
            stack.enter_context(socket.create_connection(address(agent), timeout=20))
        assert " 200 " in send(agent, "GET /api/v1/pods", Authorization=admin(agent))
        assert agent.call("get", "pods").returncode == 0


def test_writes_are_written_down_and_strangers_are_not(agent: Agent) -> None:
    """A48."""
    log = agent.root / "log" / "minikubelet" / "audit.log"
    agent.run("create", "configmap", "noted", "--from-literal=key=canary-value")
    line = until(lambda: [one for one in lines(log) if one.get("resource") == "configmaps"])[-1]
    assert line["user"] == "kubernetes-admin"
    assert (line["verb"], line["namespace"], line["code"]) == ("create", "default", 201)
    assert "canary-value" not in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    before, told = log.stat().st_size, len(agent.log())
    for _ in range(300):
        assert " 401 " in send(agent, "POST /api/v1/namespaces/default/configmaps", Content_Length="0")
        assert " 401 " in send(agent, "DELETE /api/v1/pods", Authorization="Bearer " + "x" * 1000)
    assert log.stat().st_size == before
    assert len(agent.log()) - told < 500  # one line about failed logins, not three hundred
    agent.run("delete", "configmap", "noted")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
