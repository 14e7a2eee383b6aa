"""Readers of pipes: in which order, how much, and not while they are paused."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from functools import partial

import pytest

from minikubelet.shim.loop import READ, Loop
from minikubelet.shim.streams import F_GETPIPE_SZ, PORTION, Reader

F_SETPIPE_SZ = F_GETPIPE_SZ - 1


class Pipes:
    """The two pipes of a process, what was heard of them, and a third one for whatever else happens."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.loop.call_later(60, lambda: pytest.fail("nothing is ready"))
        (self._out, self.out), (self._err, self.err), (self.other, self.tell) = (os.pipe() for _ in range(3))
        self.heard: list[tuple[str, bytes]] = []
        for fd in (self._out, self._err):
            os.set_blocking(fd, False)
        self.stdout = Reader(self.loop, self._out, partial(self.hear, "stdout"))
        self.stderr = Reader(self.loop, self._err, partial(self.hear, "stderr"))

    def hear(self, name: str, data: bytes) -> None:
        self.heard.append((name, data))

    def close(self) -> None:
        self.stdout.close()
        self.stderr.close()
        for fd in (self.out, self.err, self.other, self.tell):
            os.close(fd)
        self.loop._epoll.close()


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


def test_what_came_first_is_read_first_also_if_the_other_pipe_was_just_read(pipes: Pipes) -> None:
    """The reader is held up where it hands on what it has read; meanwhile the process goes on."""
    hear = pipes.hear

    def slowly(name: str, data: bytes) -> None:
        hear(name, data)
        if data == b"zero":
            os.write(pipes.err, b"first")
            os.write(pipes.out, b"second")

    pipes.stdout._received = partial(slowly, "stdout")
    os.write(pipes.out, b"zero")
    while len(pipes.heard) < 3:
        pipes.loop.turn()
    assert pipes.heard == [("stdout", b"zero"), ("stderr", b"first"), ("stdout", b"second")]


def test_catching_up_takes_what_the_kernel_has_told_already(pipes: Pipes) -> None:
    """Its end is told in the same round as its last words, and looked at before them."""

    def ended() -> None:
        os.read(pipes.other, 1)
        pipes.loop.catch_up({pipes.stdout.fd, pipes.stderr.fd})
        pipes.stdout.drain()

    pipes.loop.watch(pipes.other, READ, ended)
    os.write(pipes.tell, b"x")
    os.write(pipes.err, b"first")
    os.write(pipes.out, b"second")
    pipes.loop.turn()
    assert pipes.heard == [("stderr", b"first"), ("stdout", b"second")]


def test_more_than_one_portion_is_read_to_its_end(pipes: Pipes) -> None:
    total = 3 * PORTION + 1
    fcntl.fcntl(pipes.out, F_SETPIPE_SZ, 4 * PORTION)
    assert os.write(pipes.out, bytes(total)) == total
    while sum(len(data) for _, data in pipes.heard) < total:
        pipes.loop.turn()


def test_the_end_is_noticed_though_it_comes_with_the_last_words(pipes: Pipes) -> None:
    os.write(pipes.out, b"x")
    os.close(pipes.out)
    pipes.out = os.open("/dev/null", os.O_WRONLY)
    while pipes.stdout.open:
        pipes.loop.turn()
    assert pipes.heard == [("stdout", b"x")]


def test_who_pauses_after_a_portion_gets_the_rest_when_it_goes_on(pipes: Pipes) -> None:
    hear = pipes.hear

    def enough(name: str, data: bytes) -> None:
        hear(name, data)
        pipes.stdout.pause()

    pipes.stdout._received = partial(enough, "stdout")
    fcntl.fcntl(pipes.out, F_SETPIPE_SZ, 2 * PORTION)
    os.write(pipes.out, bytes(2 * PORTION))
    os.write(pipes.err, b"x")
    pipes.loop.turn()
    os.write(pipes.err, b"y")
    pipes.loop.turn()
    assert [name for name, _ in pipes.heard] == ["stdout", "stderr", "stderr"]
    pipes.stdout.resume()
    pipes.loop.turn()
    assert [len(data) for name, data in pipes.heard if name == "stdout"] == [PORTION, PORTION]
