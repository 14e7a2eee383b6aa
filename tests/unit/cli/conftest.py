"""The real command line against the real API with a small node behind it (tests/unit/api/conftest)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minikubelet.cli.main import run
from tests.unit.api.conftest import PODS, Api, api, root

__all__ = ["api", "root"]  # fixtures

CONTAINER_ID = "ab" * 32


@dataclass
class Result:
    code: int
    out: str
    err: str


class Cli:
    """`cli("get", "pods")` runs in this process; `cli.process(…)` in one of its own, for stdin."""

    def __init__(self, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
        self.api = api
        self.capsys = capsys

    def __call__(self, *args: str) -> Result:
        self.capsys.readouterr()
        code = run(["--root", str(self.api.root), *args])
        captured = self.capsys.readouterr()
        return Result(code, captured.out, captured.err)

    def ok(self, *args: str) -> str:
        """What it printed; it must succeed and complain of nothing."""
        result = self(*args)
        assert (result.code, result.err) == (0, ""), result
        return result.out

    def fails(self, *args: str, code: int = 1) -> str:
        """What it complained of; it must have failed."""
        result = self(*args)
        assert result.code == code, result
        return result.err

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "minikubelet", "--root", str(self.api.root), *args]

    def process(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(*args), input=stdin, capture_output=True, timeout=60, check=False)

    def apply(self, path: Path, text: str) -> str:
        """Write a manifest and apply it."""
        file = path / "manifest.yaml"
        file.write_text(text)
        return self.ok("apply", "-f", str(file))

    def pod_runs(self, name: str, *containers: str, **status: Any) -> None:
        """The pod as a node would show it: bound, with containers that run."""
        self.api.bind(name)
        statuses = [
            {
                "name": container,
                "ready": True,
                "restartCount": 0,
                "containerID": f"minikubelet://{CONTAINER_ID}",
                "image": "localhost/host",
                "imageID": "",
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }
            for container in containers or ("main",)
        ]
        self.api.set_status(name, **{"phase": "Running", "containerStatuses": statuses, **status})


@pytest.fixture
def cli(api: Api, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(api, capsys)


@pytest.fixture
def web(cli: Cli) -> str:
    """A pod of one container that runs."""
    metadata = {"name": "web", "labels": {"app": "web"}}
    container = {"name": "main", "image": "localhost/host"}
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": [container]}}
    assert cli.api.post(PODS, pod).code == 201
    cli.pod_runs("web")
    return "web"
