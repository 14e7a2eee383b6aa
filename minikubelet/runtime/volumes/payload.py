"""What is in a volume that is made of API data: configMap, secret, downwardAPI, projected (kubelet-behaviour
9.3, 10.3).

Pure: objects are found through a function, and nothing is written. What is missing and not optional is a
PayloadError in the kubelet's words, which becomes the Event FailedMount; an optional object that is missing
is an empty one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import RuntimeServiceError
from minikubelet.go_text import quoted
from minikubelet.runtime.environment import CONFIG_MAPS, SECRETS, Facts, Find, field_value, resource_value
from minikubelet.runtime.volumes.atomic_writer import File, Payload
from minikubelet.runtime.volumes.plugin import Token
from minikubelet.v1 import (
    Container,
    DownwardAPIVolumeFile,
    KeyToPath,
    ObjectMeta,
    Pod,
    PodSpec,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)

DEFAULT_MODE = 0o644
PRIVATE_TOKEN_MODE = 0o600  # to which an fsGroup adds its own bits
DEFAULT_TOKEN_SECONDS = 3600


class PayloadError(OSError):
    """Why a volume has no content yet; as any other reason, it is told in the Event FailedMount."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom a volume is made for, and where its content is found."""

    pod: Pod
    facts: Facts
    find: Find
    token: Token | None = None  # makes the tokens of the pod's ServiceAccount
    present: Callable[[str], bytes] = lambda path: b""  # what a file of the volume holds now


def payload(volume: Volume, sources: Sources) -> Payload:
    """The files of a volume. Raises PayloadError."""
    if volume.config_map is not None:
        config = volume.config_map
        mode = _mode(config.default_mode)
        return _config_map(config.name, config.items, bool(config.optional), mode, sources)
    if volume.secret is not None:
        secret = volume.secret
        mode = _mode(secret.default_mode)
        return _secret(secret.secret_name, secret.items, bool(secret.optional), mode, sources)
    if volume.downward_api is not None:
        downward = volume.downward_api
        return _downward(downward.items or (), _mode(downward.default_mode), sources)
    return _projected(volume.projected or ProjectedVolumeSource(), sources)


def references(volume: Volume) -> list[tuple[str, str]]:
    """(resource, name) of every object the volume is made of."""
    found: list[tuple[str, str | None]] = []
    if volume.config_map is not None:
        found.append((CONFIG_MAPS, volume.config_map.name))
    if volume.secret is not None:
        found.append((SECRETS, volume.secret.secret_name))
    for part in (volume.projected and volume.projected.sources) or ():
        if part.config_map is not None:
            found.append((CONFIG_MAPS, part.config_map.name))
        if part.secret is not None:
            found.append((SECRETS, part.secret.name))
    return [(resource, name or "") for resource, name in found]


def _mode(default: int | None) -> int:
    return DEFAULT_MODE if default is None else default


def _config_map(
    name: str | None, items: Sequence[KeyToPath] | None, optional: bool, mode: int, sources: Sources
) -> Payload:
    found = _object(CONFIG_MAPS, name or "", optional, sources.find)
    text: Mapping[str, str] = found.get("data") or {}
    contents = {key: value.encode() for key, value in text.items()} | _decoded(found.get("binaryData"))
    return _chosen(contents, items, optional, mode, "configmap references non-existent config key: {}")


def _secret(
    name: str | None, items: Sequence[KeyToPath] | None, optional: bool, mode: int, sources: Sources
) -> Payload:
    contents = _decoded(_object(SECRETS, name or "", optional, sources.find).get("data"))
    return _chosen(contents, items, optional, mode, "references non-existent secret key: {}")


def _object(resource: str, name: str, optional: bool, find: Find) -> Mapping[str, Any]:
    found = find(resource, name)
    if found is None and not optional:
        raise PayloadError(f'{resource.removesuffix("s")} "{name}" not found')
    return found or {}


def _decoded(data: Mapping[str, str] | None) -> dict[str, bytes]:
    """The API has seen to it that it is base64."""
    return {key: base64.b64decode(value) for key, value in (data or {}).items()}


