"""Environment variables and where their values come from (kubelet-behaviour section 9).

The selectors here are shared: volumes of type downwardAPI use `ObjectFieldSelector` and
`ResourceFieldSelector` too.
"""

from __future__ import annotations

from minikubelet.v1.base import Object, Quantity


class ObjectFieldSelector(Object, kw_only=True):
    """A field of the pod itself, by path: `metadata.name`, `status.podIP`."""

    api_version: str | None = None
    field_path: str | None = None


class ResourceFieldSelector(Object, kw_only=True):
    """A request or limit of a container, divided by `divisor` and rounded up."""

    container_name: str | None = None
    divisor: Quantity | None = None
    resource: str | None = None


class ConfigMapKeySelector(Object, kw_only=True):
    """One key of a ConfigMap in the pod's namespace."""

    name: str | None = None
    key: str | None = None
    optional: bool | None = None


class SecretKeySelector(Object, kw_only=True):
    """One key of a Secret in the pod's namespace."""

    name: str | None = None
    key: str | None = None
    optional: bool | None = None


class FileKeySelector(Object, kw_only=True):
    """One key of an env file that an init container wrote into an emptyDir."""

    key: str | None = None
    path: str | None = None
    optional: bool | None = None
    volume_name: str | None = None


class EnvVarSource(Object, kw_only=True):
    """Where the value of an environment variable comes from; exactly one member is set."""

    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: ConfigMapKeySelector | None = None
    secret_key_ref: SecretKeySelector | None = None
    file_key_ref: FileKeySelector | None = None


class EnvVar(Object, kw_only=True):
    """One environment variable; `$(NAME)` in its value refers to those before it."""

    name: str | None = None
    value: str | None = None
    value_from: EnvVarSource | None = None


class ConfigMapEnvSource(Object, kw_only=True):
    """Every key of a ConfigMap becomes a variable."""

    name: str | None = None
    optional: bool | None = None


class SecretEnvSource(Object, kw_only=True):
    """Every key of a Secret becomes a variable."""

    name: str | None = None
    optional: bool | None = None


class EnvFromSource(Object, kw_only=True):
    """A whole ConfigMap or Secret as variables, each name with a prefix."""

    prefix: str | None = None
    config_map_ref: ConfigMapEnvSource | None = None
    secret_ref: SecretEnvSource | None = None
