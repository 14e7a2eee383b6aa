"""kubelet-behaviour 7.8: what may change in a pod that exists, and in other objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minikubelet.v1 import ConfigMap, ObjectMeta, Pod, Resource, Secret, Toleration
from minikubelet.v1.validation import validate_pod_update, validate_update
from minikubelet.v1.validation.update import ADDED_OR_REMOVED, UPDATABLE
from tests.unit.v1.pods import pod

Change = Callable[[Any], None]


def changed(change: Change, **start: Any) -> list[str]:
    old, new = pod(**start), pod(**start)
    change(new)
    return [str(error) for error in validate_pod_update(new, old)]


def set_spec(**fields: Any) -> Change:
    def change(made: Pod) -> None:
        for name, value in fields.items():
            setattr(made.spec, name, value)

    return change


def set_image(made: Pod) -> None:
    assert made.spec is not None
    assert made.spec.containers
    made.spec.containers[0].image = "other:1"


def add_toleration(made: Pod) -> None:
    assert made.spec is not None
    assert made.spec.tolerations
    made.spec.tolerations = [*made.spec.tolerations, Toleration(key="a", operator="Exists")]
    made.spec.tolerations[0].toleration_seconds = 5


def change_toleration(made: Pod) -> None:
    assert made.spec is not None
    assert made.spec.tolerations
    made.spec.tolerations[0].operator = "Equal"


@pytest.mark.parametrize(
    ("change", "start"),
    [
        pytest.param(lambda made: None, {}, id="nothing"),
        pytest.param(set_image, {}, id="an image"),
        pytest.param(add_toleration, {}, id="one more toleration, other seconds"),
        pytest.param(set_spec(active_deadline_seconds=5), {}, id="a deadline"),
        pytest.param(set_spec(active_deadline_seconds=5), {"activeDeadlineSeconds": 9}, id="an earlier one"),
        pytest.param(
            set_spec(termination_grace_period_seconds=1),
            {"terminationGracePeriodSeconds": -1},
            id="a negative grace period to 1",
        ),
        pytest.param(
            set_spec(scheduling_gates=None), {"schedulingGates": [{"name": "g"}]}, id="a gate removed"
        ),
        pytest.param(
            set_spec(node_selector={"a": "b"}),
            {"schedulingGates": [{"name": "g"}]},
            id="where to run, at a gate",
        ),
    ],
)
def test_these_changes_are_allowed(change: Change, start: dict[str, Any]) -> None:
    assert changed(change, **start) == []


@pytest.mark.parametrize(
    ("change", "start", "expected"),
    [
        pytest.param(
            set_spec(containers=[]),
            {},
            [
                "spec.containers: Required value",
                f"spec.containers: Forbidden: {ADDED_OR_REMOVED}",
            ],
            id="a container removed",
        ),
        pytest.param(
            set_spec(active_deadline_seconds=9),
            {"activeDeadlineSeconds": 5},
            ["spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"],
            id="deadline raised",
        ),
        pytest.param(
            set_spec(active_deadline_seconds=None),
            {"activeDeadlineSeconds": 5},
            [
                "spec.activeDeadlineSeconds: Invalid value: null: "
                "must not update from a positive integer to nil value"
            ],
            id="deadline removed",
        ),
        pytest.param(
            change_toleration,
            {},
            [
                "spec.tolerations: Forbidden: "
                "existing toleration can not be modified except its tolerationSeconds"
            ],
            id="toleration altered",
        ),
        pytest.param(
            lambda made: setattr(made.metadata, "uid", "x"),
            {},
            ['metadata.uid: Invalid value: "x": field is immutable'],
            id="another uid",
        ),
    ],
)
def test_these_changes_are_refused(change: Change, start: dict[str, Any], expected: list[str]) -> None:
    assert changed(change, **start) == expected


def test_a_new_gate_is_refused() -> None:
    new, old = pod(schedulingGates=[{"name": "x"}]), pod()
    assert [str(error) for error in validate_pod_update(new, old)] == [
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x'"
    ]


def test_anything_else_is_refused_with_what_may_change_and_what_did() -> None:
    assert ADDED_OR_REMOVED == "pod updates may not add or remove containers"
    (error,) = changed(set_spec(hostname="other"))
    assert error == (
        f'spec: Forbidden: pod updates may not change fields other than {UPDATABLE}\n+ spec.hostname: "other"'
    )
    assert UPDATABLE == (
        "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
        "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
        "(allow it to be set to 1 if it was previously negative)"
    )


META = ObjectMeta(name="a", namespace="default")


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param(
            ConfigMap(metadata=META, data={"a": "2"}, immutable=True),
            ConfigMap(metadata=META, data={"a": "1"}, immutable=True),
            ["data: Forbidden: field is immutable when `immutable` is set"],
            id="immutable",
        ),
        pytest.param(
            Secret(metadata=META, type="b"),
            Secret(metadata=META, type="a"),
            ['type: Invalid value: "b": field is immutable'],
            id="type of a secret",
        ),
        pytest.param(
            ConfigMap(metadata=META, data={"a": "2"}),
            ConfigMap(metadata=META, data={"a": "1"}),
            [],
            id="free",
        ),
    ],
)
def test_other_kinds(new: Resource, old: Resource, expected: list[str]) -> None:
    assert [str(error) for error in validate_update(new, old)] == expected
