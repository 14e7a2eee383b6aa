"""The kinds beside the Pod: validation, JSON, and the table of resources."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from minikubelet.errors import Invalid
from minikubelet.v1 import (
    ConfigMap,
    Container,
    Event,
    Lease,
    LeaseSpec,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    from_dict,
    to_dict,
)
from minikubelet.v1.base import SPELLINGS, json_name
from minikubelet.v1.decode import decode
from minikubelet.v1.defaults import set_defaults
from minikubelet.v1.resources import RESOURCES, served
from minikubelet.v1.validation import validate, validate_pod
from minikubelet.v1.validation.names import CONFIG_KEY_TEXT, LABEL_TEXT
from tests.unit.v1.pods import pod

BY_KIND = {info.kind: info for info in RESOURCES if not info.stored_as}


def errors(kind: str, **fields: Any) -> list[str]:
    metadata = {"name": "a", **({"namespace": "default"} if BY_KIND[kind].namespaced else {})}
    made, _ = decode({"metadata": metadata, **fields}, BY_KIND[kind].type)
    set_defaults(made)
    return [str(error) for error in validate(made)]


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        pytest.param("ConfigMap", {"data": {"a": "b"}}, [], id="good config map"),
        pytest.param("PriorityClass", {"value": 1000000000}, [], id="the highest priority"),
        pytest.param(
            "PriorityClass",
            {"value": 1000000001},
            ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
            id="beyond the highest priority",
        ),
        pytest.param(
            "PriorityClass",
            {"preemptionPolicy": "Always"},
            [
                'preemptionPolicy: Unsupported value: "Always": '
                'supported values: "PreemptLowerPriority", "Never"'
            ],
            id="preemption policy",
        ),
        pytest.param(
            "PriorityClass",
            {"metadata": {"name": "system-mine"}},
            [
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for "
                "system use only. error: system-mine is not a known system priority class"
            ],
            id="a class of the system",
        ),
        pytest.param(
            "PriorityClass",
            {"metadata": {"name": "system-node-critical"}, "value": 1},
            [
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for "
                "system use only. error: value of system-node-critical PriorityClass must be 2000001000"
            ],
            id="another value for a class of the system",
        ),
        pytest.param(
            "Node",
            {"spec": {"taints": [{"key": "a", "value": "b", "effect": "NoExecute"}]}},
            [],
            id="a taint",
        ),
        pytest.param(
            "Node",
            {"spec": {"taints": [{"key": "a", "effect": "Never"}, {"key": "b"}]}},
            [
                'spec.taints[0].effect: Unsupported value: "Never": '
                'supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
                "spec.taints[1].effect: Required value",
            ],
            id="effects of taints",
        ),
        pytest.param(
            "Node",
            {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}, {"key": "a", "effect": "NoExecute"}]}},
            [
                'spec.taints[1]: Duplicate value: {"key":"a","effect":"NoExecute"}: '
                "taints must be unique by key and effect pair"
            ],
            id="a taint twice",
        ),
        pytest.param(
            "ConfigMap",
            {"data": {"a/b": ""}},
            [f'data[a/b]: Invalid value: "a/b": {CONFIG_KEY_TEXT}'],
            id="key",
        ),
        pytest.param(
            "ConfigMap",
            {"data": {"a": ""}, "binaryData": {"a": ""}},
            ['data[a]: Invalid value: "a": duplicate of key present in binaryData: "a"'],
            id="key twice",
        ),
        pytest.param(
            "ConfigMap",
            {"data": {"a": "x" * 2**20, "b": "y"}},
            [": Too long: may not be more than 1048576 bytes"],
            id="size",
        ),
        pytest.param(
            "Secret",
            {"stringData": {"..a": ""}},
            ["data[..a]: Invalid value: \"..a\": must not start with '..'"],
            id="secret key",
        ),
        pytest.param(
            "Secret",
            {"type": "kubernetes.io/tls"},
            ["data[tls.crt]: Required value", "data[tls.key]: Required value"],
            id="keys of a TLS secret",
        ),
        pytest.param(
            "Namespace",
            {"metadata": {"name": "a.b"}},
            [f'metadata.name: Invalid value: "a.b": {LABEL_TEXT}'],
            id="namespaces are labels",
        ),
        pytest.param(
            "Node",
            {"metadata": {"name": "n", "namespace": "x"}},
            ["metadata.namespace: Forbidden: not allowed on this type"],
            id="nodes have no namespace",
        ),
        pytest.param(
            "Node",
            {"spec": {"taints": [{"key": "a"}]}},
            ["spec.taints[0].effect: Required value"],
            id="taints",
        ),
        pytest.param(
            "PersistentVolumeClaim",
            {},
            [
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value",
            ],
            id="claim",
        ),
        pytest.param(
            "Event",
            {"involvedObject": {"namespace": "other"}},
            ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
            id="event",
        ),
        pytest.param(
            "Lease",
            {"spec": {"leaseDurationSeconds": 0}},
            ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
            id="lease",
        ),
        pytest.param("ServiceAccount", {}, [], id="service account"),
    ],
)
def test_validation_of_other_kinds(kind: str, fields: dict[str, Any], expected: list[str]) -> None:
    assert errors(kind, **fields) == expected


def test_field_errors_become_one_invalid_with_a_cause_each() -> None:
    """kubelet-behaviour 8.1."""
    found = validate_pod(pod(container={"name": None}, restartPolicy="x"))
    status = Invalid.of("Pod", "web", found).status()
    assert status["message"] == (
        'Pod "web" is invalid: [spec.containers[0].name: Required value, spec.restartPolicy: '
        'Unsupported value: "x": '
        'supported values: "Always", "OnFailure", "Never"]'
    )
    assert [cause["reason"] for cause in status["details"]["causes"]] == [  # type: ignore[index]
        "FieldValueRequired",
        "FieldValueNotSupported",
    ]


def test_a_resource_is_known_within_its_group() -> None:
    leases = served("coordination.k8s.io/v1", "leases")
    assert leases is not None
    assert leases.key == leases.stored == "leases.coordination.k8s.io"
    assert served("v1", "leases") is None


def test_groups_and_versions_come_from_the_types() -> None:
    assert {(r.plural, r.group, r.version) for r in RESOURCES if r.group} >= {
        ("leases", "coordination.k8s.io", "v1"),
        ("priorityclasses", "scheduling.k8s.io", "v1"),
        ("deployments", "apps", "v1"),
        ("replicasets", "apps", "v1"),
        ("jobs", "batch", "v1"),
    }
    kept = {r.plural for r in RESOURCES if not r.namespaced and r.verbs != ("create",)}
    assert kept == {"namespaces", "nodes", "priorityclasses"}


def test_an_object_says_its_kind_and_a_part_does_not() -> None:
    assert to_dict(Pod()) == {"apiVersion": "v1", "kind": "Pod"}
    assert to_dict(Lease())["apiVersion"] == "coordination.k8s.io/v1"
    assert to_dict(PodSpec(host_pid=True)) == {"hostPID": True}


def test_empty_is_printed_and_absent_is_not() -> None:
    status = PodStatus(pod_ip="", container_statuses=[])
    assert to_dict(status) == {"podIP": "", "containerStatuses": []}
    assert to_dict(Container(stdin=False)) == {"stdin": False}


def test_times_are_utc_with_whole_seconds_and_events_have_microseconds() -> None:
    moment = datetime(2026, 1, 2, 5, 4, 5, 678900, timezone(timedelta(hours=2)))
    assert to_dict(ObjectMeta(creation_timestamp=moment)) == {"creationTimestamp": "2026-01-02T03:04:05Z"}
    assert to_dict(Event(event_time=moment))["eventTime"] == "2026-01-02T03:04:05.678900Z"
    assert to_dict(LeaseSpec(renew_time=moment)) == {"renewTime": "2026-01-02T03:04:05.678900Z"}
    back = from_dict(ObjectMeta, {"creationTimestamp": "2026-01-02T03:04:05Z"})
    assert back.creation_timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_unknown_fields_of_trusted_data_are_dropped() -> None:
    assert from_dict(ConfigMap, {"data": {"a": "b"}, "later": 1}) == ConfigMap(data={"a": "b"})


def test_odd_spellings_are_exceptions_and_nothing_more() -> None:
    assert json_name("restart_policy") == "restartPolicy"
    assert json_name("pod_ips") == "podIPs"
    for attribute, spelling in SPELLINGS.items():
        plain = "".join(part.capitalize() for part in attribute.split("_"))
        assert plain[0].lower() + plain[1:] != spelling
