"""Real zygotes, shims and containers, as a test wants them: `node.pod()`, `pod.run("sh", "-c", …)`.

Everything goes through `runtime.shim_client`, the way the agent does it. Calls are synchronous; between two
calls the client's loop stands still, which is all right: a shim waits for nobody.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from minikubelet.linux import cgroup
from minikubelet.runtime.shim_client import ShimClient, ShimStream, ZygoteClient
from minikubelet.shim.protocol import (
    ContainerRecord,
    ContainerSpec,
    ProcessSpec,
    RootfsSpec,
    SandboxSpec,
    plain,
)

FACTOR = float(os.environ.get("MK_TEST_FACTOR", "1"))
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MASKED = [
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
]  # fmt: skip
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

T = TypeVar("T")


def until(check: Callable[[], T], limit: float = 10, what: str = "") -> T:
    """What `check` returns as soon as it is true; fails after `limit` × FACTOR seconds."""
    deadline = time.monotonic() + limit * FACTOR
    while not (answer := check()):
        if time.monotonic() > deadline:
            pytest.fail(f"still not so after {limit * FACTOR:.0f} s: {what or check}: {answer!r}")
        time.sleep(0.01)
    return answer


class Node:
    """A zygote, a place for files, a place for cgroups."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cgroup = f"{cgroup.find_mount()}/mk-test-{os.getpid()}"
        self.zygote = ZygoteClient()
        self._runner = asyncio.Runner()
        self.pods: list[Pod] = []
        self._numbers = itertools.count()

    def wait(self, awaitable: Awaitable[T], limit: float = 20) -> T:
        async def limited() -> T:
            async with asyncio.timeout(limit * FACTOR):
                return await awaitable

        return self._runner.run(limited())

    def pod(self, **fields: Any) -> Pod:
        number = next(self._numbers)
        directory = self.directory / f"pod{number}"
        directory.mkdir(mode=0o700)
        spec = SandboxSpec(
            uid=f"uid{number}", name="web", namespace="default", attempt=0, sandbox_id=f"{number:064}",
            directory=str(directory), hostname="web",
        )  # fmt: skip
        for name, value in fields.items():
            setattr(spec, name, value)
        pod = Pod(self, spec, f"{self.cgroup}/pod{number}")
        self.pods.append(pod)
        return pod

    def image(self, **files: str) -> Path:
        """A root file system with busybox and nothing else, but what a test puts into it."""
        root = self.directory / f"image{next(self._numbers)}"
        for directory in ("bin", "etc", "tmp"):
            (root / directory).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for name in (
            "sh",
            "ls",
            "cat",
            "id",
            "sleep",
            "stat",
            "ln",
            "mkdir",
            "mknod",
            "mount",
            "touch",
            "echo",
            "wc",
        ):
            (root / "bin" / name).symlink_to("busybox")
        for name, text in files.items():
            (root / name).write_text(text)
        return root

    def close(self) -> None:
        for pod in self.pods:
            pod.close()
        self.wait(self.zygote.close())
        self._runner.close()
        until(lambda: remove_cgroups(self.cgroup), what="cgroups are empty")


def remove_cgroups(path: str) -> bool:
    try:
        cgroup.remove(path)
    except OSError:
        return False
    return True


