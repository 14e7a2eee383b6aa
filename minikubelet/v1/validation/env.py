"""Environment variables and their sources (V24–V33)."""

from __future__ import annotations

import re

from minikubelet.v1.env import (
    ConfigMapKeySelector,
    EnvFromSource,
    EnvVar,
    FileKeySelector,
    ObjectFieldSelector,
    ResourceFieldSelector,
    SecretKeySelector,
)
from minikubelet.v1.quantity import canonical, is_zero
from minikubelet.v1.validation.field import Errors, each_invalid, invalid, required, unsupported
from minikubelet.v1.validation.names import (
    config_key,
    dns_label,
    dns_subdomain,
    env_name,
    no_backsteps,
    qualified_name,
)

ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
# Fields the server can name at all; env and volumes each allow a part of them.
KNOWN_FIELDS = frozenset(
    {
        *ENV_FIELDS,
        "metadata.annotations",
        "metadata.labels",
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
    }
)
RESOURCES = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory",
)  # fmt: skip
HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
SUBSCRIPT = re.compile(r"([^\[]*)\['(.*)'\]")

NO_SOURCE = (
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
)
TWO_SOURCES = "may not have more than one field specified at a time"


def env_errors(path: str, variables: list[EnvVar] | None) -> Errors:
    """`env` of a container."""
    for index, variable in enumerate(variables or ()):
        here = f"{path}[{index}]"
        if not variable.name:
            yield required(f"{here}.name")
        else:
            yield from each_invalid(f"{here}.name", variable.name, env_name(variable.name))
        if variable.value_from is not None:
            yield from _value_from(f"{here}.valueFrom", variable)


def _value_from(path: str, variable: EnvVar) -> Errors:
    source = variable.value_from
    assert source is not None
    if source.field_ref is not None:
        yield from field_ref_errors(f"{path}.fieldRef", source.field_ref, ENV_FIELDS)
    if source.resource_field_ref is not None:
        yield from resource_field_errors(f"{path}.resourceFieldRef", source.resource_field_ref)
    if source.config_map_key_ref is not None:
        yield from _key(f"{path}.configMapKeyRef", source.config_map_key_ref)
    if source.secret_key_ref is not None:
        yield from _key(f"{path}.secretKeyRef", source.secret_key_ref)
    if source.file_key_ref is not None:
        yield from _file_key(f"{path}.fileKeyRef", source.file_key_ref)
    given = [name for name in source.__struct_fields__ if getattr(source, name) is not None]
    if not given:
        yield invalid(path, "", NO_SOURCE)
    elif variable.value:
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield invalid(path, "", TWO_SOURCES)


def field_ref_errors(path: str, selector: ObjectFieldSelector, allowed: tuple[str, ...]) -> Errors:
    """A field of the pod, plain or with a key: `metadata.labels['app']`."""
    field = selector.field_path
    if not selector.api_version:
        yield required(f"{path}.apiVersion")
        return
    if not field:
        yield required(f"{path}.fieldPath")
        return
    problem = _unknown_field(selector.api_version, field)
    if problem:
        yield invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {problem}")
    elif subscripted := SUBSCRIPT.fullmatch(field):
        base, key = subscripted.groups()
        key = key.lower() if base == "metadata.annotations" else key
        yield from each_invalid(path, key, qualified_name(key))
    elif field not in allowed:
        yield unsupported(f"{path}.fieldPath", field, sorted(allowed))


def _unknown_field(version: str, field: str) -> str:
    if version != "v1":
        return f"unsupported pod version: {version}"
    if subscripted := SUBSCRIPT.fullmatch(field):
        known = subscripted[1] in ("metadata.annotations", "metadata.labels")
        return "" if known else f"field label does not support subscript: {field}"
    return "" if field in KNOWN_FIELDS else f"field label not supported: {field}"


def resource_field_errors(path: str, selector: ResourceFieldSelector, *, in_volume: bool = False) -> Errors:
    """A request or limit of a container; a volume must say of which container."""
    resource = selector.resource or ""
    if in_volume and not selector.container_name:
        yield required(f"{path}.containerName")
    elif not resource:
        yield required(f"{path}.resource")
    elif resource not in RESOURCES and not resource.startswith(HUGE_PAGES):
        yield unsupported(f"{path}.resource", resource, RESOURCES)
    if not is_zero(selector.divisor):
        assert selector.divisor is not None
        yield from _divisor(f"{path}.divisor", resource, canonical(selector.divisor))


def _divisor(path: str, resource: str, divisor: str) -> Errors:
    """The value shown is the resource's name, as in the API server."""
    kind = resource.partition(".")[2]
    if kind == "cpu":
        if divisor not in ("1m", "1"):
            yield invalid(
                path, resource, "only divisor's values 1m and 1 are supported with the cpu resource"
            )
        return
    names = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}
    name = names.get(kind, "hugepages" if kind.startswith("hugepages-") else "")
    if name and divisor not in BYTE_DIVISORS:
        values = ", ".join(BYTE_DIVISORS)
        yield invalid(
            path, resource, f"only divisor's values {values} are supported with the {name} resource"
        )


def _key(path: str, selector: ConfigMapKeySelector | SecretKeySelector) -> Errors:
    yield from each_invalid(f"{path}.name", selector.name or "", dns_subdomain(selector.name or ""))
    if not selector.key:
        yield required(f"{path}.key")
    else:
        yield from each_invalid(f"{path}.key", selector.key, config_key(selector.key))


def _file_key(path: str, selector: FileKeySelector) -> Errors:
    if not selector.key:
        yield required(f"{path}.key")
    else:
        yield from each_invalid(f"{path}.key", selector.key, env_name(selector.key))
    if not selector.volume_name:
        yield required(f"{path}.volumeName")
    else:
        yield from each_invalid(f"{path}.volumeName", selector.volume_name, dns_label(selector.volume_name))
    if not selector.path:
        yield required(f"{path}.path")
    else:
        yield from each_invalid(f"{path}.path", selector.path, no_backsteps(selector.path))


def env_from_errors(path: str, sources: list[EnvFromSource] | None) -> Errors:
    """`envFrom` of a container. A missing source is reported on the whole list, as the API server does."""
    for index, source in enumerate(sources or ()):
        here = f"{path}[{index}]"
        if source.prefix:
            yield from each_invalid(f"{here}.prefix", source.prefix, env_name(source.prefix))
        for name, reference in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)):
            if reference is None:
                continue
            if not reference.name:
                yield required(f"{here}.{name}.name")
            else:
                yield from each_invalid(f"{here}.{name}.name", reference.name, dns_subdomain(reference.name))
        if source.config_map_ref is None and source.secret_ref is None:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif source.config_map_ref is not None and source.secret_ref is not None:
            yield invalid(path, "", TWO_SOURCES)
