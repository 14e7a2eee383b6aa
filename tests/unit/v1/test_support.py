"""No field is silently ignored: every field of the Pod is in the table, and the table does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minikubelet.v1 import Pod
from minikubelet.v1.schema import Shape, walk
from minikubelet.v1.support import check, expand, state_of, to_markdown
from minikubelet.v1.support_table import IMPLEMENTED, RULES
from tests.unit.v1.pods import pod

DOCS = Path(__file__).parents[3] / "docs"


def leaves() -> list[str]:
    """Every field of the Pod that holds a value rather than other fields; lists and maps of values "
    "without [*]."""
    found = []
    for path, _, field in walk(Pod):
        type_ = field.type
        while type_.item is not None:
            type_ = type_.item
        if type_.shape is not Shape.STRUCT:
            found.append(path.removesuffix("[*]"))
    return found


def test_every_field_is_implemented_warned_about_or_refused() -> None:
    assert [path for path in leaves() if state_of(path) is None] == []


def test_no_row_speaks_of_a_field_that_does_not_exist() -> None:
    known = {path.removesuffix("[*]") for path, _, _ in walk(Pod)}
    for row in (*IMPLEMENTED, *(rule.path for rule in RULES)):
        assert [path for path in expand(row) if path not in known] == []


def test_what_is_implemented_is_named_to_the_leaf_and_in_no_rule_for_all_values() -> None:
    exact = set(leaves())
    for row in IMPLEMENTED:
        assert [path for path in expand(row) if path not in exact] == []


def test_the_documentation_is_the_table() -> None:
    assert (DOCS / "fields.md").read_text() == to_markdown(), (
        "run python -m minikubelet.v1.support > docs/fields.md"
    )


def test_a_plain_pod_has_nothing_to_say() -> None:
    """Not even about what defaults and admission fill in."""
    limits = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi", "example.com/gpu": "1"}
    assert check(pod(container={"resources": {"limits": limits}})) == ([], [])


IMPLEMENTED_TODAY: list[dict[str, Any]] = [
    {"nodeSelector": {"a": "b"}},
    {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]},
    {"hostNetwork": True, "container": {"ports": [{"containerPort": 80, "hostPort": 80, "hostIP": "::1"}]}},
    {"container": {"ports": [{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.1"}]}},
    {"setHostnameAsFQDN": True, "subdomain": "db"},
    {"init": {"restartPolicy": "Always"}},
    {"init": {"restartPolicy": "OnFailure"}},
    {
        "container": {
            "restartPolicy": "Never",
            "restartPolicyRules": [
                {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
            ],
        }
    },
    {"volumes": [{"name": "a", "emptyDir": {"medium": "Memory"}}, {"name": "b", "hostPath": {"path": "/"}}]},
    {"container": {"securityContext": {"privileged": False, "procMount": "Default", "runAsUser": 0}}},
    {"container": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}},
    {
        "container": {
            "livenessProbe": {"tcpSocket": {"port": 80}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
        }
    },
    {"os": {"name": "linux"}, "hostUsers": True, "automountServiceAccountToken": False},
    {"container": {"volumeMounts": [{"name": "a", "mountPath": "/a", "recursiveReadOnly": "Disabled"}]}},
]


@pytest.mark.parametrize("changes", IMPLEMENTED_TODAY)
def test_these_are_accepted_without_a_word(changes: dict[str, Any]) -> None:
    assert check(pod(**changes)) == ([], [])


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"schedulerName": "mine"}, "spec.schedulerName: ignored: the node binds its pods itself"),
        (
            {"container": {"lifecycle": {"postStart": {"tcpSocket": {"port": 80}}}}},
            "spec.containers[0].lifecycle.postStart.tcpSocket: ignored: the hook fails, as everywhere",
        ),
        (
            {"securityContext": {"seLinuxChangePolicy": "Recursive"}},
            "spec.securityContext.seLinuxChangePolicy: ignored: no SELinux label is set",
        ),
    ],
)
def test_these_are_accepted_with_a_warning(changes: dict[str, Any], warning: str) -> None:
    assert check(pod(**changes)) == ([warning], [])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        (
            {"container": {"ports": [{"containerPort": 80, "hostPort": 80, "hostIP": "::1"}]}},
            "spec.containers[0].ports[0].hostIP",
        ),
        (
            {"container": {"securityContext": {"seLinuxOptions": {"level": "s0"}}}},
            "spec.containers[0].securityContext.seLinuxOptions",
        ),
        (
            {"init": {"securityContext": {"seLinuxOptions": {"level": "s0"}}}},
            "spec.initContainers[0].securityContext.seLinuxOptions",
        ),
        (
            {"container": {"resources": {"claims": [{"name": "gpu"}]}}},
            "spec.containers[0].resources.claims",
        ),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "t"}}]}}]},
            "spec.volumes[0].projected.sources[0].clusterTrustBundle",
        ),
        ({"volumes": [{"name": "v", "nfs": {}}]}, "spec.volumes[0].nfs"),
        (
            {"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages"}}]},
            "spec.volumes[0].emptyDir.medium",
        ),
        ({"os": {"name": "windows"}}, "spec.os.name"),
        ({"runtimeClassName": "gvisor"}, "spec.runtimeClassName"),
    ],
)
def test_these_are_refused_because_ignoring_them_would_be_wrong(changes: dict[str, Any], path: str) -> None:
    _, refused = check(pod(**changes))
    assert path in [error.path for error in refused]
    assert all(error.message.startswith("Forbidden: not supported by this node: ") for error in refused)
