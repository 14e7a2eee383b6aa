"""Connections to a port of a pod from inside its network namespace."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

import pytest

from minikubelet.errors import PortForwardError, ShimRequestError
from minikubelet.runtime.pod_connection import PodConnection, dial, open_socket
from tests.kernel.shims import Node, Pod

SERVER = """
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((address, port))
server.listen()
print("listening on", server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept()
    while data := client.recv(65536):
        client.sendall(data.upper())
    client.sendall(b"bye from " + address.encode())
    client.close()
"""


def listen(pod: Pod, address: str, port: int) -> int:
    container = pod.start("/usr/bin/python3", "-u", "-c", SERVER, address, str(port))
    container.wait_output("listening on ")
    return int(container.output().split("listening on ")[1].split()[0])


def connect(pod: Pod, port: int) -> PodConnection:
    return pod.node.wait(dial(partial(open_socket, pod.directory), port, "0" * 64, "netns"))


def conversation(pod: Pod, port: int) -> bytes:
    async def talk() -> bytes:
        connection = await dial(partial(open_socket, pod.directory), port, "0" * 64, "netns")
        await connection.write(b"hello ")
        connection.end()
        said = b""
        while data := await connection.read():
            said += data
        connection.close()
        return said

    return pod.node.wait(talk())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
def test_what_listens_on_the_pods_loopback_is_reached_and_half_an_end_is_passed_on(
    node: Node, address: str
) -> None:
    if address == "::1" and not Path("/proc/net/if_inet6").exists():
        address = "127.0.0.1"  # a kernel without IPv6
    pod = node.pod()
    listen(pod, address, 8080)
    assert conversation(pod, 8080) == b"HELLO bye from " + address.encode()


def test_two_pods_have_each_their_own_loopback_and_the_node_its_own(node: Node) -> None:
    one, two = node.pod(), node.pod()
    listen(one, "127.0.0.1", 8080)
    with pytest.raises(PortForwardError, match="connection refused"):
        connect(two, 8080)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", 8080), 5):
        pass


def test_with_the_hosts_network_it_is_the_nodes_loopback(node: Node) -> None:
    pod = node.pod(host_network=True)
    port = listen(pod, "127.0.0.1", 0)
    assert conversation(pod, port).startswith(b"HELLO")
    with socket.create_connection(("127.0.0.1", port), 5):
        pass


def test_a_shim_keeps_no_socket_it_has_given_away(node: Node) -> None:
    pod = node.pod()
    connect_once = partial(open_socket, pod.directory, "inet")
    node.wait(connect_once()).close()
    before = len(os.listdir(f"/proc/{pod.pid}/fd"))
    for _ in range(50):
        node.wait(connect_once()).close()
    pod.node.wait(pod.client.state())  # it has seen our ends
    assert len(os.listdir(f"/proc/{pod.pid}/fd")) <= before


def test_another_family_is_refused(node: Node) -> None:
    pod = node.pod()
    with pytest.raises(ShimRequestError, match="bad request"):
        node.wait(open_socket(pod.directory, "packet"))
