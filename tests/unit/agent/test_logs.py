"""Logs as the API serves them: options, errors, and followers that lose nothing."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from minikubelet.agent.logs import ContainerLogs, LogOptions, log_container, log_instance, read_log
from minikubelet.errors import BadRequest
from minikubelet.runtime import cri
from minikubelet.runtime.file_watch import FileWatch
from minikubelet.v1 import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    EphemeralContainer,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
)

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LOG = b"""\
2026-01-01T12:00:00.1Z stdout F one
2026-01-01T12:00:01.25Z stderr F two
2026-01-01T12:00:02.123456789Z stdout P thr
2026-01-01T12:00:03Z stdout F ee
2026-01-01T12:00:04+00:00 stdout F four
"""


async def stopped() -> bool:
    return False


def read(path: Path, running=stopped, **options) -> bytes:
    async def story() -> bytes:
        async with aclosing(read_log(path, LogOptions(**options), running, FileWatch())) as pieces:
            return b"".join([piece async for piece in pieces])

    return asyncio.run(asyncio.wait_for(story(), 20))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_bytes(LOG)
    return path


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, b"one\ntwo\nthree\nfour\n", id="everything"),
        pytest.param({"tail_lines": 1}, b"four\n", id="tail 1"),
        pytest.param({"tail_lines": 2}, b"ee\nfour\n", id="tail counts lines of the file"),
        pytest.param({"tail_lines": 5}, b"one\ntwo\nthree\nfour\n", id="tail of all"),
        pytest.param({"tail_lines": 99}, b"one\ntwo\nthree\nfour\n", id="tail of more than all"),
        pytest.param({"tail_lines": 0}, b"", id="tail 0"),
        pytest.param({"tail_lines": -1}, b"one\ntwo\nthree\nfour\n", id="tail -1"),
        pytest.param({"since": NOON + timedelta(seconds=1.25)}, b"two\nthree\nfour\n", id="since, inclusive"),
        pytest.param({"since": NOON + timedelta(seconds=1.250001)}, b"three\nfour\n", id="since, later"),
        pytest.param(
            {"since": (NOON + timedelta(seconds=4)).astimezone(timezone(timedelta(hours=5)))},
            b"four\n",
            id="since, another zone",
        ),
        pytest.param(
            {"tail_lines": 2, "since": NOON + timedelta(seconds=4)}, b"four\n", id="tail before since"
        ),
        pytest.param({"limit_bytes": 5}, b"one\nt", id="cut in the middle of a line"),
        pytest.param({"limit_bytes": 1000}, b"one\ntwo\nthree\nfour\n", id="a limit that is not reached"),
        pytest.param(
            {"timestamps": True},
            b"2026-01-01T12:00:00.100000000Z one\n"
            b"2026-01-01T12:00:01.250000000Z two\n"
            b"2026-01-01T12:00:02.123456789Z three\n"
            b"2026-01-01T12:00:04.000000000Z four\n",
            id="timestamps have nine digits and stand where a line begins",
        ),
        pytest.param(
            {"timestamps": True, "limit_bytes": 33},
            b"2026-01-01T12:00:00.100000000Z on",
            id="timestamps count",
        ),
    ],
)
def test_options(log, options, expected, follow):
    assert read(log, follow=follow, **options) == expected


def test_a_zone_stays_as_written(tmp_path):
    path = tmp_path / "0.log"
    path.write_bytes(b"2026-01-01T13:00:00.5+01:00 stdout F x\n")
    assert read(path, timestamps=True) == b"2026-01-01T13:00:00.500000000+01:00 x\n"
    assert read(path, since=NOON + timedelta(seconds=0.5)) == b"x\n"
    assert read(path, since=NOON + timedelta(seconds=0.6)) == b""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"2026-01-01T12:00:00Z stdout F \n", b"\n", id="an empty line"),
        pytest.param(b"2026-01-01T12:00:00Z stdout F a  b \n", b"a  b \n", id="blanks stay"),
        pytest.param(b"2026-01-01T12:00:00Z stdout F last", b"last\n", id="no newline at the end"),
        pytest.param(b"2026-01-01T12:00:00Z stdout P half\n", b"half", id="ends with a partial line"),
        pytest.param(
            b"garbage\n\n\x00\n2026-01-01T12:00:00Z stdout F ok\n", b"ok\n", id="lines that are none"
        ),
        pytest.param(
            b"2026-01-01T12:00:00Z stdnull F x\n2026-01-01T12:00:00Z stdout F ok\n", b"ok\n", id="no stream"
        ),
        pytest.param(
            b"2026-01-01T12:00:00Z stdout F " + b"x" * 300_000 + b"\n2026-01-01T12:00:00Z stdout F ok\n",
            b"ok\n",
            id="a line no writer makes is not kept in memory",
        ),
    ],
)
def test_strange_files(tmp_path, raw, expected):
    path = tmp_path / "0.log"
    path.write_bytes(raw)
    assert read(path) == expected


@pytest.mark.parametrize("tail", [1, 100, 12_345, 20_000])
def test_the_tail_of_a_large_file(tmp_path, tail):
    path = tmp_path / "0.log"
    lines = [b"2026-01-01T12:00:00Z stdout F line %d\n" % number for number in range(20_000)]
    path.write_bytes(b"".join(lines))
    expected = b"".join(b"line %d\n" % number for number in range(20_000 - tail, 20_000))
    assert read(path, tail_lines=tail) == expected


def test_a_missing_file_is_said_in_the_log_itself(tmp_path):
    path = tmp_path / "0.log"
    assert read(path) == (
        f'failed to try resolving symlinks in path "{path}": lstat {path}: no such file or directory'.encode()
    )


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(LOG)
    path = tmp_path / "0.log"
    path.symlink_to(tmp_path / "secret")
    assert b"one" not in read(path)


class Writer:
    """A container's log as the shim writes it: whole lines, reopened after a rotation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.alive = True
        self._file = path.open("ab", buffering=0)

    def write(self, *texts: str) -> None:
        for text in texts:
            self._file.write(f"2026-01-01T12:00:00Z stdout F {text}\n".encode())

    def rotate(self, *between: str) -> None:
        """`between` is written into the old file after it was renamed."""
        self.path.rename(self.path.with_name(f"{self.path.name}.{os.urandom(4).hex()}"))
        self.write(*between)
        file = self.path.open("ab", buffering=0)
        self._file.close()
        self._file = file

    def end(self) -> None:
        self._file.close()
        self.alive = False

    async def running(self) -> bool:
        return self.alive


