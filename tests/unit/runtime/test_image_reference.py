"""Image names and image configurations: what is understood, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.errors import ImageError
from minikubelet.runtime.images import ImageConfig, Reference, signal_number

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("localhost/host", "localhost/host:latest"),
        ("localhost:5000/a/b__c.d-e:v1", "localhost:5000/a/b__c.d-e:v1"),
        ("registry.example.com/x@" + DIGEST, "registry.example.com/x@" + DIGEST),
        ("x:t@" + DIGEST, "docker.io/library/x:t@" + DIGEST),
        ("[fd00::1]:5000/x", "[fd00::1]:5000/x:latest"),
        ("Registry.Example/x", "Registry.Example/x:latest"),
    ],
)
def test_a_name_is_completed_as_containerd_does(text: str, normal: str) -> None:
    assert str(Reference.parse(text)) == normal


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a::b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("../../etc/passwd", "invalid reference format"),
        ("a@sha256:123", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("team/Foo:v1", "invalid reference format: repository name (team/Foo) must be lowercase"),
        ("b" * 64, f"invalid repository name ({'b' * 64}), cannot specify 64-byte hexadecimal strings"),
        ("a/" * 126 + "abcd", "repository name must not be more than 255 characters"),
    ],
)
def test_an_unreadable_name_is_refused_in_the_kubelets_words(text: str, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        Reference.parse(text)
    assert caught.value.reason == "InvalidImageName"
    cause = f'couldn\'t parse image name "{text}": {reason}'
    assert str(caught.value) == f'Failed to apply default image tag "{text}": {cause}'


def test_a_whole_configuration_is_read() -> None:
    config = ImageConfig.read(
        {
            "Entrypoint": ["/e"],
            "Cmd": None,
            "Env": ["A=1", "=x", "broken"],
            "WorkingDir": "/w",
            "User": "web:adm",
            "StopSignal": "SIGQUIT",
            "Labels": {"l": "v"},
            "ExposedPorts": {"80/tcp": {}, "../x": {}},
            "Volumes": {"/../etc": {}},
            "Healthcheck": {"Test": ["CMD", "rm"]},
        }
    )
    assert config == ImageConfig(["/e"], [], ["A=1"], "/w", "web:adm", "SIGQUIT", {"l": "v"}, ["80/tcp"])


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ("SIGTERM", "SIGTERM", 15),
        ("term", "SIGTERM", 15),
        ("9", "SIGKILL", 9),
        ("SIGRTMIN+3", "SIGRTMIN+3", 37),
        ("37", "SIGRTMIN+3", 37),
        ("0", "SIGTERM", 15),
        ("65", "SIGTERM", 15),
        ("-1", "SIGTERM", 15),
        ("SIGRTMIN+99", "SIGTERM", 15),
        ("rm -rf", "SIGTERM", 15),
    ],
)
def test_a_stop_signal_that_does_not_exist_becomes_the_usual_one(text: str, name: str, number: int) -> None:
    config = ImageConfig.read({"StopSignal": text})
    assert config.stop_signal == name
    assert signal_number(config.stop_signal) == number


@pytest.mark.parametrize(
    "config",
    [
        pytest.param([], id="not an object"),
        pytest.param({"Cmd": "sh"}, id="text for a list"),
        pytest.param({"Cmd": [1]}, id="number for a text"),
        pytest.param({"Env": ["A=" + "x" * (128 << 10)]}, id="a text the kernel does not take"),
        pytest.param({"Env": ["A=b"] * 5000}, id="too many texts"),
        pytest.param({"WorkingDir": "/" + "x" * 5000}, id="a path the kernel does not take"),
        pytest.param({"User": "u" * 300}, id="a long user"),
        pytest.param({"Labels": {"l": "x" * (1 << 20)}}, id="a label of a megabyte"),
        pytest.param({"Labels": {str(n): "" for n in range(2000)}}, id="many labels"),
        pytest.param({"Entrypoint": ["a\0b"]}, id="null byte"),
        pytest.param({"Entrypoint": ["\ud800"]}, id="half a character"),
        pytest.param({"User": {"name": "x"}}, id="object for a text"),
    ],
)
def test_a_hostile_configuration_is_refused(config: Any) -> None:
    """A32. The defence: `config._checked` and the types in `ImageConfig.read`."""
    with pytest.raises(ImageError, match="cannot use image configuration"):
        ImageConfig.read(config)
