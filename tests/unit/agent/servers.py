"""Real servers on 127.0.0.1 for the probes, tame and hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable

Talk = Callable[["Peer"], Awaitable[None]]

# A self-signed certificate for these tests only, and its key.
CERTIFICATE = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIP77y6NJllB5XcINqIAR/AqLfFsYGEj0siJFjj1LNoQ7oAoGCCqGSM49
AwEHoUQDQgAEyY4VgopMcm/kSB0XOSvPbFI/5WtUJWQJgzh2NE3gqnkARJowWOvh
7VEwpGEMQAuGTM0ByaFGX7ggzXK0NH5bZg==
-----END EC PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUdHLPdl8ePFPsSuRM0PiJW/Hp5vgwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGcHJvYmVkMCAXDTI2MTEyMjE5NDQyNVoYDzIxMjYxMDI5MTk0
NDI1WjARMQ8wDQYDVQQDDAZwcm9iZWQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATJjhWCikxyb+RIHRc5K89sUj/la1QlZAmDOHY0TeCqeQBEmjBY6+HtUTCkYQxA
C4ZMzQHJoUZfuCDNcrQ0fltmo1MwUTAdBgNVHQ4EFgQUrp9LLRC4MwERW5Mn8Idy
apuTdJgwHwYDVR0jBBgwFoAUrp9LLRC4MwERW5Mn8IdyapuTdJgwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBQWkOp42QCEGdqb2x894a5upxIAbyf
q5PBxE24tCa+HgIhAIVplR44ELXonYdHfw0a4wjSGj4fumtEANZKgt66imb7
-----END CERTIFICATE-----
"""


class Peer:
    """A connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    def reset(self) -> None:
        """RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER
        self.writer.transport.abort()


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(CERTIFICATE)
        file.flush()
        context.load_cert_chain(file.name)
    return context


@contextlib.asynccontextmanager
async def serving(talk: Talk, tls: bool = False) -> AsyncIterator[int]:
    """A server that talks so to everybody; yields its port."""
    talks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await talk(Peer(reader, writer))
        finally:
            talks.discard(task)
            writer.close()

    server = await asyncio.start_server(
        connected, "127.0.0.1", 0, ssl=server_tls() if tls else None, limit=1 << 16
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _ in range(5):  # whoever was accepted a moment ago begins to talk: only then is it known
            await asyncio.sleep(0)
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def answering(response: bytes | str, seen: list[str] | None = None) -> Talk:
    """Reads the request, sends this, hangs up."""

    async def talk(peer: Peer) -> None:
        request = await peer.request()
        if seen is not None:
            seen.append(request)
        await peer.send(response)

    return talk


def response(status: str = "200 OK", body: str = "", *headers: str) -> str:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", *headers]
    return "\r\n".join(lines) + "\r\n\r\n" + body