class Pod:
    """A shim and its client."""

    def __init__(self, node: Node, spec: SandboxSpec, cgroup_path: str) -> None:
        self.node, self.spec, self.cgroup = node, spec, cgroup_path
        self.directory = Path(spec.directory)
        self.pid = node.wait(node.zygote.spawn(spec))
        self.events: list[dict[str, Any]] = []
        self.containers: list[Container] = []
        self.client = self.connect()

    def connect(self) -> ShimClient:
        client = self.node.wait(ShimClient.connect(self.directory, self.events.append))
        self.node.wait(client.subscribe())
        return client

    def spec_of(self, *argv: str, **fields: Any) -> ContainerSpec:
        """A container of the node's own tree, as `localhost/host` is; `image` takes another root."""
        number = len(self.containers)
        at = self.node.directory / f"{self.directory.name}-c{number}"
        for name in ("upper", "work", "root"):
            (at / name).mkdir(parents=True)
        process = {name: fields.pop(name) for name in PROCESS_FIELDS if name in fields}
        process.setdefault("env", [PATH])
        lower = [str(fields.pop("image", "/"))]
        rootfs = RootfsSpec(
            lower, str(at / "upper"), str(at / "work"), str(at / "root"), fields.pop("readonly", False)
        )
        spec = ContainerSpec(
            id=f"{number:064x}", name=f"c{number}", attempt=0, cgroup=f"{self.cgroup}/c{number}",
            rootfs=rootfs, process=ProcessSpec(argv=list(argv), **process), mounts=fields.pop("mounts", []),
            masked_paths=MASKED, readonly_paths=READ_ONLY, log_path=str(at / "0.log"),
            pid_mode="pod" if self.spec.share_process_namespace else "container",
        )  # fmt: skip
        for name, value in fields.items():
            setattr(spec, name, value)
        cgroup.create(spec.cgroup)
        return spec

    def start(self, *argv: str, **fields: Any) -> Container:
        spec = self.spec_of(*argv, **fields)
        container = Container(self, spec)
        self.containers.append(container)
        container.first = self.node.wait(self.client.start_container(spec))
        return container

    def run(self, *argv: str, **fields: Any) -> str:
        """Start, wait for the end, and what it said; it must succeed."""
        container = self.start(*argv, **fields)
        assert not container.first.error, container.first.error
        record = container.ended()
        assert record.exit_code == 0, f"exit {record.exit_code}: {container.log()}"
        return container.output()

    def sh(self, script: str, **fields: Any) -> str:
        return self.run("sh", "-c", script, **fields)

    def state(self) -> Any:
        return self.node.wait(self.client.state())

    def pause(self) -> None:
        """Let the client's loop run once, so that events arrive."""
        self.node.wait(asyncio.sleep(0))

    def wait_event(self, container_id: str) -> dict[str, Any]:
        async def arrived() -> dict[str, Any]:
            while True:
                for event in self.events:
                    if event["container"]["id"] == container_id:
                        return event
                await asyncio.sleep(0.005)

        return self.node.wait(arrived())

    def shim_log(self) -> str:
        return (self.directory / "shim.log").read_text()

    def close(self) -> None:
        """Stop everything, end the shim; a shim that is gone is killed with its cgroup."""
        if not self.client.closed:
            for container in self.containers:
                self.node.wait(self.client.stop_container(container.id, signal.SIGKILL, 0))
            self.node.wait(self.client.shutdown())
            self.node.wait(self.client.wait_closed())
        elif os.path.isdir(self.cgroup):
            cgroup.kill(self.cgroup)
        self.node.wait(self.client.close())


PROCESS_FIELDS = (
    "env", "cwd", "uid", "gid", "groups", "capabilities", "no_new_privileges", "seccomp", "tty", "stdin",
)  # fmt: skip


@dataclass
class Container:
    pod: Pod
    spec: ContainerSpec
    first: ContainerRecord = field(init=False)

    @property
    def id(self) -> str:
        return self.spec.id

    def record(self) -> ContainerRecord:
        return next(record for record in self.pod.state().containers if record.id == self.id)

    def ended(self) -> ContainerRecord:
        until(lambda: self.record().state == "stopped", what=f"{self.spec.process.argv} has ended")
        return self.record()

    def stop(self, number: int = signal.SIGTERM, grace: float = 10) -> ContainerRecord:
        return self.pod.node.wait(self.pod.client.stop_container(self.id, number, grace))

    def exec(
        self, *argv: str, timeout: float | None = None, limit: int = 10240, **process: Any
    ) -> tuple[int, str, bool]:
        spec = ProcessSpec(argv=list(argv), **{"env": [PATH], **process})
        code, output, late, _ = self.pod.node.wait(self.pod.client.exec_sync(self.id, spec, timeout, limit))
        return code, output.decode(), late

    def stream(self, *argv: str, **process: Any) -> ShimStream:
        spec = ProcessSpec(argv=list(argv), **{"env": [PATH], **process})
        arguments = {"container_id": self.id, "process": plain(spec), "width": 80, "height": 24}
        return self.pod.node.wait(ShimStream.open(self.pod.directory, "exec", **arguments))

    def attach(self, *, stdin: bool = False) -> ShimStream:
        return self.pod.node.wait(
            ShimStream.open(self.pod.directory, "attach", container_id=self.id, stdin=stdin)
        )

    def log(self) -> str:
        return Path(self.spec.log_path).read_text()

    def output(self, stream: str | None = None) -> str:
        """What it wrote, put together from its log; a line that is just being written is left out."""
        text = []
        for line in self.log().rpartition("\n")[0].splitlines():
            _, of, tag, content = line.split(" ", 3)
            if stream in (None, of):
                text.append(content + ("\n" if tag == "F" else ""))
        return "".join(text)

    def wait_output(self, text: str) -> None:
        until(lambda: text in self.output(), what=f"{text!r} in the output of {self.spec.process.argv}")