class Follower:
    """Reads a followed log in the background."""

    def __init__(self, writer: Writer, files: FileWatch | None = None, **options) -> None:
        self.output = b""
        self._more = asyncio.Event()
        self._pieces = read_log(
            writer.path, LogOptions(follow=True, **options), writer.running, files or FileWatch()
        )
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with aclosing(self._pieces):
            async for piece in self._pieces:
                self.output += piece
                self._more.set()

    async def sees(self, text: bytes) -> None:
        async with asyncio.timeout(10):
            while text not in self.output:
                await self._more.wait()
                self._more.clear()

    async def ends(self) -> bytes:
        async with asyncio.timeout(10):
            await self.task
        return self.output


def test_a_follower_sees_what_comes_and_ends_with_the_container(tmp_path):
    async def story():
        writer = Writer(tmp_path / "0.log")
        writer.write("before")
        follower = Follower(writer)
        await follower.sees(b"before\n")
        writer.write("after")
        await follower.sees(b"after\n")
        writer.write("last words")
        writer.end()
        assert await follower.ends() == b"before\nafter\nlast words\n"

    asyncio.run(story())


def test_a_follower_with_tail_0_sees_only_what_is_new(tmp_path):
    async def story():
        writer = Writer(tmp_path / "0.log")
        writer.write("old")
        follower = Follower(writer, tail_lines=0)
        await asyncio.sleep(0)
        writer.write("new")
        await follower.sees(b"new\n")
        writer.end()
        assert await follower.ends() == b"new\n"

    asyncio.run(story())


def test_a_follower_stops_at_its_limit(tmp_path):
    async def story():
        writer = Writer(tmp_path / "0.log")
        follower = Follower(writer, limit_bytes=6)
        writer.write("one", "two")
        assert await follower.ends() == b"one\ntw"
        writer.end()

    asyncio.run(story())


def test_no_line_is_lost_or_doubled_by_rotations(tmp_path):
    async def story():
        writer = Writer(tmp_path / "0.log")
        writer.write("begin")
        follower = Follower(writer)
        await follower.sees(b"begin\n")
        expected = ["begin"]
        for number in range(30):
            texts = [f"{number} {part}" for part in range(20)]
            writer.write(*texts[:15])
            writer.rotate(*texts[15:])
            expected += texts
            await follower.sees(f"{number} 19\n".encode())
        writer.write("end")
        writer.end()
        assert (await follower.ends()).decode().split("\n") == [*expected, "end", ""]

    asyncio.run(story())


def test_a_slow_client_holds_up_nothing_but_itself(tmp_path):
    """Ten megabytes are pulled piece by piece; what is not asked for stays in the file."""

    async def story():
        writer = Writer(tmp_path / "0.log")
        for _ in range(100):
            writer.write(*["x" * 1000] * 100)
        writer.end()
        largest = 0
        async with aclosing(
            read_log(writer.path, LogOptions(follow=True), writer.running, FileWatch())
        ) as pieces:
            async for piece in pieces:
                largest = max(largest, len(piece))
        assert 0 < largest <= 128 * 1024

    asyncio.run(story())


def test_a_client_that_goes_away_leaves_no_descriptor(tmp_path):
    async def story():
        writer, files = Writer(tmp_path / "0.log"), FileWatch()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            follower = Follower(writer, files)
            writer.write("x")
            await follower.sees(b"x\n")
            follower.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await follower.task
        assert len(os.listdir("/proc/self/fd")) == before
        writer.end()

    asyncio.run(story())


