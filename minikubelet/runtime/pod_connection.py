"""A TCP connection to a port of a pod, made to its own loopback: what `kubectl port-forward` is made of.

Most servers that people forward to listen on 127.0.0.1 only, so the connection must come from inside the
pod's network namespace. A socket belongs to the namespace it was made in; the shim, which lives there, makes
it and sends it here (SCM_RIGHTS), and the agent connects it and does the rest without ever entering a
namespace. With hostNetwork the shim's namespace is the node's, and so is the loopback.

127.0.0.1 is tried before ::1, and errors are told in the words of containerd's streaming server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from minikubelet.errors import PortForwardError, ShimError, ShimRequestError, ShimUnavailable
from minikubelet.go_text import join_host_port, os_error
from minikubelet.runtime import shim_socket
from minikubelet.shim import protocol

PORTION = 64 << 10
_LINE = 64 << 10
_LOOPBACK = (("tcp4", "inet", "127.0.0.1"), ("tcp6", "inet6", "::1"))

OpenSocket = Callable[[str], Awaitable[socket.socket]]


class PodConnection:
    """`runtime.cri.PortConnection`."""

    def __init__(self, sock: socket.socket, network: str, peer: str, failed: str) -> None:
        """`failed` stands before the cause in every error.

        `peer` is given: a socket whose connection the server has reset does not know it any more.
        """
        self._sock = sock
        self._ends = f"{network} {_name(sock.getsockname())}->{peer}"
        self._failed = failed
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        try:
            return await self._loop.sock_recv(self._sock, PORTION)
        except OSError as error:
            raise PortForwardError(f"{self._failed}read {self._ends}: read: {os_error(error)}") from error

    async def write(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._sock, data)
        except OSError as error:
            raise PortForwardError(f"{self._failed}write {self._ends}: write: {os_error(error)}") from error

    def end(self) -> None:
        with contextlib.suppress(OSError):  # the server was faster
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()


async def dial(open_socket: OpenSocket, port: int, sandbox_id: str, namespace: str) -> PodConnection:
    """`open_socket` gives a fresh socket of the family "inet" or "inet6". Raises PortForwardError."""
    start = f"error forwarding port {port} to pod {sandbox_id}, uid : "
    failed = f'{start}failed to execute portforward in network namespace "{namespace}": '
    causes = []
    for network, family, address in _LOOPBACK:
        try:
            sock = await _connect(open_socket, family, address, port)
        except OSError as error:
            causes.append(f"dial {network} {join_host_port(address, port)}: connect: {os_error(error)}")
        except ShimRequestError as error:  # no IPv6 in this kernel, too many open files
            causes.append(f"dial {network} {join_host_port(address, port)}: socket: {error}")
        except ShimError as error:
            raise PortForwardError(f"{failed}{error}") from error
        else:
            return PodConnection(sock, network, join_host_port(address, port), failed)
    raise PortForwardError(
        f'{failed}failed to connect to localhost:{port} inside namespace "{sandbox_id}", '
        f"IPv4: {causes[0]} IPv6 {causes[1]} "
    )


async def _connect(open_socket: OpenSocket, family: str, address: str, port: int) -> socket.socket:
    sock = await open_socket(family)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def open_socket(directory: Path, family: str) -> socket.socket:
    """A TCP socket of the pod whose shim listens in `directory`, not blocking. Raises ShimError."""
    with await shim_socket.connect(directory) as shim:
        try:
            request = protocol.encode({"id": 1, "op": "open_socket", "family": family})
            await asyncio.get_running_loop().sock_sendall(shim, request)
            answer, descriptors = await _receive(shim)
        except OSError as error:
            raise ShimUnavailable(f"the shim in {directory} is gone: {error.strerror}") from error
    if not answer:
        raise ShimUnavailable(f"the shim in {directory} is gone")
    if not descriptors:
        refusal = json.loads(answer)["error"]
        raise ShimRequestError(refusal["step"], refusal["errno"], refusal["text"])
    sock = socket.socket(fileno=descriptors[0])
    sock.setblocking(False)
    return sock


async def _receive(shim: socket.socket) -> tuple[bytes, list[int]]:
    """The answer, and the descriptor that came with it."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(shim, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(shim)
    answer, descriptors, _, _ = socket.recv_fds(shim, _LINE, 1, socket.MSG_CMSG_CLOEXEC)
    return answer, descriptors


def _name(address: tuple[str, int]) -> str:
    return join_host_port(address[0], address[1])
