"""Deployments, ReplicaSets, Jobs, templates: what is filled in, and what is wrong, in stock words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minikubelet.v1 import from_dict, support, to_dict
from minikubelet.v1.apps import Deployment, ReplicaSet
from minikubelet.v1.batch import Job
from minikubelet.v1.defaults import set_defaults
from minikubelet.v1.label_selectors import to_text
from minikubelet.v1.meta import LabelSelector
from minikubelet.v1.pod import PodTemplate
from minikubelet.v1.templates import described_pod
from minikubelet.v1.validation import validate, validate_update
from minikubelet.v1.validation.batch import generate_selector

Object = dict[str, Any]
META = {"name": "web", "namespace": "default"}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "a"}]}}
SPEC = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}


def deployment(**spec: Any) -> Deployment:
    made = from_dict(Deployment, {"metadata": META, "spec": copy.deepcopy({**SPEC, **spec})})
    set_defaults(made)
    return made


def job(**spec: Any) -> Job:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a"}]}}
    data: Object = {"metadata": {**META, "uid": "u"}, "spec": copy.deepcopy({"template": template, **spec})}
    generate_selector(data)
    made = from_dict(Job, data)
    set_defaults(made)
    return made


def mistakes(object_: Any, old: Any = None) -> list[str]:
    return [str(error) for error in (validate(object_) if old is None else validate_update(object_, old))]


def test_the_defaults_of_a_deployment() -> None:
    spec = to_dict(deployment())["spec"]
    template = spec.pop("template")
    assert spec == {
        "replicas": 1,
        "selector": SPEC["selector"],
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    assert template["spec"]["restartPolicy"] == "Always"
    assert "enableServiceLinks" not in template["spec"]
    assert mistakes(deployment()) == []


def test_what_depends_on_the_whole_pod_is_left_to_its_making() -> None:
    container = {
        "name": "main",
        "image": "a",
        "ports": [{"containerPort": 80}],
        "resources": {"limits": {"cpu": "1000m"}},
    }
    made = deployment(template={**TEMPLATE, "spec": {"hostNetwork": True, "containers": [container]}})
    (kept,) = to_dict(made)["spec"]["template"]["spec"]["containers"]
    assert kept["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert kept["resources"] == {"limits": {"cpu": "1"}}


def test_the_defaults_of_a_job() -> None:
    spec = to_dict(job())["spec"]
    labels = spec.pop("template")["metadata"]["labels"]
    assert labels == {
        "controller-uid": "u",
        "batch.kubernetes.io/controller-uid": "u",
        "job-name": "web",
        "batch.kubernetes.io/job-name": "web",
    }
    assert spec == {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 6,
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
        "manualSelector": False,
        "completionMode": "NonIndexed",
        "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    }
    assert to_dict(job())["metadata"]["labels"] == labels
    assert to_dict(job(parallelism=3))["spec"].get("completions") is None
    assert mistakes(job()) == []


OTHER = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "main", "image": "a"}]}}
NEVER = {
    **TEMPLATE,
    "spec": {"restartPolicy": "Never", "activeDeadlineSeconds": 3, "containers": [{"name": "Main"}]},
}
ROLLING = "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "


def rolling(**options: Any) -> Object:
    return {"strategy": {"type": "RollingUpdate", "rollingUpdate": options}}


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({"selector": None}, ["spec.selector: Required value"]),
        (
            {"selector": {}},
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        ),
        (
            {"template": OTHER},
            [
                'spec.template.metadata.labels: Invalid value: {"app":"x"}: '
                "`selector` does not match template `labels`"
            ],
        ),
        (
            {"replicas": -1, "minReadySeconds": -1, "revisionHistoryLimit": -1},
            [
                f"spec.{field}: Invalid value: -1: must be greater than or equal to 0"
                for field in ("replicas", "minReadySeconds", "revisionHistoryLimit")
            ],
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {}}},
            [
                "spec.strategy.rollingUpdate: Forbidden: "
                "may not be specified when strategy `type` is 'Recreate'"
            ],
        ),
        (
            {"strategy": {"type": "Odd"}},
            [
                'spec.strategy: Unsupported value: {"type":"Odd"}: '
                'supported values: "Recreate", "RollingUpdate"'
            ],
        ),
        (rolling(maxSurge=0, maxUnavailable="0%"), [f'{ROLLING}"0%": may not be 0 when `maxSurge` is 0']),
        (rolling(maxUnavailable="101%"), [f'{ROLLING}"101%": must not be greater than 100%']),
        (rolling(maxUnavailable=-1), [f"{ROLLING}-1: must be greater than or equal to 0"]),
        (
            rolling(maxUnavailable="x"),
            [
                f"{ROLLING}\"x\": a valid percent string must be a numeric string followed by an ending '%' "
                "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            ],
        ),
        (
            {"template": NEVER},
            [
                'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
                "spec.template.spec.activeDeadlineSeconds: Forbidden: "
                "activeDeadlineSeconds in ReplicaSet is not Supported",
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_deployment(spec: Object, texts: list[str]) -> None:
    found = mistakes(deployment(**spec))
    assert [text for text in found if "containers[0]" not in text] == texts


def test_the_rules_of_pods_hold_in_templates() -> None:
    found = mistakes(deployment(template=NEVER))
    assert any(text.startswith("spec.template.spec.containers[0].image: Required value") for text in found)
    assert any(
        text.startswith('spec.template.spec.containers[0].name: Invalid value: "Main"') for text in found
    )
    stored = from_dict(PodTemplate, {"metadata": META, "template": NEVER})
    set_defaults(stored)
    assert all(text.startswith("template.spec.containers[0]") for text in mistakes(stored))


def test_a_replica_set_has_the_rules_of_its_deployment() -> None:
    one = from_dict(ReplicaSet, {"metadata": META, "spec": {**SPEC, "replicas": -1, "selector": {}}})
    set_defaults(one)
    assert mistakes(one) == [
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
    ]


def test_a_selector_stays() -> None:
    other = deployment(selector={"matchLabels": {"app": "x"}}, template=OTHER)
    assert mistakes(other, deployment()) == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'
    ]


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({"parallelism": -1}, ["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"]),
        (
            {"completionMode": "Odd"},
            ['spec.completionMode: Unsupported value: "Odd": supported values: "Indexed", "NonIndexed"'],
        ),
        (
            {"completionMode": "Indexed", "parallelism": 2},
            ["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            {"podReplacementPolicy": "Odd"},
            [
                'spec.podReplacementPolicy: Unsupported value: "Odd": '
                'supported values: "Failed", "TerminatingOrFailed"'
            ],
        ),
        (
            {"template": {"spec": {"containers": [{"name": "main", "image": "a"}]}}},
            ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
        ),
        (
            {"selector": {"matchLabels": {"a": "b"}}},
            ["spec.template.metadata.labels: Invalid value: {", "spec.selector: Invalid value: {"],
        ),
        ({"backoffLimitPerIndex": 1}, ["spec.backoffLimitPerIndex: Forbidden: not supported by this node"]),
        ({"managedBy": "example.com/x"}, ["spec.managedBy: Forbidden: not supported by this node"]),
    ],
)
def test_what_is_wrong_with_a_job(spec: Object, texts: list[str]) -> None:
    found = mistakes(job(**spec))
    assert len(found) == len(texts)
    assert all(any(text.startswith(start) for text in found) for start in texts)


def failing(**rule: Any) -> Object:
    return {"podFailurePolicy": {"rules": [rule]}}


def succeeding(**rule: Any) -> Object:
    return {"completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": [rule]}}


CODES = {"operator": "In", "values": [1]}
FAILURES, SUCCESSES = "spec.podFailurePolicy.rules[0]", "spec.successPolicy.rules[0]"


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        (failing(action="FailJob", onExitCodes=CODES), []),
        (failing(action="Ignore", onPodConditions=[{"type": "DisruptionTarget"}]), []),
        (
            failing(onExitCodes=CODES),
            [f'{FAILURES}.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'],
        ),
        (
            failing(action="Odd"),
            [
                f'{FAILURES}.action: Unsupported value: "Odd": '
                'supported values: "Count", "FailIndex", "FailJob", "Ignore"',
                f"{FAILURES}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
            ],
        ),
        (
            failing(action="FailIndex", onExitCodes=CODES),
            [f'{FAILURES}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'],
        ),
        (
            failing(action="Count", onExitCodes=CODES, onPodConditions=[{"type": "A", "status": "Odd"}]),
            [
                f'{FAILURES}.onPodConditions[0].status: Unsupported value: "Odd": '
                'supported values: "False", "True", "Unknown"',
                f"{FAILURES}: Invalid value: "
                "specifying both OnExitCodes and OnPodConditions is not supported",
            ],
        ),
        (
            failing(
                action="Count", onExitCodes={"operator": "In", "values": [2, 0, 2], "containerName": "x"}
            ),
            [
                f'{FAILURES}.onExitCodes.containerName: Invalid value: "x": '
                "must be one of the container or initContainer names in the pod template",
                f"{FAILURES}.onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
                f"{FAILURES}.onExitCodes.values[2]: Duplicate value: 2",
                f"{FAILURES}.onExitCodes.values: Invalid value: [2,0,2]: must be ordered",
            ],
        ),
        (
            failing(action="Count", onExitCodes={"operator": "NotIn"})
            | {"podReplacementPolicy": "TerminatingOrFailed"},
            [
                'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": '
                'supported values: "Failed"',
                f"{FAILURES}.onExitCodes.values: Invalid value: []: at least one value is required",
            ],
        ),
        (succeeding(succeededIndexes="0,2-4", succeededCount=1), []),
        (
            succeeding(),
            [
                f"{SUCCESSES}: Required value: "
                "at least one of succeededCount or succeededIndexes must be specified"
            ],
        ),
        (
            succeeding(succeededIndexes="3-9"),
            [
                f'{SUCCESSES}.succeededIndexes: Invalid value: "3-9": '
                'error parsing succeededIndexes: too large index: "3-9"'
            ],
        ),
        (
            succeeding(succeededIndexes="1,2", succeededCount=3),
            [
                f"{SUCCESSES}.succeededCount: Invalid value: 3: must be less than or equal to 2 "
                "(the number of indexes in the specified succeededIndexes field)"
            ],
        ),
        (
            {"successPolicy": {"rules": [{"succeededCount": 1}]}},
            ["spec.successPolicy: Invalid value: requires indexed completion mode"],
        ),
    ],
)
def test_what_is_wrong_with_the_rules_of_a_job(spec: Object, texts: list[str]) -> None:
    assert mistakes(job(**spec)) == texts


def test_what_may_change_in_a_job() -> None:
    assert mistakes(job(parallelism=4, suspend=True, backoffLimit=1, completions=1), job()) == []
    assert mistakes(job(completions=2), job()) == ["spec.completions: Invalid value: 2: field is immutable"]
    grown = {"completionMode": "Indexed", "completions": 4, "parallelism": 4}
    assert mistakes(job(**grown), job(**{**grown, "completions": 2, "parallelism": 2})) == []
    found = mistakes(job(**{**grown, "completions": 5}), job(**grown))
    assert found == [
        "spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"
    ]
    other = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "b"}]}}
    (error,) = mistakes(job(template=other), job())
    assert error.startswith("spec.template: Invalid value: {")
    assert error.endswith(": field is immutable")


def test_a_suspended_job_may_still_be_placed_elsewhere() -> None:
    placed = {
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"a": "b"},
            "containers": [{"name": "main", "image": "a"}],
        }
    }
    assert mistakes(job(template=placed, suspend=True), job(suspend=True)) == []
    assert mistakes(job(template=placed), job()) != []


def test_templates_are_looked_at_for_what_is_not_honoured() -> None:
    described = described_pod(
        deployment(template={**TEMPLATE, "spec": {"runtimeClassName": "x", **TEMPLATE["spec"]}})
    )
    assert described is not None
    path, pod = described
    assert path == "spec.template"
    assert [error.path for error in support.check(pod)[1]] == ["spec.runtimeClassName"]


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (None, "<none>"),
        ({}, "<none>"),
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        (
            {
                "matchExpressions": [
                    {"key": "a", "operator": "NotIn", "values": ["y", "x"]},
                    {"key": "b", "operator": "DoesNotExist"},
                ]
            },
            "a notin (x,y),!b",
        ),
    ],
)
def test_a_selector_as_people_write_it(selector: Object | None, text: str) -> None:
    assert to_text(None if selector is None else from_dict(LabelSelector, selector)) == text
