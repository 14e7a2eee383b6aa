"""Which container runs again: kubelet-behaviour 2.1, row by row."""

import pytest

from minikubelet.agent.restart_policy import (
    init_restarts_after_exit,
    restarts_after_exit,
    restarts_after_kill,
    should_be_started,
)
from tests.unit.agent.pods import NOTHING, created, exited, make_pod, observed, running, sidecar, unknown

DELETED = {"deletionTimestamp": "2026-01-01T12:00:30Z"}


def rule(operator, *values, action="Restart"):
    return {"action": action, "exitCodes": {"operator": operator, "values": list(values)}}


@pytest.mark.parametrize(
    ("metadata", "exists", "started"),
    [
        pytest.param(DELETED, NOTHING, False, id="1: being deleted"),
        pytest.param(DELETED, observed(exited(exit_code=1)), False, id="1: being deleted, after an exit"),
        pytest.param({}, NOTHING, True, id="2: no instance yet"),
        pytest.param({}, observed(created()), True, id="2: created, not running"),
        pytest.param({}, observed(unknown()), True, id="2: unknown"),
        pytest.param({}, observed(running()), False, id="3: running"),
        pytest.param({}, observed(running(attempt=1), exited(exit_code=1)), False, id="3: the newest counts"),
        pytest.param({}, observed(exited(exit_code=1)), True, id="5: exited"),
    ],
)
def test_should_be_started(metadata, exists, started):
    pod = make_pod("web", metadata=metadata)
    assert should_be_started(pod, pod.spec.containers[0], exists) is started


@pytest.mark.parametrize(
    ("policy", "after_0", "after_1"),
    [("Always", True, True), ("OnFailure", False, True), ("Never", False, False)],
)
def test_the_pods_policy(policy, after_0, after_1):
    pod = make_pod("web", policy=policy)
    web = pod.spec.containers[0]
    assert restarts_after_exit(pod, web, 0) is after_0
    assert restarts_after_exit(pod, web, 1) is after_1
    assert restarts_after_kill(pod, web) is (policy != "Never")


@pytest.mark.parametrize(
    ("fields", "code", "restarts"),
    [
        pytest.param({"restartPolicy": "Always"}, 0, True, id="own policy before the pod's"),
        pytest.param({"restartPolicy": "OnFailure"}, 0, False, id="own OnFailure, exit 0"),
        pytest.param({"restartPolicy": "OnFailure"}, 9, True, id="own OnFailure, exit 9"),
        pytest.param(
            {"restartPolicy": "Never", "restartPolicyRules": [rule("In", 42)]}, 42, True, id="a rule matches"
        ),
        pytest.param(
            {"restartPolicy": "Never", "restartPolicyRules": [rule("In", 42)]},
            41,
            False,
            id="no rule matches",
        ),
        pytest.param(
            {"restartPolicy": "Never", "restartPolicyRules": [rule("NotIn", 1, 2)]}, 3, True, id="NotIn"
        ),
        pytest.param(
            {"restartPolicy": "Never", "restartPolicyRules": [rule("NotIn", 1, 2)]},
            2,
            False,
            id="NotIn, listed",
        ),
        pytest.param(
            {"restartPolicy": "Never", "restartPolicyRules": [rule("In", 7, action="RestartAllContainers")]},
            7,
            True,
            id="restart all",
        ),
    ],
)
def test_the_containers_own_policy_and_rules(fields, code, restarts):
    pod = make_pod({"name": "web", **fields}, policy="Never")
    assert restarts_after_exit(pod, pod.spec.containers[0], code) is restarts


def test_a_kill_looks_at_the_own_policy_and_not_at_exit_code_rules():
    rules = {"restartPolicy": "Never", "restartPolicyRules": [rule("In", 137)]}
    pod = make_pod({"name": "web", **rules}, policy="Always")
    assert not restarts_after_kill(pod, pod.spec.containers[0])


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_init_containers(policy):
    pod = make_pod("web", init=["one", sidecar("proxy")], policy=policy)
    one, proxy = pod.spec.init_containers
    assert not init_restarts_after_exit(pod, one, 0), "never again after exit 0, whatever the policy"
    assert init_restarts_after_exit(pod, one, 1) is (policy != "Never")
    assert init_restarts_after_exit(pod, proxy, 0), "a sidecar always"
