"""The official Python client's streams on the real agent: exec over a WebSocket, ports in its own dialect."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.stream import portforward, stream

from tests.e2e.conftest import FACTOR, Agent, simple_pod, until

# Its WebSockets are closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

SERVER = """
import socket
listener = socket.create_server(("", 8095))
while True:
    peer, _ = listener.accept()
    while data := peer.recv(65536):
        peer.sendall(data.upper())
    peer.close()
"""


@pytest.fixture(scope="module")
def core(agent: Agent) -> Iterator[client.CoreV1Api]:
    with config.new_client_from_config(agent.run("kubeconfig").strip()) as api:
        yield client.CoreV1Api(api)


@pytest.fixture(scope="module")
def web(agent: Agent) -> str:
    """A pod whose server listens."""
    listens = {"readinessProbe": {"tcpSocket": {"port": 8095}, "periodSeconds": 1}}
    agent.apply(simple_pod("web", "python3", "-c", SERVER, container=listens))
    until(lambda: agent.container("web").get("ready"), what="the server listens")
    return "web"


def test_exec_has_streams_and_an_exit_code(core: client.CoreV1Api, web: str) -> None:
    def run(command: list[str], **options: Any) -> Any:
        every = {"stderr": True, "stdin": False, "stdout": True, "tty": False, **options}
        return stream(core.connect_get_namespaced_pod_exec, web, "default", command=command, **every)

    assert run(["echo", "hello"]) == "hello\n"
    session = run(
        ["sh", "-c", "read line; echo got $line; echo oops >&2; exit 7"], stdin=True, _preload_content=False
    )
    session.write_stdin("words\n")
    session.run_forever(timeout=30 * FACTOR)
    session.close()
    assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("got words\n", "oops\n", 7)


def test_a_port_is_forwarded(core: client.CoreV1Api, web: str) -> None:
    forward = portforward(core.connect_get_namespaced_pod_portforward, web, "default", ports="8095")
    link = forward.socket(8095)
    link.settimeout(30 * FACTOR)
    link.sendall(b"through the api")
    said = b""
    while len(said) < 15 and (piece := link.recv(100)):
        said += piece
    assert said == b"THROUGH THE API"
    link.shutdown(socket.SHUT_RDWR)
    link.close()
    assert forward.error(8095) is None
    gc.collect()  # here, where it may complain of the sockets that the client leaves open
