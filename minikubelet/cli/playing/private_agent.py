"""An agent for one `play`: own root, bridge, pod network and ports; nothing of it is left at the end.

The agent is a process group of its own, so that Ctrl-C reaches `play` alone, which then ends the pods before
the agent.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO

from minikubelet.cli.base import Session, complain
from minikubelet.cli.errors import CliError, NodeNotFit

START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
END_TIMEOUT = 5.0
NODE_NOT_FIT = 3
PARENTS = ("/var/tmp", "/run", "/tmp")


class PrivateAgent:
    """Start it with `running`; `session` talks to it."""

    def __init__(self, root: Path, bridge: str, pod_cidr: str) -> None:
        self.root = root
        self.bridge = bridge
        self.pod_cidr = pod_cidr
        self.session = Session(str(root))
        self.keep_root = False  # while pods may still use what is in it
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.root / "agent.log"

    def start(self) -> None:
        """Until the agent says it is ready. Raises NodeNotFit or CliError with the agent's own words."""
        words = ["--root", str(self.root), "--bridge", self.bridge, "--pod-cidr", self.pod_cidr]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "minikubelet",
                    "agent",
                    *words,
                    "--listen",
                    "127.0.0.1:0",
                    "--remove-on-exit",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        if not _says_ready(self.process.stdout):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_TIMEOUT)  # its pipe is closed a moment before it can be waited for
            code = self.process.returncode
            what = "did not become ready" if code is None else f"ended with exit code {code}"
            message = f"cannot start the agent: it {what}\n{self.last_words()}".rstrip()
            raise NodeNotFit(message) if code == NODE_NOT_FIT else CliError(message)

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def last_words(self, lines: int = 10) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def stop(self) -> None:
        """End the agent; it takes bridge and nftables table with it."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT)
                break
        if self.process.stdout is not None:
            self.process.stdout.close()

    def remove(self) -> None:
        """Remove the root, and say what could not be removed."""
        if self.keep_root:
            complain(f"warning: {self.root} is left as it is")
            return
        if mounts := mounts_below(self.root):
            complain(f"warning: cannot remove {self.root}: still mounted: {', '.join(mounts)}")
            return
        shutil.rmtree(self.root, ignore_errors=True)
        left = [str(self.root)] if self.root.exists() else []
        left += [f"bridge {self.bridge}"] if Path("/sys/class/net", self.bridge).exists() else []
        if left:
            complain(f"warning: cannot remove {', '.join(left)}")


@contextlib.contextmanager
def running() -> Iterator[PrivateAgent]:
    """A started agent; everything of it is gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="minikubelet-play-", dir=state_directory()))
    agent = PrivateAgent(root, f"mkp{secrets.token_hex(3)}", str(free_network(_routes())))
    try:
        agent.start()
        yield agent
    finally:
        with deaf_to_interrupts():
            agent.stop()
            agent.remove()


@contextlib.contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Cleaning up ends by itself within seconds; an impatient Ctrl-C would leave half of it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def free_network(routes: list[IPv4Network]) -> IPv4Network:
    """A /24 in 10.0.0.0/8 that nothing on this machine is routed to."""
    for _ in range(1000):
        network = IPv4Network(f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(256)}.0/24")
        if not any(network.overlaps(route) for route in routes):
            return network
    raise NodeNotFit("cannot find a free pod network in 10.0.0.0/8")


def mounts_below(root: Path) -> list[str]:
    """Removing files through a mount would remove what is mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ")[4].replace("\\040", " ") for line in lines]
    return [point for point in points if root == Path(point) or root in Path(point).parents]


def _routes() -> list[IPv4Network]:
    """From /proc/net/route (hexadecimal, little-endian), without the default route."""
    routes = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[at]), "little") for at in (1, 7))
        if mask:
            routes.append(IPv4Network((address, mask.bit_count())))
    return routes


def state_directory() -> Path:
    """Below which the root is made: where one may write, best on a file system that can hold layers."""
    from minikubelet.runtime.doctor import check_state

    mountinfo = Path("/proc/self/mountinfo").read_text()
    writable = [Path(path) for path in PARENTS if os.access(path, os.W_OK)] or [Path(PARENTS[-1])]
    return next((path for path in writable if check_state(path, mountinfo).ok), writable[0])


def _says_ready(stream: IO[bytes]) -> bool:
    """Read lines until `ready: …`; False at the end of the stream or after the time is up."""
    end = time.monotonic() + START_TIMEOUT
    seen = b""
    while (left := end - time.monotonic()) > 0:
        if not select.select([stream], [], [], left)[0]:
            return False
        data = os.read(stream.fileno(), 4096)
        seen += data
        if b"ready:" in seen and seen.endswith(b"\n"):
            return True
        if not data:
            return False
    return False
