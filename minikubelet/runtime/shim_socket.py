"""Connecting to the socket of a shim."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from minikubelet.errors import ShimUnavailable
from minikubelet.shim import protocol

_AGAIN = 0.005  # seconds


async def connect(directory: Path) -> socket.socket:
    """To the shim that listens in `directory`, not blocking. Raises ShimUnavailable.

    A path in a socket address has at most 107 bytes; through a descriptor it is always short. And where the
    queue of a listener is full, connect(2) of a unix socket that may not wait fails with EAGAIN, which
    asyncio takes for "on its way": there is no event to wait for, so it is tried again.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while not _connected(sock, f"/proc/self/fd/{at}/{protocol.SOCKET}"):  # noqa: ASYNC110
                await asyncio.sleep(_AGAIN)
        finally:
            os.close(at)
    except OSError as error:
        sock.close()
        raise ShimUnavailable(f"cannot connect to the shim in {directory}: {error.strerror}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(sock: socket.socket, address: str) -> bool:
    try:
        sock.connect(address)
    except BlockingIOError:
        return False
    return True