def _chosen(
    contents: Mapping[str, bytes],
    items: Sequence[KeyToPath] | None,
    optional: bool,
    mode: int,
    missing: str,
) -> Payload:
    """Without items every key is a file; with items only those, each at its path."""
    if not items:
        return {key: File(content, mode) for key, content in contents.items()}
    files = {}
    for item in items:
        key = item.key or ""
        if key in contents:
            files[item.path or ""] = File(contents[key], mode if item.mode is None else item.mode)
        elif not optional:
            raise PayloadError(missing.format(key))
    return files


# Downward API


def _downward(items: Sequence[DownwardAPIVolumeFile], mode: int, sources: Sources) -> Payload:
    return {
        item.path or "": File(_downward_content(item, sources), mode if item.mode is None else item.mode)
        for item in items
    }


def _downward_content(item: DownwardAPIVolumeFile, sources: Sources) -> bytes:
    try:
        if item.resource_field_ref is not None:
            # No container is "its own" here: the API makes sure that one is named.
            text = resource_value(sources.pod, Container(), item.resource_field_ref, sources.facts)
        else:
            text = _field((item.field_ref and item.field_ref.field_path) or "", sources)
    except RuntimeServiceError as error:
        raise PayloadError(str(error)) from error
    return text.encode()


def _field(path: str, sources: Sources) -> str:
    metadata = sources.pod.metadata or ObjectMeta()
    if path == "metadata.labels":
        return _lines(metadata.labels or {})
    if path == "metadata.annotations":
        return _lines(metadata.annotations or {})
    return field_value(sources.pod, path, sources.facts)


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={quoted(value)}" for key, value in sorted(pairs.items()))


# Projected


def _projected(source: ProjectedVolumeSource, sources: Sources) -> Payload:
    """All parts in one directory. A later part replaces a file of an earlier one; all that is missing is told
    at once.
    """
    mode = _mode(source.default_mode)
    files: dict[str, File] = {}
    errors: list[str] = []
    for part in source.sources or ():
        try:
            files |= _part(part, mode, sources)
        except PayloadError as error:
            errors.append(str(error))
    if errors:
        raise PayloadError(_aggregate(errors))
    return files


def _part(part: VolumeProjection, mode: int, sources: Sources) -> Payload:
    if part.config_map is not None:
        config = part.config_map
        return _config_map(config.name, config.items, bool(config.optional), mode, sources)
    if part.secret is not None:
        secret = part.secret
        return _secret(secret.name, secret.items, bool(secret.optional), mode, sources)
    if part.downward_api is not None:
        return _downward(part.downward_api.items or (), mode, sources)
    if part.service_account_token is not None:
        return _token(part.service_account_token, mode, sources)
    raise PayloadError("this node makes no certificates and trust bundles")


def _token(projection: ServiceAccountTokenProjection, mode: int, sources: Sources) -> Payload:
    """The token that is there, until it is time to renew it. Who may read it is the kubelet's rule: the pod's
    only user alone, the group that the volume has, or everybody.
    """
    spec = sources.pod.spec or PodSpec()
    if sources.token is None:
        account = spec.service_account_name or ""
        raise PayloadError(f'failed to fetch token: serviceaccounts "{account}" not found')
    path = projection.path or ""
    present = sources.present(path).decode(errors="replace")
    seconds = projection.expiration_seconds or DEFAULT_TOKEN_SECONDS
    token = sources.token(projection.audience or "", seconds, present)
    user = only_user(spec)
    group = spec.security_context.fs_group if spec.security_context else None
    if user is not None or group is not None:
        mode = PRIVATE_TOKEN_MODE
    return {path: File(token.encode(), mode, user)}


def only_user(spec: PodSpec) -> int | None:
    """The runAsUser of all containers, if they have the same one."""
    of_pod = spec.security_context.run_as_user if spec.security_context else None
    users = set()
    for container in (
        *(spec.init_containers or ()),
        *(spec.containers or ()),
        *(spec.ephemeral_containers or ()),
    ):
        own = container.security_context.run_as_user if container.security_context else None
        users.add(of_pod if own is None else own)
    return users.pop() if len(users) == 1 else None


def _aggregate(errors: Iterable[str]) -> str:
    """As Go's aggregated errors print: each once, in brackets when there are several."""
    once = list(dict.fromkeys(errors))
    return once[0] if len(once) == 1 else f"[{', '.join(once)}]"
