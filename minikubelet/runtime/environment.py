"""What a container's process is given: its environment, command line and working directory (kubelet-behaviour
9.1 to 9.5).

Pure: the pod, the image's configuration and the facts of the node are passed in; ConfigMaps, Secrets and env
files are found through functions. What is missing and not optional is a CreateContainerConfigError in the
kubelet's words; the pod worker tries again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.runtime import env_file
from minikubelet.runtime.images.config import ImageConfig
from minikubelet.v1 import (
    ConfigMapKeySelector,
    Container,
    EnvFromSource,
    EnvVarSource,
    FileKeySelector,
    Pod,
    PodSpec,
    ResourceFieldSelector,
    ResourceRequirements,
    SecretKeySelector,
)
from minikubelet.v1.quantity import Quantity

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONFIG_MAPS, SECRETS, CLAIMS = "configmaps", "secrets", "persistentvolumeclaims"

# (resource, name) in the pod's namespace → the object as the store keeps it, or None
Find = Callable[[str, str], Mapping[str, Any] | None]

# (volume, path) → the text of a file that lies in an emptyDir of the pod; raises OSError
ReadFile = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the environment may tell about pod and node. A pod has addresses once its sandbox runs."""

    hostname: str
    pod_ips: Sequence[str] = ()
    host_ips: Sequence[str] = ()
    node_name: str = ""
    allocatable: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)  # service variables (9.4)


def container_environment(
    pod: Pod, container: Container, facts: Facts, find: Find, read: ReadFile
) -> dict[str, str]:
    """What the manifest asks for: envFrom, then env in order, then service variables."""
    result: dict[str, str] = {}
    for source in container.env_from or ():
        result |= _whole_object(pod, source, find)
    for variable in container.env or ():
        name = variable.name or ""
        if variable.value_from is not None:
            value = _value_from(pod, container, variable.value_from, facts, find, read)
            if value is not None:
                result[name] = value
        else:
            result[name] = expand(variable.value or "", {**facts.services, **result})
    return {**facts.services, **result}


def process_environment(
    environment: Mapping[str, str], image: ImageConfig, facts: Facts, *, tty: bool
) -> list[str]:
    """The whole of it, as execve(2) takes it: base, image, manifest; the later wins."""
    base = {"PATH": DEFAULT_PATH, "HOSTNAME": facts.hostname}
    if tty:
        base["TERM"] = "xterm"
    from_image = dict(entry.split("=", 1) for entry in image.env)
    merged = {**base, **from_image, **environment}
    for name, value in merged.items():
        if "\0" in name or "\0" in value:
            raise CreateContainerConfigError(f"environment variable {name!r} contains a null byte")
    return [f"{name}={value}" for name, value in merged.items()]


def command_line(
    container: Container, image: ImageConfig, environment: Mapping[str, str], container_id: str
) -> list[str]:
    """command replaces ENTRYPOINT and CMD, args replaces CMD. CreateContainerError if nothing is left."""
    command = [expand(word, environment) for word in container.command or ()]
    args = [expand(word, environment) for word in container.args or ()]
    if not command:
        command = list(image.entrypoint)
        args = args or list(image.cmd)
    if not command and not args:
        raise CreateContainerError(
            f'failed to generate container "{container_id}" spec: '
            "failed to generate spec: no command specified"
        )
    return command + args


