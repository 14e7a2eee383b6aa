"""Security contexts of pods and containers (V88–V91)."""

from __future__ import annotations

import re

from minikubelet.v1.pod import PodSpec
from minikubelet.v1.security import (
    AppArmorProfile,
    PodSecurityContext,
    SeccompProfile,
    SecurityContext,
    Sysctl,
)
from minikubelet.v1.validation.field import (
    Errors,
    duplicate,
    each_invalid,
    invalid,
    required,
    too_long,
    unsupported,
)
from minikubelet.v1.validation.names import relative_path, user_id

PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
SYSCTL_PATTERN = rf"^{SYSCTL_SEGMENT}([\./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$"
SYSCTL_TEXT = f"must have at most 253 characters and match regex {SYSCTL_PATTERN}"
NET_SYSCTL = "net."
IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
PATH_MAX = 4095


def container_security_errors(path: str, context: SecurityContext | None, *, host_users: bool) -> Errors:
    """`securityContext` of a container."""
    if context is None:
        return
    yield from _id(f"{path}.runAsUser", context.run_as_user)
    yield from _id(f"{path}.runAsGroup", context.run_as_group)
    if context.proc_mount is not None:
        yield from _proc_mount(f"{path}.procMount", context.proc_mount, host_users=host_users)
    yield from _seccomp(f"{path}.seccompProfile", context.seccomp_profile)
    if context.allow_privilege_escalation is False:
        yield from _escalation(path, context)
    yield from _app_armor(f"{path}.appArmorProfile", context.app_armor_profile)


def _id(path: str, number: int | None) -> Errors:
    if number is not None:
        yield from each_invalid(path, number, user_id(number))


def _proc_mount(path: str, mount: str, *, host_users: bool) -> Errors:
    if mount not in ("Default", "Unmasked"):
        yield unsupported(path, mount, ("Default", "Unmasked"))
    elif mount == "Unmasked" and host_users:
        yield invalid(path, mount, "`hostUsers` must be false to use `Unmasked`")


def _escalation(path: str, context: SecurityContext) -> Errors:
    """Forbidding to gain privileges makes no sense for who has them all."""
    if context.privileged:
        yield invalid(
            path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        )
    if context.capabilities is not None and "CAP_SYS_ADMIN" in (context.capabilities.add or ()):
        detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
        yield invalid(path, context, detail)


def pod_security_errors(spec: PodSpec) -> Errors:
    """`securityContext` of the pod, and what the pod says beside it about namespaces."""
    path = "spec.securityContext"
    context = spec.security_context or PodSecurityContext()
    yield from _id(f"{path}.fsGroup", context.fs_group)
    yield from _id(f"{path}.runAsUser", context.run_as_user)
    yield from _id(f"{path}.runAsGroup", context.run_as_group)
    for index, group in enumerate(context.supplemental_groups or ()):
        yield from _id(f"{path}.supplementalGroups[{index}]", group)
    if spec.share_process_namespace and spec.host_pid:
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{path}.shareProcessNamespace", True, detail)
    yield from _sysctls(f"{path}.sysctls", context.sysctls or [], spec)
    yield from _choice(
        f"{path}.fsGroupChangePolicy", context.fs_group_change_policy, ("Always", "OnRootMismatch")
    )
    yield from _seccomp(f"{path}.seccompProfile", context.seccomp_profile)
    yield from _app_armor(f"{path}.appArmorProfile", context.app_armor_profile)
    yield from _choice(
        f"{path}.supplementalGroupsPolicy", context.supplemental_groups_policy, ("Merge", "Strict")
    )
    yield from _choice(
        f"{path}.seLinuxChangePolicy", context.se_linux_change_policy, ("MountOption", "Recursive")
    )


def _choice(path: str, value: str | None, choices: tuple[str, ...]) -> Errors:
    if value is not None and value not in choices:
        yield unsupported(path, value, choices)


def _sysctls(path: str, sysctls: list[Sysctl], spec: PodSpec) -> Errors:
    seen: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        here, name = f"{path}[{index}].name", sysctl.name or ""
        if not name:
            yield required(here)
        elif len(name) > 253 or not re.fullmatch(SYSCTL_PATTERN, name):
            yield invalid(here, name, SYSCTL_TEXT)
        elif name in seen:
            yield duplicate(here, name)
        dotted = name.replace("/", ".")
        if spec.host_network and dotted.startswith(NET_SYSCTL):
            yield invalid(here, name, "may not be specified when 'hostNetwork' is true")
        if spec.host_ipc and dotted.startswith(IPC_SYSCTLS):
            yield invalid(here, name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def _seccomp(path: str, profile: SeccompProfile | None) -> Errors:
    if profile is None:
        return
    if not profile.type:
        yield required(f"{path}.type", "type is required when seccompProfile is set")
    elif profile.type not in PROFILE_TYPES:
        yield unsupported(f"{path}.type", profile.type, PROFILE_TYPES)
    local = profile.localhost_profile
    if profile.type == "Localhost":
        if local is None:
            yield required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            yield from each_invalid(f"{path}.localhostProfile", local, relative_path(local))
    elif local is not None:
        yield invalid(f"{path}.localhostProfile", profile, "can only be set when seccomp type is Localhost")


def _app_armor(path: str, profile: AppArmorProfile | None) -> Errors:
    if profile is None:
        return
    if not profile.type:
        yield required(f"{path}.type", "type is required when appArmorProfile is set")
    elif profile.type not in PROFILE_TYPES:
        yield unsupported(f"{path}.type", profile.type, PROFILE_TYPES)
    elif profile.type == "Localhost":
        yield from _app_armor_name(f"{path}.localhostProfile", profile.localhost_profile)
    elif profile.localhost_profile is not None:
        detail = "can only be set when AppArmor type is Localhost"
        yield invalid(f"{path}.localhostProfile", profile.localhost_profile, detail)


def _app_armor_name(path: str, name: str | None) -> Errors:
    if name is not None and name.strip() != name:
        yield invalid(path, name, "must not be padded with whitespace")
    elif not name:
        yield required(path, "must be set when AppArmor type is Localhost")
    if name is not None and len(name) > PATH_MAX:
        yield too_long(path, PATH_MAX)
