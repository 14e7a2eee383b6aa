"""Filters in force: loaded at the right moment, for the process and for every exec in its container."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.linux import capabilities
from minikubelet.runtime.seccomp.filters import Filters
from minikubelet.shim.protocol import SeccompSpec
from minikubelet.v1 import Container, Pod, PodSpec, SeccompProfile, SecurityContext
from tests.kernel.shims import Node

FILTERED = "Seccomp:\t2"
POD = Pod(spec=PodSpec(containers=[]))


def spec_of(
    profile: SeccompProfile | None = None, directory: Path = Path("/nowhere"), **security: Any
) -> SeccompSpec | None:
    """What the agent sends for such a container."""
    container = Container(security_context=SecurityContext(seccomp_profile=profile, **security))
    return Filters(directory, confine_by_default=True).of(POD, container, capabilities.DEFAULT)


def localhost(directory: Path, profile: dict[str, Any]) -> SeccompSpec | None:
    (directory / "profile.json").write_text(json.dumps(profile))
    return spec_of(SeccompProfile(type="Localhost", localhost_profile="profile.json"), directory)


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("nnp", [False, True])
def test_the_filter_is_in_force_at_start_and_in_an_exec(node: Node, uid: int, nnp: bool) -> None:
    """Without no_new_privs it takes CAP_SYS_ADMIN to load it; nothing of that may be left (A22).

    Defences: `shim.credentials.confine`, called by `shim.process.become`, and `shim.exec.Exec.__init__`,
    which hands the filter on. That `confine` drops the capability cannot be seen: execve would drop it, too.
    """
    container = node.pod().start(
        "sh", "-c", "grep -E 'Seccomp:|Cap|NoNew' /proc/self/status; sleep 1000",
        seccomp=spec_of(), uid=uid, no_new_privileges=nnp,
    )  # fmt: skip
    assert not container.first.error
    container.wait_output("Seccomp:")
    executed = container.exec("grep", "-E", "Seccomp:|Cap|NoNew", "/proc/self/status")[1]
    for said in (container.output(), executed):
        status = dict(line.split(":\t") for line in said.splitlines())
        held = "0" * 16 if uid else "00000000a80425fb"
        assert status == {
            "CapInh": "0" * 16,
            "CapPrm": held,
            "CapEff": held,
            "CapBnd": "00000000a80425fb",
            "CapAmb": "0" * 16,
            "NoNewPrivs": str(int(nnp)),
            "Seccomp": "2",
        }


PROBE = """
import ctypes, os, platform, sys
libc = ctypes.CDLL(None, use_errno=True)
names = "clone3", "keyctl", "socket", "bpf", "userfaultfd", "unshare"
numbers = {"x86_64": (435, 250, 41, 321, 323, 272), "aarch64": (435, 219, 198, 280, 282, 97)}
number = dict(zip(names, numbers[platform.machine()]))
def call(name, *arguments):
    result = libc.syscall(ctypes.c_long(number.get(name, name)), *map(ctypes.c_ulong, arguments))
    return name, "ok" if result >= 0 else os.strerror(ctypes.get_errno())
for line in (call("clone3", 0, 0), call("keyctl", 0, 0, 0), call("socket", 40, 1, 0),
             call("socket", 1 << 32 | 40, 1, 0), call("socket", 2, 1, 0), call("bpf", 0, 0, 0),
             call("userfaultfd", 0), call("unshare", 1 << 28), call(1000)):
    print(*line, sep=": ")
"""


def test_the_default_profile_answers_as_containerds(node: Node) -> None:
    """clone3 and calls of the future are not there; what is forbidden is forbidden.

    A vsock socket is refused also when the upper half of its argument, which the kernel ignores, is set: in
    Docker's filter that goes through. Defence: `narrow` in `runtime.seccomp.default_profile`.
    """
    said = node.pod().run("/usr/bin/python3", "-c", PROBE, seccomp=spec_of())
    eperm, enosys = "Operation not permitted", "Function not implemented"
    assert said.splitlines() == [
        f"clone3: {enosys}", f"keyctl: {eperm}", f"socket: {eperm}", f"socket: {eperm}", "socket: ok",
        f"bpf: {eperm}", f"userfaultfd: {eperm}", f"unshare: {eperm}", f"1000: {enosys}",
    ]  # fmt: skip


def test_a_localhost_profile_is_in_force(node: Node, tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    said = node.pod().sh("mkdir /x 2>&1; touch /y && echo fine", seccomp=localhost(tmp_path, profile))
    assert said.endswith("No space left on device\nfine\n")


def test_a_profile_that_lets_nothing_start_is_a_start_error(node: Node, tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}],
    }
    record = node.pod().start("sh", "-c", "true", seccomp=localhost(tmp_path, profile)).first
    assert record.state == "stopped"
    assert record.error.startswith("exec ")
    assert record.error.endswith("/sh: operation not permitted")


def test_a_program_the_kernel_does_not_take_is_a_start_error(node: Node) -> None:
    record = node.pod().start("sh", "-c", "true", seccomp=SeccompSpec("AAAAAAAAAAA=")).first
    assert record.error == "cannot load the seccomp filter: seccomp: Invalid argument"


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        (
            None,
            CreateContainerConfigError,
            "localhostProfile must be set if seccompProfile type is Localhost.",
        ),
        ("", CreateContainerConfigError, "localhostProfile must be set if seccompProfile type is Localhost."),
        ("../outside.json", CreateContainerConfigError, "must not lead out"),
        ("/etc/passwd", CreateContainerConfigError, "must not lead out"),
        ("absent.json", CreateContainerError, "open .*/absent.json: no such file or directory"),
        (".", CreateContainerError, "is a directory"),
        ("text.json", CreateContainerError, "decoding seccomp profile failed"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(
    tmp_path: Path, name: str | None, error: type[Exception], text: str
) -> None:
    """A23, CVE-2023-2431: an empty name must not mean no filter.

    Defence: `runtime.seccomp.filters.Filters._localhost`; before it the API's, in `v1.validation.security`.
    """
    directory = tmp_path / "seccomp"
    directory.mkdir()
    (tmp_path / "outside.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    (directory / "text.json").write_text("hello")
    with pytest.raises(error, match=text):
        spec_of(SeccompProfile(type="Localhost", localhost_profile=name), directory)


def test_privileged_and_unconfined_have_no_filter() -> None:
    assert spec_of(privileged=True) is None
    assert spec_of(SeccompProfile(type="Unconfined")) is None
    assert spec_of(SeccompProfile(type="RuntimeDefault"), privileged=True) is None
    assert spec_of() == spec_of(SeccompProfile(type="RuntimeDefault"))
    assert Filters(Path("/nowhere"), confine_by_default=False).of(POD, Container(), ()) is None


def test_a_file_is_compiled_again_when_it_has_changed(tmp_path: Path) -> None:
    filters = Filters(tmp_path, confine_by_default=True)
    container = Container(
        security_context=SecurityContext(
            seccomp_profile=SeccompProfile(type="Localhost", localhost_profile="a")
        )
    )
    (tmp_path / "a").write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    first = filters.of(POD, container, ())
    assert filters.of(POD, container, ()) is first
    (tmp_path / "b").write_text('{"defaultAction": "SCMP_ACT_ERRNO"}')
    os.rename(tmp_path / "b", tmp_path / "a")
    assert filters.of(POD, container, ()) != first