def working_directory(container: Container, image: ImageConfig) -> str:
    return container.working_dir or image.working_dir or "/"


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` → value; unknown ones stay, `$$` is a dollar sign, nothing is expanded twice (9.2)."""
    parts, position = [], 0
    while (dollar := text.find("$", position)) >= 0 and dollar + 1 < len(text):
        parts.append(text[position:dollar])
        follower = text[dollar + 1]
        end = text.find(")", dollar + 2) if follower == "(" else -1
        if end >= 0:
            name = text[dollar + 2 : end]
            parts.append(variables.get(name, f"$({name})"))
            position = end + 1
        else:
            parts.append("$" if follower == "$" else "$" + follower)
            position = dollar + 2
    return "".join(parts) + text[position:]


def field_value(pod: Pod, path: str, facts: Facts) -> str:
    """A fieldRef of an environment variable (9.3)."""
    metadata, spec = pod.metadata, pod.spec or PodSpec()
    assert metadata is not None
    if path.startswith("metadata.labels['"):
        return (metadata.labels or {}).get(_subscript(path), "")
    if path.startswith("metadata.annotations['"):
        return (metadata.annotations or {}).get(_subscript(path), "")
    known = {
        "metadata.name": metadata.name,
        "metadata.namespace": metadata.namespace,
        "metadata.uid": metadata.uid,
        "spec.nodeName": spec.node_name or facts.node_name,
        "spec.serviceAccountName": spec.service_account_name,
        "status.hostIP": next(iter(facts.host_ips), ""),
        "status.hostIPs": ",".join(facts.host_ips),
        "status.podIP": next(iter(facts.pod_ips), ""),
        "status.podIPs": ",".join(facts.pod_ips),
    }
    if path not in known:
        raise CreateContainerConfigError(f"unsupported fieldPath: {path}")
    return known[path] or ""


def resource_value(pod: Pod, container: Container, selector: ResourceFieldSelector, facts: Facts) -> str:
    """A resourceFieldRef: value / divisor, rounded up; cpu is counted in thousandths."""
    which, _, resource = (selector.resource or "").partition(".")
    if which not in ("limits", "requests"):
        raise CreateContainerConfigError(f"unsupported container resource : {selector.resource}")
    amount = Quantity.parse(_resource(pod, _chosen(pod, container, selector), which, resource, facts))
    divisor = Quantity.parse(selector.divisor or "1")
    if divisor.nanos == 0:
        divisor = Quantity.parse("1")
    if resource == "cpu":
        return str(_divided_up(amount.milli_value(), divisor.milli_value()))
    return str(_divided_up(amount.value(), divisor.value()))


def _whole_object(pod: Pod, source: EnvFromSource, find: Find) -> dict[str, str]:
    prefix = source.prefix or ""
    if source.config_map_ref is not None:
        reference = source.config_map_ref
        data = _data(CONFIG_MAPS, reference.name or "", bool(reference.optional), find)
    elif source.secret_ref is not None:
        secret = source.secret_ref
        encoded = _data(SECRETS, secret.name or "", bool(secret.optional), find)
        data = {key: _decoded(value) for key, value in (encoded or {}).items()}
    else:
        data = {}
    return {prefix + key: value for key, value in (data or {}).items()}


def _value_from(
    pod: Pod, container: Container, source: EnvVarSource, facts: Facts, find: Find, read: ReadFile
) -> str | None:
    """None: leave the variable out, its source is missing and optional."""
    if source.field_ref is not None:
        return field_value(pod, source.field_ref.field_path or "", facts)
    if source.resource_field_ref is not None:
        return resource_value(pod, container, source.resource_field_ref, facts)
    if source.config_map_key_ref is not None:
        return _key(pod, CONFIG_MAPS, source.config_map_key_ref, find)
    if source.secret_key_ref is not None:
        encoded = _key(pod, SECRETS, source.secret_key_ref, find)
        return None if encoded is None else _decoded(encoded)
    if source.file_key_ref is not None:
        return _from_file(source.file_key_ref, read)
    raise CreateContainerConfigError("environment variable with a source this node does not know")


def _from_file(selector: FileKeySelector, read: ReadFile) -> str | None:
    """An empty value is as good as none; a file that cannot be used is an error even of an optional key."""
    key, path = selector.key or "", selector.path or ""
    try:
        value = env_file.value_of(key, read(selector.volume_name or "", path))
    except (OSError, ValueError) as error:
        raise CreateContainerConfigError("couldn't parse env file") from error
    if value or selector.optional:
        return value or None
    raise CreateContainerConfigError(f'environment variable key "{key}" not found in file "{path}"')


def _key(
    pod: Pod, resource: str, selector: ConfigMapKeySelector | SecretKeySelector, find: Find
) -> str | None:
    assert pod.metadata is not None
    name, key, optional = selector.name or "", selector.key or "", bool(selector.optional)
    data = _data(resource, name, optional, find)
    if data is None:
        return None
    if key not in data:
        if optional:
            return None
        kind = "ConfigMap" if resource == CONFIG_MAPS else "Secret"
        raise CreateContainerConfigError(f"couldn't find key {key} in {kind} {pod.metadata.namespace}/{name}")
    return data[key]


def _data(resource: str, name: str, optional: bool, find: Find) -> Mapping[str, str] | None:
    found = find(resource, name)
    if found is None:
        if optional:
            return None
        raise CreateContainerConfigError(f'{resource.removesuffix("s")} "{name}" not found')
    data: Mapping[str, str] = found.get("data") or {}
    return data


def _decoded(text: str) -> str:
    """A Secret's bytes as an environment has them; what is not UTF-8 survives the way to execve(2)."""
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "surrogateescape")
    except binascii.Error as error:
        raise CreateContainerConfigError(f"cannot decode a value of a secret: {error}") from error


def _subscript(path: str) -> str:
    """k of metadata.labels['k']"""
    return path.partition("['")[2].removesuffix("']")


def _chosen(pod: Pod, container: Container, selector: ResourceFieldSelector) -> Container:
    name = selector.container_name
    if not name or name == container.name:
        return container
    spec = pod.spec or PodSpec()
    others: list[Container] = [*(spec.containers or ()), *(spec.init_containers or ())]
    for other in others:
        if other.name == name:
            return other
    raise CreateContainerConfigError(f"container {name} not found")


def _resource(pod: Pod, container: Container, which: str, resource: str, facts: Facts) -> str:
    """A missing limit is the pod's, else all that the node has; a missing request is nothing."""
    own = _amounts(container.resources, which)
    if resource in own:
        return own[resource]
    if which == "requests":
        return "0"
    whole = _amounts(pod.spec.resources if pod.spec else None, which)
    return whole.get(resource) or facts.allocatable.get(resource, "0")


def _amounts(resources: ResourceRequirements | None, which: str) -> Mapping[str, str]:
    if resources is None:
        return {}
    return (resources.limits if which == "limits" else resources.requests) or {}


def _divided_up(amount: int, divisor: int) -> int:
    return -(-amount // divisor)
