"""Whose name and password to show to a registry: docker's `config.json`, and the kubelet's rules about it.

A configuration names registries, perhaps with a path and with `*` in the parts of the host name. Several
entries may fit an image; the kubelet tries them all, the most specific first, those of the pod's
imagePullSecrets before the node's own. Pure; malformed entries are left out, as the kubelet does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from minikubelet.runtime.images.reference import DEFAULT_DOMAIN, LEGACY_DOMAIN, Reference

DOCKER_CONFIG_JSON = "kubernetes.io/dockerconfigjson"
DOCKER_CONFIG = "kubernetes.io/dockercfg"


@dataclass(frozen=True, slots=True)
class Credentials:
    """For one registry. `identity_token` is a refresh token that takes the password's place."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    @property
    def fingerprint(self) -> str:
        """Tells them apart from others without giving them away."""
        secret = json.dumps([self.username, self.password, self.identity_token])
        return hashlib.sha256(secret.encode()).hexdigest()

    def __repr__(self) -> str:
        """Never in a log."""
        return f"Credentials({self.username!r}, …)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a configuration."""

    registry: str
    credentials: Credentials


def entries_of_secret(secret: Mapping[str, Any]) -> list[Entry]:
    """Of a Secret as the store has it, of one of docker's two types; of any other: none."""
    data, kind = secret.get("data") or {}, secret.get("type")
    try:
        if kind == DOCKER_CONFIG_JSON:
            return entries(base64.b64decode(data.get(".dockerconfigjson", "")))
        if kind == DOCKER_CONFIG:
            return entries(base64.b64decode(data.get(".dockercfg", "")))
    except (binascii.Error, ValueError):
        return []
    return []


def entries(config: bytes) -> list[Entry]:
    """Of a `config.json`, or of the older `.dockercfg` that has no `auths` around it. ValueError: no JSON."""
    try:
        document = json.loads(config)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError("not an object")
    auths = document.get("auths", document)
    if not isinstance(auths, dict):
        raise ValueError("auths is not an object")
    found = [(registry, _credentials(auth)) for registry, auth in auths.items()]
    return [Entry(registry, credentials) for registry, credentials in found if credentials is not None]


def matching(image: Reference, known: Iterable[Entry]) -> list[Credentials]:
    """Those that fit the image, the most specific first; equal ones once. Of equally specific ones the order
    given.
    """
    fitting = [entry for entry in known if _fits(image, entry.registry)]
    fitting.sort(key=lambda entry: _location(entry.registry), reverse=True)
    return list(dict.fromkeys(entry.credentials for entry in fitting))


def _credentials(auth: object) -> Credentials | None:
    if not isinstance(auth, dict):
        return None
    username, password = _text(auth, "username"), _text(auth, "password")
    if _text(auth, "auth"):
        try:
            plain = base64.b64decode(_text(auth, "auth")).decode().rstrip("\0")
        except (binascii.Error, UnicodeDecodeError):
            return None
        username, colon, password = plain.partition(":")
        if not colon:
            return None
    token = _text(auth, "identitytoken")
    return Credentials(username, password, token) if username or token else None


def _text(auth: Mapping[str, Any], key: str) -> str:
    value = auth.get(key)
    return value if isinstance(value, str) else ""


def _location(registry: str) -> str:
    """`https://index.docker.io/v1/` → `docker.io`; without scheme, and without docker's /v1/ or /v2/."""
    bare = registry.partition("://")[2] or registry
    host, _, path = bare.strip("/").partition("/")
    if path in ("v1", "v2"):
        path = ""
    if host in (LEGACY_DOMAIN, f"registry-1.{DEFAULT_DOMAIN}"):
        host = DEFAULT_DOMAIN
    return f"{host}/{path}" if path else host


def _fits(image: Reference, registry: str) -> bool:
    """Each part of the host by its glob, the same port, the path a prefix of the image's."""
    host, _, path = _location(registry).partition("/")
    name, _, port = host.partition(":")
    wanted, _, wanted_port = image.domain.partition(":")
    parts, wanted_parts = name.split("."), wanted.split(".")
    if port != wanted_port or len(parts) != len(wanted_parts):
        return False
    if not all(fnmatchcase(given, part) for part, given in zip(parts, wanted_parts, strict=True)):
        return False
    return image.path.startswith(path)
