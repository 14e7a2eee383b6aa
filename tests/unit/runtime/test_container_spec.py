"""What the security context makes of a container's specification."""

from __future__ import annotations

import pytest

from minikubelet.linux import capabilities
from minikubelet.runtime.container_spec import MASKED_PATHS, READONLY_PATHS, container_spec, kept_capabilities
from minikubelet.runtime.sysctls import SANDBOX_SYSCTLS, sandbox_sysctls
from minikubelet.shim.protocol import ContainerSpec, ProcessSpec, RootfsSpec
from minikubelet.v1 import Capabilities, Container, Pod, PodSecurityContext, PodSpec, SecurityContext, Sysctl


def specified(security: SecurityContext) -> ContainerSpec:
    return container_spec(
        Pod(), Container(name="c", security_context=security), container_id="1", attempt=0, cgroup="/c",
        log_path="/l", rootfs=RootfsSpec([], "", "", ""), process=ProcessSpec([], []), mounts=[],
        masked=["/var/lib/minikubelet"], oom_score_adj=0, pid_target="", labels={},
    )  # fmt: skip


def test_what_is_masked() -> None:
    """The image's own secrets (`localhost/host` has the node's) stay hidden from everybody."""
    usual = specified(SecurityContext())
    assert usual.masked_paths == [*MASKED_PATHS, "/var/lib/minikubelet"]
    assert usual.readonly_paths == list(READONLY_PATHS)
    assert not usual.privileged
    for security in (SecurityContext(privileged=True), SecurityContext(proc_mount="Unmasked")):
        spec = specified(security)
        assert (spec.masked_paths, spec.readonly_paths) == (["/var/lib/minikubelet"], [])
        assert spec.privileged is bool(security.privileged)


@pytest.mark.parametrize(
    ("security", "kept"),
    [
        (SecurityContext(), list(capabilities.DEFAULT)),
        (SecurityContext(capabilities=Capabilities(drop=["ALL"], add=["CAP_CHOWN"])), ["CHOWN"]),
        (
            SecurityContext(privileged=True, capabilities=Capabilities(drop=["ALL"])),
            list(capabilities.held()),
        ),
    ],
    ids=["usual", "one", "privileged"],
)
def test_capabilities_that_are_kept(security: SecurityContext, kept: list[str]) -> None:
    assert kept_capabilities(security) == kept


def test_the_pods_own_sysctls_win() -> None:
    asked = PodSecurityContext(sysctls=[Sysctl(name="net.ipv4.ping_group_range", value="0 0")])
    found = sandbox_sysctls(Pod(spec=PodSpec(security_context=asked)))
    assert found == SANDBOX_SYSCTLS | {"net.ipv4.ping_group_range": "0 0"}
    assert sandbox_sysctls(Pod(spec=PodSpec(host_network=True))) == {}
