"""Ask the gRPC health service: the grpc probe (kubelet-behaviour 3.6).

`grpc.health.v1.Health/Check` over plain text, always at the pod's address. As in the kubelet's client a
connection that cannot be made is tried again, with pauses, until the time is over: a refused one therefore
ends as a *timeout*. The two messages of the service have one field each, so they are written and read here
by hand (protobuf encoding: key, then a length or a varint).
"""

from __future__ import annotations

import asyncio

from minikubelet.agent.backoff import go_duration
from minikubelet.go_text import join_host_port, quoted
from minikubelet.v1 import GRPCAction

from .connection import TransportError
from .http import KUBERNETES_VERSION
from .http2 import Channel, RpcError, open_channel
from .outcome import Outcome, error, failure, success
from .target import TargetError, resolve_host

CHECK = "/grpc.health.v1.Health/Check"
FIRST_PAUSE, PAUSE_FACTOR = 1.0, 1.6  # between attempts to connect, as in grpc-go (which adds jitter)
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


async def probe(action: GRPCAction, pod_ip: str, timeout: float) -> Outcome:
    """One time limit for connecting and asking."""
    try:
        host = resolve_host(None, pod_ip)
    except TargetError as cause:
        return error(str(cause))
    address = join_host_port(host, action.port or 0)
    deadline = asyncio.get_running_loop().time() + timeout
    channel: Channel | None = None
    try:
        async with asyncio.timeout_at(deadline):
            channel = await _connect(host, action.port or 0)
            answer = await channel.call(CHECK, request(action.service or ""), _metadata(deadline))
        return _verdict(status_of(answer))
    except TimeoutError:
        limit = go_duration(timeout)
        if channel is not None:
            return failure(f"timeout: health rpc did not complete within {limit}")
        service = f"service {quoted(address)} within {limit}"
        return failure(f"timeout: failed to connect {service}: context deadline exceeded")
    except RpcError as cause:
        return failure(_words(cause, timeout))
    finally:
        if channel is not None:
            channel.close()


async def _connect(host: str, port: int) -> Channel:
    """Until it succeeds; the caller sets the limit."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await open_channel(host, port)
        except TransportError:
            await asyncio.sleep(pause)
            pause *= PAUSE_FACTOR


def _metadata(deadline: float) -> dict[str, str]:
    """The server is told how long we shall wait: `grpc-timeout` in milliseconds."""
    left = deadline - asyncio.get_running_loop().time()
    return {"user-agent": f"kube-probe/{KUBERNETES_VERSION}", "grpc-timeout": f"{max(1, int(left * 1000))}m"}


def _words(cause: RpcError, timeout: float) -> str:
    match cause.code:
        case "Unimplemented":
            service = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
            return f"{service}: {cause.message}"
        case "DeadlineExceeded":
            return f"timeout: health rpc did not complete within {go_duration(timeout)}"
    return f"error: health rpc probe failed: {cause}"


def _verdict(status: int) -> Outcome:
    if status == STATUSES.index("SERVING"):
        return success("service healthy")
    name = STATUSES[status] if 0 <= status < len(STATUSES) else str(status)
    return failure(f"service unhealthy (responded with {quoted(name)})")


# HealthCheckRequest { string service = 1; }   HealthCheckResponse { ServingStatus status = 1; }

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types


def request(service: str) -> bytes:
    """Empty for the server as a whole."""
    text = service.encode()
    return b"\x0a" + _varint(len(text)) + text if text else b""


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def status_of(message: bytes) -> int:
    """The enum of a HealthCheckResponse; 0 when it is absent, other fields are passed over. RpcError."""
    status, position = 0, 0
    try:
        while position < len(message):
            key, position = _read_varint(message, position)
            value, position = _read_field(message, position, key & 7)
            if key == 1 << 3 | VARINT:
                status = value
    except ValueError as cause:
        text = f"grpc: failed to unmarshal the received message: {cause}"
        raise RpcError("Internal", text) from None
    return status


def _read_field(message: bytes, position: int, wire_type: int) -> tuple[int, int]:
    """(value of a varint, position after the field)."""
    if wire_type == VARINT:
        return _read_varint(message, position)
    if wire_type == LENGTH:
        length, position = _read_varint(message, position)
    elif wire_type in (FIXED64, FIXED32):
        length = 8 if wire_type == FIXED64 else 4
    else:
        raise ValueError("proto: cannot parse invalid wire-format data")
    if position + length > len(message):
        raise ValueError("unexpected EOF")
    return 0, position + length


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("unexpected EOF")
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("proto: cannot parse invalid wire-format data")