def status(name: str = "main", container_id: str = "", last: str | None = None, **state) -> ContainerStatus:
    return ContainerStatus(
        name=name,
        container_id=container_id or None,
        state=ContainerState(**state),
        last_state=ContainerState(terminated=ContainerStateTerminated(container_id=last))
        if last is not None
        else None,
    )


def waiting(reason: str) -> ContainerStateWaiting:
    return ContainerStateWaiting(reason=reason)


def make_pod(*statuses: ContainerStatus) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="web", uid="u1"),
        spec=PodSpec(containers=[Container(name="main")]),
        status=PodStatus(container_statuses=list(statuses)),
    )


RUNNING = ContainerStateRunning()
ENDED = ContainerStateTerminated(container_id="minikubelet://dead")
MAIN = 'container "main" in pod "web"'


@pytest.mark.parametrize(
    ("found", "previous", "expected"),
    [
        pytest.param(status(container_id="minikubelet://live", running=RUNNING), False, "live", id="running"),
        pytest.param(status(terminated=ENDED), False, "dead", id="ended"),
        pytest.param(
            status(waiting=waiting("CrashLoopBackOff"), last="minikubelet://last"),
            False,
            "last",
            id="back-off",
        ),
        pytest.param(
            status(terminated=ContainerStateTerminated(), last="minikubelet://last"),
            False,
            "last",
            id="the last start failed",
        ),
        pytest.param(
            status(container_id="minikubelet://live", running=RUNNING, last="minikubelet://last"),
            True,
            "last",
            id="previous",
        ),
    ],
)
def test_whose_log_is_meant(found, previous, expected):
    assert log_instance(make_pod(found), "main", previous) == expected


@pytest.mark.parametrize(
    ("found", "previous", "text"),
    [
        pytest.param(
            status(waiting=waiting("ContainerCreating")),
            False,
            f"{MAIN} is waiting to start: ContainerCreating",
            id="waiting",
        ),
        pytest.param(
            status(waiting=waiting("ErrImagePull")),
            False,
            f"{MAIN} is waiting to start: image can't be pulled",
            id="ErrImagePull",
        ),
        pytest.param(
            status(waiting=waiting("ImagePullBackOff")),
            False,
            f"{MAIN} is waiting to start: trying and failing to pull image",
            id="ImagePullBackOff",
        ),
        pytest.param(
            status(container_id="minikubelet://live", running=RUNNING),
            True,
            f"previous terminated {MAIN} not found",
            id="no previous",
        ),
        pytest.param(
            status(terminated=ContainerStateTerminated()),
            False,
            f"{MAIN} is terminated",
            id="ended without id",
        ),
        pytest.param(
            status(running=RUNNING), False, f"{MAIN} is waiting to start - no logs yet", id="runs without id"
        ),
        pytest.param(status("other"), False, f"{MAIN} is not available", id="no status"),
    ],
)
def test_why_there_is_no_log(found, previous, text):
    with pytest.raises(BadRequest) as caught:
        log_instance(make_pod(found), "main", previous)
    assert str(caught.value) == text


def test_which_container():
    pod = Pod(
        metadata=ObjectMeta(name="web"),
        spec=PodSpec(
            init_containers=[Container(name="i")],
            containers=[Container(name="a"), Container(name="b")],
            ephemeral_containers=[EphemeralContainer(name="e")],
        ),
    )
    assert [log_container(pod, name) for name in "iabe"] == ["i", "a", "b", "e"]
    with pytest.raises(BadRequest, match=r"^container x is not valid for pod web$"):
        log_container(pod, "x")
    text = r"^a container name must be specified for pod web, choose one of: \[i a b e\]$"
    with pytest.raises(BadRequest, match=text):
        log_container(pod, None)
    pod.spec.containers = [Container(name="a")]
    assert log_container(pod, None) == "a"


class Runtime:
    """A runtime that knows one instance."""

    def __init__(self, path: Path) -> None:
        self.instance = cri.ContainerStatus("live", "main", 0, "running", "i", "i", 0.0, log_path=str(path))

    async def pod_status(self, uid: str) -> cri.PodRuntimeStatus:
        return cri.PodRuntimeStatus(uid, containers=(self.instance,) if uid == "u1" else ())


@pytest.mark.parametrize(
    ("uid", "container_id", "expected"),
    [
        ("u1", "live", b"one\ntwo\nthree\nfour\n"),
        ("u1", "gone", b"unable to retrieve container logs for minikubelet://gone"),
        ("u2", "live", b"unable to retrieve container logs for minikubelet://live"),
    ],
)
def test_logs_by_instance(log, uid, container_id, expected):
    async def story() -> bytes:
        pieces = ContainerLogs(Runtime(log)).read(uid, container_id, LogOptions())
        return b"".join([piece async for piece in pieces])

    assert asyncio.run(story()) == expected
