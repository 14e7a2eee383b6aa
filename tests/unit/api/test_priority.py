"""Priority admission: what a pod gets by its class, by the default of all, and what it may not say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.conftest import PODS, Api, pod

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


def priority_class(api: Api, name: str, value: int, **fields: Any) -> None:
    body = {"kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": {"name": name}}
    assert api.post(CLASSES, {**body, "value": value, **fields}).code == 201


def created(api: Api, name: str = "web", **spec: Any) -> Any:
    made = pod(name)
    made["spec"].update(spec)
    return api.post(PODS, made)


def priority_of(answer: Any) -> tuple[Any, ...]:
    assert answer.code == 201, answer.json
    spec = answer.json["spec"]
    return spec.get("priorityClassName"), spec["priority"], spec["preemptionPolicy"]


def test_the_class_decides(api: Api) -> None:
    priority_class(api, "high", 7, preemptionPolicy="Never")
    assert priority_of(created(api, "a")) == (None, 0, "PreemptLowerPriority")
    assert priority_of(created(api, "b", priorityClassName="high")) == ("high", 7, "Never")
    system = created(api, "c", priorityClassName="system-node-critical")
    assert priority_of(system) == ("system-node-critical", 2000001000, "PreemptLowerPriority")


def test_of_several_defaults_the_lowest_counts(api: Api) -> None:
    priority_class(api, "usual", 5, globalDefault=True)
    priority_class(api, "other", 9, globalDefault=True)
    assert priority_of(created(api)) == ("usual", 5, "PreemptLowerPriority")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"priorityClassName": "none"}, "no PriorityClass with name none was found"),
        (
            {"priority": 5},
            "the integer value of priority (5) must not be provided in pod spec; priority admission "
            "controller computed 0 from the given PriorityClass name",
        ),
        (
            {"preemptionPolicy": "Never"},
            "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority "
            "admission controller computed PreemptLowerPriority from the given PriorityClass name",
        ),
    ],
)
def test_what_a_pod_may_not_say(api: Api, spec: dict[str, Any], text: str) -> None:
    answer = created(api, **spec)
    assert (answer.code, answer.json["reason"]) == (403, "Forbidden")
    assert answer.json["message"] == f'pods "web" is forbidden: {text}'


def test_a_replacement_without_priority_keeps_it(api: Api) -> None:
    priority_class(api, "high", 7)
    created(api, priorityClassName="high")
    body = pod("web")
    body["spec"]["priorityClassName"] = "high"
    answer = api.request("PUT", f"{PODS}/web", body)
    assert (answer.code, answer.json["spec"]["priority"]) == (200, 7)


def test_a_gated_pod_says_so_from_the_start(api: Api) -> None:
    answer = created(api, schedulingGates=[{"name": "example.com/wait"}])
    (condition,) = answer.json["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"], condition["message"]) == (
        "PodScheduled",
        "False",
        "SchedulingGated",
        "Scheduling is blocked due to non-empty scheduling gates",
    )


def test_match_label_keys_become_expressions_once(api: Api) -> None:
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"a": "b"}},
        "matchLabelKeys": ["app", "none"],
        "mismatchLabelKeys": ["tenant"],
    }
    made = pod("web", labels={"app": "web", "tenant": "me"})
    made["spec"]["affinity"] = {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
    }
    assert api.post(PODS, made).code == 201
    answer = api.request("PUT", f"{PODS}/web", api.get(f"{PODS}/web").json)
    (stored,) = answer.json["spec"]["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert stored["labelSelector"] == {
        "matchLabels": {"a": "b"},
        "matchExpressions": [
            {"key": "app", "operator": "In", "values": ["web"]},
            {"key": "tenant", "operator": "NotIn", "values": ["me"]},
        ],
    }
