"""Every mistake of a manifest is told at once, in one line each, and nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Agent, simple_pod


def changed(path: list[Any], value: Any) -> str:
    """A good manifest with one bad value."""
    manifest: Any = simple_pod("bad", "sleep", "1")
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(manifest)


MAIN = ["spec", "containers", 0]
TWO_HANDLERS = {"exec": {"command": ["true"]}, "tcpSocket": {"port": 80}}
BELOW_REQUEST = {"requests": {"cpu": "1"}, "limits": {"cpu": "500m"}}
CASES = [
    pytest.param(changed([*MAIN, "ports"], "eighty"), ["cannot unmarshal string"], id="wrong type"),
    pytest.param(
        changed([*MAIN, "imagee"], "x"),
        ['unknown field "spec.containers[0].imagee"', "image"],
        id="unknown field",
    ),
    pytest.param(
        changed([*MAIN, "livenessProbe"], TWO_HANDLERS),
        ["spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
        id="two probe handlers",
    ),
    pytest.param(
        changed([*MAIN, "ports"], [{"containerPort": -1}]),
        [
            "spec.containers[0].ports[0].containerPort: Invalid value: -1: "
            "must be between 1 and 65535, inclusive"
        ],
        id="negative port",
    ),
    pytest.param(
        changed([*MAIN, "resources"], BELOW_REQUEST),
        [
            'spec.containers[0].resources.requests: Invalid value: "1": '
            "must be less than or equal to cpu limit of 500m"
        ],
        id="limit below request",
    ),
    pytest.param(
        changed(["spec", "containers"], [{"name": "a", "image": "localhost/host"}] * 2),
        ['spec.containers[1].name: Duplicate value: "a"'],
        id="duplicate names",
    ),
    pytest.param(
        changed([*MAIN, "volumeMounts"], [{"name": "nowhere", "mountPath": "/x"}]),
        ['spec.containers[0].volumeMounts[0].name: Not found: "nowhere"'],
        id="missing volume",
    ),
    pytest.param(
        changed([*MAIN, "terminationMessagePolicy"], "Shout").replace('"name": "bad"', '"name": "Bad_"'),
        ["metadata.name: Invalid value", "terminationMessagePolicy: Unsupported value"],
        id="two mistakes at once",
    ),
]


@pytest.mark.parametrize(("manifest", "texts"), CASES)
def test_a_mistake_is_told_with_its_path_and_changes_nothing(
    agent: Agent, tmp_path: Path, manifest: str, texts: list[str]
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(manifest)
    done = agent.call("apply", "-f", str(file))
    assert done.returncode == 1
    for text in texts:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert agent.run("get", "pods", "-o", "name") == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(b"", "no objects", id="empty file"),
        pytest.param(bytes(range(256)) * 64, "bad.yaml", id="binary file"),
        pytest.param(b"# padding\n" * (5 << 20), "bad.yaml", id="50 MB file"),
    ],
)
def test_a_file_that_is_no_manifest_gets_one_clear_line(
    agent: Agent, tmp_path: Path, content: bytes, text: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    done = agent.call("apply", "-f", str(file))
    assert done.returncode == 1
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert agent.run("get", "pods", "-o", "name") == ""
