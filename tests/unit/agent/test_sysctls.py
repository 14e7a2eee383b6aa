"""kubelet-behaviour 7.1, SysctlForbidden and AppArmor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent.app_armor import app_armor_rejection, refuse_profile, why_not_enforced
from minikubelet.agent.sysctls import allowed_unsafe, dotted, sysctl_rejection
from minikubelet.errors import CreateContainerError
from minikubelet.kubelet_config import ConfigurationError
from minikubelet.v1 import Container, Pod, PodStatus, from_dict

HOST_NETWORK = {"hostNetwork": True}


def pod(names: list[str], **spec: Any) -> Pod:
    sysctls = [{"name": name, "value": "1"} for name in names]
    return from_dict(Pod, {"spec": {"securityContext": {"sysctls": sysctls}, "containers": [], **spec}})


@pytest.mark.parametrize(
    ("sysctls", "spec", "allowed", "message"),
    [
        (["kernel.shm_rmid_forced", "net.ipv4.tcp_rmem", "net/ipv4/tcp_syncookies"], {}, [], None),
        (["net.ipv4.tcp_syncookies", "kernel.msgmax"], {}, [], '"kernel.msgmax" not allowlisted'),
        (["net/core/somaxconn"], {}, [], '"net.core.somaxconn" not allowlisted'),
        (["kernel.msgmax", "kernel.msgmnb"], {}, ["kernel.msg*"], None),
        (["net.core.somaxconn"], {}, ["net/core/somaxconn"], None),
        (["net.core.somaxconn"], {}, ["net.core.rmem*"], '"net.core.somaxconn" not allowlisted'),
        (
            ["net.ipv4.tcp_rmem"],
            {"hostNetwork": True},
            [],
            '"net.ipv4.tcp_rmem" not allowed with host net enabled',
        ),
        (["kernel.sem"], {"hostIPC": True}, ["kernel.sem"], '"kernel.sem" not allowed with host ipc enabled'),
        (["kernel.sem"], HOST_NETWORK, ["kernel.sem"], None),
    ],
)
def test_sysctls_7_1(
    sysctls: list[str], spec: dict[str, Any], allowed: list[str], message: str | None
) -> None:
    rejected = sysctl_rejection(pod(sysctls, **spec), allowed_unsafe(allowed))
    if message is None:
        assert rejected is None
    else:
        assert rejected is not None
        assert (rejected.reason, rejected.message) == ("SysctlForbidden", f"forbidden sysctl: {message}")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("vm.swappiness", "not known to be namespaced"),
        ("kernel.*", "not known to be namespaced"),
        ("net.*.x", "match regex"),
        ("Net.core.*", "match regex"),
        ("net." + "a" * 250, "match regex"),
    ],
)
def test_what_the_configuration_may_not_allow(pattern: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        allowed_unsafe([pattern])


def test_the_first_separator_says_which_it_is() -> None:
    assert dotted("net.ipv4.conf.eth0/1.x") == "net.ipv4.conf.eth0/1.x"
    assert dotted("net/ipv4/conf/eth0.1/x") == "net.ipv4.conf.eth0/1.x"


def confined(of_pod: str | None, of_container: str | None, annotation: str | None = None) -> Pod:
    def context(kind: str | None) -> dict[str, Any]:
        return {"appArmorProfile": {"type": kind}} if kind else {}

    annotations = {"container.apparmor.security.beta.kubernetes.io/c": annotation} if annotation else {}
    container = {"name": "c", "image": "i", "securityContext": context(of_container)}
    spec = {"securityContext": context(of_pod), "containers": [container]}
    return from_dict(Pod, {"metadata": {"annotations": annotations}, "spec": spec})


@pytest.mark.parametrize(
    ("asked", "rejected"),
    [
        ((None, None), False),
        (("Unconfined", None), False),
        (("RuntimeDefault", "Unconfined"), False),
        (("RuntimeDefault", None), True),
        (("Unconfined", "Localhost"), True),
        ((None, None, "unconfined"), False),
        ((None, None, "runtime/default"), True),
    ],
)
def test_app_armor_7_1(asked: tuple[str | None, ...], *, rejected: bool) -> None:
    found = app_armor_rejection(confined(*asked), "AppArmor is not enabled on the host")
    if not rejected:
        assert found is None
    else:
        assert found is not None
        text = "Cannot enforce AppArmor: AppArmor is not enabled on the host"
        assert (found.reason, found.message) == ("AppArmor", text)


def test_a_pod_that_runs_is_not_asked_again_but_what_is_added_to_it_is_not_started() -> None:
    pod = confined(None, "Localhost")
    pod.status = PodStatus(phase="Running")
    assert app_armor_rejection(pod, "AppArmor is not enabled on the host") is None
    added = from_dict(
        Container, {"name": "debugger", "securityContext": {"appArmorProfile": {"type": "Localhost"}}}
    )
    with pytest.raises(CreateContainerError, match="Cannot enforce AppArmor"):
        refuse_profile(confined(None, None), added)
    refuse_profile(confined(None, None), Container(name="debugger"))


def test_a_node_with_app_armor_says_that_this_program_has_none(tmp_path: Path) -> None:
    enabled = tmp_path / "enabled"
    assert why_not_enforced(enabled) == "AppArmor is not enabled on the host"
    enabled.write_text("Y\n")
    assert why_not_enforced(enabled) == "AppArmor profiles are not applied by minikubelet"
