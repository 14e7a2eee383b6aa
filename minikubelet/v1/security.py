"""Who a container runs as and what it may do: user ids, capabilities, seccomp, AppArmor, SELinux.

A field set on the container wins over the same field set on the pod.
"""

from __future__ import annotations

from minikubelet.v1.base import Int64, Object


class Capabilities(Object, kw_only=True):
    """Linux capabilities added to and dropped from the runtime's default set."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SELinuxOptions(Object, kw_only=True):
    """The SELinux label of a container."""

    type: str | None = None
    level: str | None = None
    role: str | None = None
    user: str | None = None


class SeccompProfile(Object, kw_only=True):
    """Which system calls are filtered: RuntimeDefault, Localhost or Unconfined."""

    type: str | None = None
    localhost_profile: str | None = None


class AppArmorProfile(Object, kw_only=True):
    """Which AppArmor profile confines the container."""

    type: str | None = None
    localhost_profile: str | None = None


class WindowsSecurityContextOptions(Object, kw_only=True):
    """Settings that only mean something on Windows nodes."""

    gmsa_credential_spec: str | None = None
    gmsa_credential_spec_name: str | None = None
    host_process: bool | None = None
    run_as_user_name: str | None = None


class Sysctl(Object, kw_only=True):
    """A kernel parameter of the pod's namespaces."""

    name: str | None = None
    value: str | None = None


class SecurityContext(Object, kw_only=True):
    """Privileges of one container; what is set here wins over the pod's."""

    capabilities: Capabilities | None = None
    privileged: bool | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsSecurityContextOptions | None = None
    run_as_user: Int64 | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    proc_mount: str | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None


class PodSecurityContext(Object, kw_only=True):
    """Privileges common to all containers of the pod."""

    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsSecurityContextOptions | None = None
    run_as_user: Int64 | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: list[Int64] | None = None
    supplemental_groups_policy: str | None = None
    fs_group: Int64 | None = None
    sysctls: list[Sysctl] | None = None
    fs_group_change_policy: str | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None
    se_linux_change_policy: str | None = None
