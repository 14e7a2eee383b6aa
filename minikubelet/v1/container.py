"""A container: image, command, environment, ports, resources, mounts, probes, privileges.

A container in `spec.initContainers` runs to its end before the next one starts, unless its `restartPolicy` is
Always: then it is a sidecar, which starts in its turn and stays.
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, Object, ResourceList
from minikubelet.v1.env import EnvFromSource, EnvVar
from minikubelet.v1.probe import Lifecycle, Probe
from minikubelet.v1.security import SecurityContext


class ContainerPort(Object, kw_only=True):
    """A port the container listens on; information, except for `hostPort`."""

    name: str | None = None
    host_port: Int32 | None = None
    container_port: Int32 | None = None
    protocol: str | None = None
    host_ip: str | None = None


class ResourceClaim(Object, kw_only=True):
    """One of the pod's claims (`spec.resourceClaims`) that this container uses."""

    name: str | None = None
    request: str | None = None


class ResourceRequirements(Object, kw_only=True):
    """What a container is promised (requests) and the most it may use (limits)."""

    limits: ResourceList | None = None
    requests: ResourceList | None = None
    claims: list[ResourceClaim] | None = None


class ContainerResizePolicy(Object, kw_only=True):
    """Must the container restart when this resource is resized in place?"""

    resource_name: str | None = None
    restart_policy: str | None = None


class VolumeMount(Object, kw_only=True):
    """Where a volume of the pod appears in the container's file system."""

    name: str | None = None
    read_only: bool | None = None
    recursive_read_only: str | None = None
    mount_path: str | None = None
    sub_path: str | None = None
    mount_propagation: str | None = None
    sub_path_expr: str | None = None


class VolumeDevice(Object, kw_only=True):
    """A block device volume, seen as a device file in the container."""

    name: str | None = None
    device_path: str | None = None


class ContainerRestartRuleOnExitCodes(Object, kw_only=True):
    """Exit codes a restart rule looks at: In or NotIn a list."""

    operator: str | None = None
    values: list[Int32] | None = None


class ContainerRestartRule(Object, kw_only=True):
    """What to do when the container exits in a certain way; the first match wins."""

    action: str | None = None
    exit_codes: ContainerRestartRuleOnExitCodes | None = None


class Container(Object, kw_only=True):
    """One application in the pod: an image, a command, and what surrounds its process."""

    name: str | None = None
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str | None = None
    ports: list[ContainerPort] | None = None
    env_from: list[EnvFromSource] | None = None
    env: list[EnvVar] | None = None
    resources: ResourceRequirements | None = None
    resize_policy: list[ContainerResizePolicy] | None = None
    restart_policy: str | None = None
    restart_policy_rules: list[ContainerRestartRule] | None = None
    volume_mounts: list[VolumeMount] | None = None
    volume_devices: list[VolumeDevice] | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    image_pull_policy: str | None = None
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None


class EphemeralContainer(Container, kw_only=True):
    """A container added to a running pod for debugging; it is never restarted."""

    target_container_name: str | None = None
