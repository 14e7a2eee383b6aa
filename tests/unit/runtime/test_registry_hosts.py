"""Where a registry's images are fetched from: containerd's hosts.toml, and what holds without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikubelet.errors import ImageError
from minikubelet.runtime.images.hosts import Host, hosts


def write(directory: Path, domain: str, text: str) -> None:
    (directory / domain).mkdir(parents=True)
    (directory / domain / "hosts.toml").write_text(text)


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("docker.io", Host("https://registry-1.docker.io", auth_realms=("https://auth.docker.io",))),
        ("registry.io:5000", Host("https://registry.io:5000")),
        ("localhost:5000", Host("https://localhost:5000", plain_http=True)),
        ("127.0.0.9", Host("https://127.0.0.9", plain_http=True)),
        ("[::1]:5000", Host("https://[::1]:5000", plain_http=True)),
        ("10.0.0.1", Host("https://10.0.0.1")),
    ],
)
def test_without_a_file(tmp_path: Path, domain: str, host: Host) -> None:
    assert hosts(domain, tmp_path) == [host]


def test_mirrors_come_in_their_order_and_the_server_last(tmp_path: Path) -> None:
    write(
        tmp_path,
        "docker.io",
        """
        server = "https://registry-1.docker.io"
        [host."https://mirror.example.com:5000/v2"]
          capabilities = ["pull"]
          ca = ["a.crt", "/etc/b.crt"]
          skip_verify = true
        [host."http://second/base"]
          override_path = true
          client = [["c.pem", "c.key"]]
        """,
    )
    folder = tmp_path / "docker.io"
    first, second, server = hosts("docker.io", tmp_path)
    assert first == Host(
        "https://mirror.example.com:5000",
        resolves=False,
        ca=(str(folder / "a.crt"), "/etc/b.crt"),
        skip_verify=True,
    )
    assert second.base == "http://second/base"
    assert second.client == (str(folder / "c.pem"), str(folder / "c.key"))
    assert server.base == "https://registry-1.docker.io/v2"


def test_a_colon_may_be_an_underscore_and_default_is_for_all_others(tmp_path: Path) -> None:
    write(tmp_path, "reg.io_5000", 'server = "http://reg.io:5000"')
    write(tmp_path, "_default", 'server = "https://cache.io"')
    assert hosts("reg.io:5000", tmp_path) == [Host("http://reg.io:5000")]
    assert hosts("other.io", tmp_path) == [Host("https://cache.io")]


@pytest.mark.parametrize(
    "text",
    [
        'server = "ftp://x"',
        "server =",
        '[host."https://m"]\nskip_verfy = true',
        'server = "https://x"\nclient = 5',
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    write(tmp_path, "x.io", text)
    with pytest.raises(ImageError, match=r"cannot use .*x\.io/hosts\.toml"):
        hosts("x.io", tmp_path)
