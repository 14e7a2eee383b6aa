"""One TCP connection from the node to a container, with or without TLS, in the words of Go's net package.

A bare non-blocking socket on the event loop: half the processor time of asyncio's streams, no buffer that a
peer could fill (what was not asked for stays in the kernel), and the error of every call at hand.

Nothing is left of a connection, not even TIME_WAIT: thousands a minute would use up the ports and the
connection tracking of the node. `close` sends FIN (unless the server did so first), so that the server reads
an orderly end, and then RST (SO_LINGER 0), which frees both ends at once; `abort` sends RST alone, for a
connection given up half-way or one whose protocol has a good-bye of its own. The kubelet sets SO_LINGER to
one second for that purpose; here this would block the whole agent in close(2) whenever the peer does not
acknowledge.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from ipaddress import ip_address

from minikubelet.go_text import join_host_port, os_error

CHUNK = 16 * 1024
_RST_ON_CLOSE = struct.pack("ii", 1, 0)
_ESTABLISHED = 1  # TCP_ESTABLISHED: the first byte of struct tcp_info (tcp(7)) is the state
_FLAGS = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class TransportError(Exception):
    """No answer; the message is Go's. `plain_answer`: HTTP came where TLS was expected."""

    def __init__(self, message: str, *, plain_answer: bool = False) -> None:
        super().__init__(message)
        self.plain_answer = plain_answer


@cache
def _resolver() -> ThreadPoolExecutor:
    """Threads for name look-ups of their own: one that hangs may only delay other probes that use names."""
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="probe-dns")


@cache
def _tls_context() -> ssl.SSLContext:
    """Nothing is verified: a probe asks whether the server answers, not who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.set_alpn_protocols(["http/1.1"])
    return context


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _addresses(host: str) -> list[str]:
    if is_address(host):
        return [host]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(
            _resolver(), socket.getaddrinfo, host, None, socket.AF_UNSPEC, socket.SOCK_STREAM
        )
    except socket.gaierror as error:
        missing = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        cause = "no such host" if missing else os_error(error)
        raise TransportError(f"dial tcp: lookup {host}: {cause}") from None
    except UnicodeError:  # a part of it is empty, or longer than any can be
        raise TransportError(f"dial tcp: lookup {host}: no such host") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect(host: str, port: int) -> Connection:
    """Try the addresses of `host` in turn; the error is the first one's."""
    first: TransportError | None = None
    for address in await _addresses(host):
        try:
            return await _connect(address, port)
        except TransportError as error:
            first = first or error
    raise first or TransportError(f"dial tcp: lookup {host}: no such host")


async def _connect(address: str, port: int) -> Connection:
    peer = join_host_port(address, port)
    target = f"dial tcp {peer}"
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, _FLAGS)
    except OSError as error:
        raise TransportError(f"{target}: socket: {os_error(error)}") from None
    # As Go does: or a request of two small writes waits for the peer's delayed acknowledgement.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except OSError as error:
        sock.close()
        raise TransportError(f"{target}: connect: {os_error(error)}") from None
    except BaseException:  # out of time: leave nothing behind
        sock.close()
        raise
    return Connection(sock, peer)


class Connection:
    """`buffer` holds what was received and not yet taken."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.buffer = bytearray()
        self._sock = sock
        self.peer = peer  # once the connection is reset the socket does not know it any more
        self._loop = asyncio.get_running_loop()
        self._fills = 0
        self._tls: ssl.SSLObject | None = None

    async def start_tls(self, host: str) -> None:
        name = None if is_address(host) else host
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _tls_context().wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        greeting = b""
        while True:
            try:
                self._tls.do_handshake()
                return await self._flush()
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLError as error:
                raise _tls_error(error, greeting) from None
            data = await self._receive()
            if not data:
                raise TransportError("EOF")
            greeting = (greeting + data)[:5]
            self._incoming.write(data)

    async def send(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
            return await self._flush()
        await self._send(data)

    async def fill(self) -> bool:
        """Receive something into the buffer; False at the end of the stream.

        Data that is already there is received without waiting; after a few times the others get their turn,
        or a flood would stop every other probe and the time limit of this one.
        """
        self._fills += 1
        if self._fills > 2:
            await asyncio.sleep(0)
        data = await self._receive() if self._tls is None else await self._receive_tls(self._tls)
        self.buffer += data
        return bool(data)

    def close(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        # A peer that closed first would get into TIME_WAIT by our FIN, and then no RST would follow any more.
        if self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED:
            with suppress(OSError):  # the peer was faster and has reset it
                self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()  # at once: a FIN that came in between would leave TIME_WAIT after all

    def abort(self, farewell: bytes = b"") -> None:
        """`farewell` is sent if that needs no waiting; the peer can read it before it meets the RST."""
        if farewell:
            with suppress(OSError):
                self._sock.send(farewell)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self._sock.close()

    async def _receive(self) -> bytes:
        try:
            return await self._loop.sock_recv(self._sock, CHUNK)
        except OSError as error:
            raise TransportError(f"read tcp {self._ends()}: read: {os_error(error)}") from None

    async def _send(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._sock, data)
        except OSError as error:
            raise TransportError(f"write tcp {self._ends()}: write: {os_error(error)}") from None

    async def _receive_tls(self, tls: ssl.SSLObject) -> bytes:
        while True:
            try:
                return tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise _tls_error(error) from None
            if data := await self._receive():
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._send(data)

    def _ends(self) -> str:
        """`127.0.0.1:40000->127.0.0.1:80`."""
        host, port, *_ = self._sock.getsockname()
        return f"{join_host_port(host, port)}->{self.peer}"


def _tls_error(error: ssl.SSLError, greeting: bytes = b"") -> TransportError:
    if greeting == b"HTTP/":
        return TransportError("http: server gave HTTP response to HTTPS client", plain_answer=True)
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return TransportError("tls: first record does not look like a TLS handshake")
    text = reason.lower().replace("_", " ")
    for prefix in ("sslv3 alert ", "tlsv1 alert ", "tlsv13 alert "):
        if text.startswith(prefix):
            return TransportError(f"remote error: tls: {text.removeprefix(prefix)}")
    return TransportError(f"tls: {text}")
