"""WebSocket framing, against bytes written by hand; the whole conversation is in test_exec."""

from __future__ import annotations

import io
import os
import socket
import threading
from queue import SimpleQueue

import pytest

from minikubelet.cli.client import Response
from minikubelet.cli.errors import CliError
from minikubelet.cli.websocket import WebSocket


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    websocket = WebSocket(Response(ours, ours.makefile("rb"), 101, {}))
    theirs.settimeout(10)
    yield websocket, theirs
    websocket.close()
    theirs.close()


def frame(opcode: int, payload: bytes, final: bool = True) -> bytes:
    """As a server sends: not masked."""
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 1 << 16:
        return head + bytes([126]) + size.to_bytes(2, "big") + payload
    return head + bytes([127]) + size.to_bytes(8, "big") + payload


def received(sock: socket.socket) -> tuple[int, bytes]:
    """One frame of a client, unmasked."""
    stream = io.BufferedReader(socket.SocketIO(sock, "r"), 1)
    first, second = stream.read(2)
    assert second & 0x80, "a client must mask"
    size = second & 0x7F
    if size >= 126:
        size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
    key, masked = stream.read(4), stream.read(size)
    return first, bytes(byte ^ key[at % 4] for at, byte in enumerate(masked))


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 65534, 65535, 70000])
def test_a_message_of_any_size_goes_both_ways(pair, size):
    websocket, theirs = pair
    data = os.urandom(size)
    sender = threading.Thread(target=websocket.send, args=(0, data))
    sender.start()
    assert received(theirs) == (0x82, b"\0" + data)
    sender.join()
    sender = threading.Thread(target=theirs.sendall, args=(frame(2, b"\1" + data) + frame(8, b""),))
    sender.start()
    assert list(websocket.messages()) == [(1, data)]
    sender.join()


def test_fragments_are_joined_and_a_ping_between_them_is_answered(pair):
    websocket, theirs = pair
    theirs.sendall(
        frame(2, b"\1he", final=False) + frame(9, b"ping") + frame(0, b"llo") + frame(8, b"\x03\xe8")
    )
    assert list(websocket.messages()) == [(1, b"hello")]
    assert sorted(received(theirs) for _ in range(2)) == [(0x88, b"\x03\xe8"), (0x8A, b"ping")]


def test_output_is_read_while_the_agent_takes_no_input(pair):
    """Not before that output is read: whoever reads must not wait for a turn to answer a ping."""
    websocket, theirs = pair
    data = bytes(8 << 20)
    sender = threading.Thread(target=websocket.send, args=(0, data))
    sender.start()
    theirs.recv(1)  # it has begun, and has its turn until all is taken
    theirs.sendall(frame(9, b"ping") + frame(2, b"\1hello"))
    messages, first = websocket.messages(), SimpleQueue()
    threading.Thread(target=lambda: first.put(next(messages)), daemon=True).start()
    assert first.get(timeout=30) == (1, b"hello")
    theirs.sendall(frame(8, b""))
    left = len(data) + 2 + 8 + 4
    while left > 0:
        left -= len(theirs.recv(min(left, 1 << 20)))
    sender.join()
    assert received(theirs) == (0x8A, b"ping")
    assert list(messages) == []


def test_the_end_of_stdin_is_told_on_channel_255(pair):
    websocket, theirs = pair
    websocket.close_stdin()
    assert received(theirs) == (0x82, b"\xff\0")


def test_a_lost_connection_is_an_error(pair):
    websocket, theirs = pair
    theirs.sendall(frame(2, b"\1x")[:2])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(CliError, match="lost connection to the agent"):
        list(websocket.messages())


def test_sending_to_a_vanished_agent_is_left_to_the_reader(pair):
    websocket, theirs = pair
    theirs.close()
    for _ in range(3):
        websocket.send(0, b"x" * 100000)
