"""The stock kubectls of this machine, for tests marked `kubectl`: which there are, and how one is run.

Google's packages have one binary per minor version beside a `kubectl` that only chooses among them by the
server's version: the versioned ones are taken, so that a test knows which client it drives. Debian's 1.20
(`./dev test` unpacks it) is the oldest kind there is: exec over SPDY, discovery one group at a time.
MK_KUBECTLS, paths joined by ":", takes the place of all that is found.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

FACTOR = float(os.environ.get("MK_TEST_FACTOR", "1"))  # a slow kernel's factor for every limit
UNPACKED = Path(__file__).parents[1] / "build/kubectl/usr/bin/kubectl"


class Stock(NamedTuple):
    """One kubectl: its minor version (1.MINOR) and where it is."""

    minor: int
    path: str

    def __str__(self) -> str:
        return f"1.{self.minor}"


def found(environ: dict[str, str], unpacked: Path = UNPACKED) -> list[Stock]:
    """One of each version, the oldest first."""
    if environ.get("MK_KUBECTLS"):
        candidates = [Path(word) for word in environ["MK_KUBECTLS"].split(":") if word]
    else:
        in_path = [Path(folder) / "kubectl" for folder in environ.get("PATH", "").split(":") if folder]
        candidates = [unpacked, *(path for each in in_path if each.exists() for path in _versioned(each))]
    newest_first = {_minor(path): str(path) for path in reversed(candidates) if os.access(path, os.X_OK)}
    return [Stock(minor, newest_first[minor]) for minor in sorted(newest_first)]


def _versioned(kubectl: Path) -> Sequence[Path]:
    """`kubectl.1.NN` beside a dispatcher, else the file itself."""
    beside = sorted(kubectl.resolve().parent.glob("kubectl.1.[0-9]*"))
    return beside or [kubectl]


def _minor(path: Path) -> int:
    named = re.fullmatch(r"kubectl\.1\.(\d+)", path.name)
    if named:
        return int(named[1])
    command = [str(path), "version", "--client", "-o", "json"]
    told = json.loads(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    return int(re.match(r"\d+", told["clientVersion"]["minor"])[0])  # type: ignore[index]


KUBECTLS = found(dict(os.environ))
NEWEST = KUBECTLS[-1] if KUBECTLS else Stock(0, "")
KUBECTL = NEWEST.path


class Kubectl:
    """A kubectl with a home of its own (it caches discovery and the server's version on disk)."""

    def __init__(self, home: Path, kubeconfig: Path, stock: Stock = NEWEST) -> None:
        self.path, self.minor = stock.path, stock.minor
        home.mkdir(exist_ok=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.path, *arguments], input=stdin, capture_output=True, text=True, env=self.env,
            timeout=60 * FACTOR,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One that goes on beside the test; its stdout is piped."""
        return subprocess.Popen(
            [self.path, *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Its output; it must succeed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, *arguments: str, stdin: str = "") -> str:
        """What it complains."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 1, done.stdout
        return done.stderr
