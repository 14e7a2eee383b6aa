"""Where the images of a registry are fetched from: containerd's `certs.d/HOST/hosts.toml`.

    server = "https://registry.example.com"

    [host."https://mirror.example.com"]
      capabilities = ["pull", "resolve"]
      ca = "ca.crt"                # beside the file; or a list
      skip_verify = false
      auth_realms = ["https://auth.example.com"]   # ours: who else may be shown the password

Mirrors are asked in the order of the file, the server last. Without a file a registry is asked over HTTPS;
one on this machine (`localhost`, 127.0.0.0/8, ::1) may also speak plain HTTP, as with containerd.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minikubelet.errors import ImageError
from minikubelet.runtime.images.reference import DEFAULT_DOMAIN

DOCKER_SERVER = "https://registry-1.docker.io"
DOCKER_REALM = "https://auth.docker.io"
FILE = "hosts.toml"
ANY = "_default"
_KNOWN = {"capabilities", "ca", "client", "skip_verify", "override_path", "auth_realms"}


@dataclass(frozen=True, slots=True)
class Host:
    """One place to ask."""

    url: str  # scheme, host, port; with `override_path` the path of the API as well
    resolves: bool = True  # may say what a tag means
    ca: tuple[str, ...] = ()  # files
    client: tuple[str, str] | None = None  # certificate and key
    skip_verify: bool = False
    override_path: bool = False  # `url` ends where others have /v2
    plain_http: bool = False  # try HTTP if it does not speak TLS
    auth_realms: tuple[str, ...] = ()  # origins that may see its password, beside its own

    @property
    def base(self) -> str:
        return self.url if self.override_path else f"{self.url}/v2"


def hosts(domain: str, directory: Path) -> list[Host]:
    """In the order in which they are asked. Raises ImageError when the file cannot be used."""
    for name in (domain, domain.replace(":", "_"), ANY):
        file = directory / name / FILE
        if file.exists():
            return list(_read(domain, file))
    return [_server(domain)]


def _server(domain: str) -> Host:
    if domain == DEFAULT_DOMAIN:
        return Host(DOCKER_SERVER, auth_realms=(DOCKER_REALM,))
    return Host(f"https://{domain}", plain_http=is_local(domain))


def is_local(domain: str) -> bool:
    """Is this registry on this machine?"""
    name = urlsplit(f"//{domain}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _read(domain: str, file: Path) -> Iterator[Host]:
    try:
        document = tomllib.loads(file.read_text())
        mirrors = document.get("host", {})
        for url, options in mirrors.items():
            yield _host(file, url, options)
        server = document.get("server")
        if server:
            yield _host(file, server, {key: document[key] for key in _KNOWN & document.keys()})
        elif not mirrors:
            yield _server(domain)
    except (OSError, tomllib.TOMLDecodeError, AttributeError, TypeError, ValueError) as error:
        raise ImageError("ErrImagePull", f"cannot use {file}: {error}") from error


def _host(file: Path, url: str, options: dict[str, Any]) -> Host:
    unknown = options.keys() - _KNOWN
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r} of {url}")
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a registry")
    path = parts.path.rstrip("/")
    override = bool(options.get("override_path"))
    if not override:
        path = path.removesuffix("/v2")
    client = options.get("client")
    return Host(
        url=f"{parts.scheme}://{parts.netloc}{path}",
        resolves="resolve" in options.get("capabilities", ("pull", "resolve")),
        ca=tuple(_beside(file, name) for name in _texts(options.get("ca"))),
        client=_pair(file, client) if client else None,
        skip_verify=bool(options.get("skip_verify")),
        override_path=override,
        auth_realms=tuple(_texts(options.get("auth_realms"))),
    )


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _beside(file: Path, name: str) -> str:
    return str(file.parent / name)


def _pair(file: Path, client: object) -> tuple[str, str]:
    """containerd's forms: one file with both, or [[certificate, key]]."""
    if isinstance(client, str):
        return _beside(file, client), _beside(file, client)
    if isinstance(client, list) and len(client) == 1 and isinstance(client[0], list) and len(client[0]) == 2:
        return _beside(file, str(client[0][0])), _beside(file, str(client[0][1]))
    raise ValueError("client must be a file or [[certificate, key]]")
