"""Which filter a container gets, compiled: from its security context, the pod's, and what the node says.

A profile on the container wins over one on the pod; without either it is RuntimeDefault (or Unconfined,
with `seccompDefault: false`). A privileged container is never filtered. Localhost profiles lie below
`<lib>/seccomp`, as the kubelet's lie below its root. Compiling takes ten milliseconds, so every program is
kept: the default one for each set of capabilities, a file's as long as the file stays as it is.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from collections.abc import Collection
from pathlib import Path

from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.linux import capabilities, syscalls
from minikubelet.runtime.seccomp.default_profile import default_profile
from minikubelet.runtime.seccomp.numbers import MACHINES
from minikubelet.runtime.seccomp.profile import BadProfile, Circumstances, Profile, read_profile
from minikubelet.runtime.seccomp.program import compile_profile
from minikubelet.shim.protocol import SeccompSpec
from minikubelet.v1 import Container, Pod, SeccompProfile

ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
MAX_FILE = 1 << 20  # bytes of a profile


class Filters:
    """The programs of this node. `directory` holds the Localhost profiles."""

    def __init__(self, directory: Path, *, confine_by_default: bool) -> None:
        self._directory = directory
        self._fallback = SeccompProfile(type="RuntimeDefault" if confine_by_default else "Unconfined")
        self._machine = os.uname().machine
        self._kernel = kernel_version(os.uname().release)
        self._defaults: dict[frozenset[str], SeccompSpec] = {}
        self._files: dict[tuple[str, frozenset[str]], tuple[tuple[int, ...], SeccompSpec]] = {}
        self._lacking = lacking()
        if confine_by_default and not self._lacking:
            self._default(frozenset(capabilities.DEFAULT))  # now, and not when the first pod waits for it

    def of(self, pod: Pod, container: Container, bounding: Collection[str]) -> SeccompSpec | None:
        """None: unconfined. `bounding` are the capabilities it keeps.

        CreateContainerConfigError: the field makes no sense. CreateContainerError: the file cannot be used,
        or the kernel cannot filter.
        """
        profile = profile_of(pod, container) or self._fallback
        privileged = container.security_context and container.security_context.privileged
        if privileged or profile.type == "Unconfined":
            return None
        if self._lacking:
            raise CreateContainerError(f"seccomp is not supported: {self._lacking}")
        held = frozenset(name.removeprefix("CAP_") for name in bounding)
        if profile.type == "Localhost":
            return self._localhost(profile.localhost_profile or "", held)
        return self._default(held)

    def _default(self, held: frozenset[str]) -> SeccompSpec:
        if held not in self._defaults:
            self._defaults[held] = self._compiled(default_profile(self._circumstances(held)))
        return self._defaults[held]

    def _localhost(self, name: str, held: frozenset[str]) -> SeccompSpec:
        """The API has validated the name; a static pod or an older store may still bring another."""
        if not name:
            raise CreateContainerConfigError(
                "localhostProfile must be set if seccompProfile type is Localhost."
            )
        if name.startswith("/") or ".." in name.split("/"):
            raise CreateContainerConfigError(
                f"localhostProfile {name!r} must not lead out of {self._directory}"
            )
        path = self._directory / name
        try:
            syscalls.path_bytes(str(path))
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                version = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
                known = self._files.get((name, held))
                if known is not None and known[0] == version:
                    return known[1]
                data = file.read(MAX_FILE + 1)
            if len(data) > MAX_FILE:
                raise BadProfile(f"it is larger than {MAX_FILE} bytes")
            spec = self._compiled(read_profile(data, self._circumstances(held)))
        except OSError as error:
            cause = (error.strerror or str(error)).lower()
            text = f'cannot load seccomp profile "{path}": open {path}: {cause}'
            raise CreateContainerError(text) from error
        except BadProfile as error:
            text = f'cannot load seccomp profile "{path}": decoding seccomp profile failed: {error}'
            raise CreateContainerError(text) from error
        self._files[(name, held)] = (version, spec)
        return spec

    def _circumstances(self, held: frozenset[str]) -> Circumstances:
        return Circumstances(self._machine, self._kernel, held)

    def _compiled(self, profile: Profile) -> SeccompSpec:
        program = compile_profile(profile, self._machine)
        return SeccompSpec(b2a_base64(program, newline=False).decode(), profile.flags)


def profile_of(pod: Pod, container: Container) -> SeccompProfile | None:
    """What the manifest says."""
    own = container.security_context
    if own is not None and own.seccomp_profile is not None:
        return own.seccomp_profile
    whole = pod.spec.security_context if pod.spec else None
    return whole.seccomp_profile if whole is not None else None


def lacking() -> str:
    """What this node needs for filters and does not have; empty: nothing."""
    if not ACTIONS.exists():
        return "the kernel was built without CONFIG_SECCOMP_FILTER"
    machine = os.uname().machine
    return "" if machine in MACHINES else f"there is no table of system calls for {machine}"


def kernel_version(release: str) -> tuple[int, int]:
    """6.1.0-18-amd64 → (6, 1)."""
    major, minor, *_ = [*release.replace("-", ".").split("."), "0"]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or "0")
