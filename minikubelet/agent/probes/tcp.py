"""Connect and hang up: the tcpSocket probe (kubelet-behaviour 3.6)."""

from __future__ import annotations

import asyncio

from minikubelet.go_text import join_host_port
from minikubelet.v1 import Container, TCPSocketAction

from .connection import TransportError, connect
from .outcome import Outcome, error, failure, success
from .target import TargetError, resolve_host, resolve_port


async def probe(action: TCPSocketAction, container: Container, pod_ip: str, timeout: float) -> Outcome:
    """Success as soon as the connection stands; nothing is sent."""
    try:
        port = resolve_port(action.port, container)
        host = resolve_host(action.host, pod_ip)
    except TargetError as cause:
        return error(str(cause))
    try:
        async with asyncio.timeout(timeout):
            connection = await connect(host, port)
    except TimeoutError:
        return failure(f"dial tcp {join_host_port(host, port)}: i/o timeout")
    except TransportError as cause:
        return failure(str(cause))
    connection.close()
    return success()
