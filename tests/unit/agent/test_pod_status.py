"""What a pod's status says, against kubelet-behaviour section 1, table by table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from minikubelet.agent.facts import NodeFacts, PhaseOverride, Situation, WaitingReason
from minikubelet.agent.phase import pod_phase
from minikubelet.agent.pod_status import (
    final_status,
    generate_status,
    illegal_transition,
    published_status,
    rejected_status,
)
from minikubelet.agent.ports import ContainerProbeResults
from minikubelet.runtime.cri import SandboxStatus
from minikubelet.v1 import ContainerStatus, from_dict, to_dict
from tests.unit.agent.pods import (
    NOTHING,
    SANDBOX,
    created,
    exited,
    make_pod,
    observed,
    running,
    sidecar,
    status,
    unknown,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)
PROBE = {"exec": {"command": ["true"]}}
SITUATION = Situation(node=NodeFacts("node", ("192.0.2.1",)))

# Container statuses as they are about to be published
RUNS = {"state": {"running": {}}}
STARTED = {**RUNS, "started": True}
WAITS = {"state": {"waiting": {}}}
NEITHER: dict = {"state": {}}


def ended(code):
    return {"state": {"terminated": {"exitCode": code}}}


def backs_off(code):
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": code}},
    }


def statuses(**named):
    return [from_dict(ContainerStatus, {"name": name, **one}) for name, one in named.items() if one]


def generate(pod, exists, old=None, situation=SITUATION, now=NOW):
    return generate_status(pod, exists, old or status(), situation, now)


def one(generated, name="web"):
    all_statuses = [*(generated.init_container_statuses or ()), *(generated.container_statuses or ())]
    return to_dict(next(one for one in all_statuses if one.name == name))


def condition(generated, type):
    return to_dict(next(c for c in generated.conditions if c.type == type))


# 1.1 and 1.2


@pytest.mark.parametrize(
    ("policy", "a", "b", "phase"),
    [
        pytest.param("Always", None, None, "Pending", id="10: no statuses"),
        pytest.param("Always", WAITS, WAITS, "Pending", id="4: both wait"),
        pytest.param("Always", RUNS, WAITS, "Pending", id="4: one waits for its first start"),
        pytest.param("Never", ended(1), WAITS, "Pending", id="4: even when the other failed"),
        pytest.param("Always", RUNS, RUNS, "Running", id="5: both run"),
        pytest.param("Always", RUNS, ended(1), "Running", id="5: one runs"),
        pytest.param("Always", RUNS, backs_off(1), "Running", id="5: a back-off is not Pending"),
        pytest.param("Always", RUNS, None, "Pending", id="10: one is unknown"),
        pytest.param("Always", RUNS, NEITHER, "Pending", id="10: none of the three states"),
        pytest.param("Always", ended(0), ended(0), "Running", id="7: Always comes back"),
        pytest.param("Always", backs_off(1), backs_off(1), "Running", id="7: all in back-off"),
        pytest.param("OnFailure", ended(0), ended(1), "Running", id="7: OnFailure, one failed"),
        pytest.param("OnFailure", ended(0), ended(0), "Succeeded", id="8: OnFailure, all succeeded"),
        pytest.param("Never", ended(0), ended(0), "Succeeded", id="8: Never, all succeeded"),
        pytest.param("Never", ended(0), ended(1), "Failed", id="9: Never, one failed"),
        pytest.param("Never", ended(0), backs_off(0), "Failed", id="9: waiting never counts as succeeded"),
        pytest.param("Never", ended(0), RUNS, "Running", id="5: Never, one still runs"),
    ],
)
def test_phase_of_regular_containers_1_2(policy, a, b, phase):
    pod = make_pod("a", "b", policy=policy)
    assert pod_phase(pod, [], statuses(a=a, b=b), initialized_in_sandbox=True) == phase


@pytest.mark.parametrize(
    ("a", "b", "phase"),
    [
        pytest.param(ended(0), ended(0), "Succeeded", id="6: all exits were 0"),
        pytest.param(ended(0), ended(143), "Failed", id="6: one was not"),
        pytest.param(ended(0), backs_off(0), "Failed", id="6: one was waiting"),
        pytest.param(WAITS, WAITS, "Pending", id="4: nothing ever ran"),
    ],
)
def test_phase_of_a_pod_that_was_stopped_disregards_the_policy_1_2_row_6(a, b, phase):
    pod = make_pod("a", "b", policy="Always")
    assert pod_phase(pod, [], statuses(a=a, b=b), initialized_in_sandbox=True, stopped=True) == phase


def test_a_stopped_static_pod_keeps_its_policy():
    pod = make_pod("a", metadata={"annotations": {"kubernetes.io/config.source": "file"}})
    assert pod_phase(pod, [], statuses(a=ended(0)), initialized_in_sandbox=True, stopped=True) == "Running"


@pytest.mark.parametrize(
    ("policy", "init", "phase"),
    [
        pytest.param("Always", None, "Pending", id="absent"),
        pytest.param("Always", RUNS, "Pending", id="running"),
        pytest.param("Always", WAITS, "Pending", id="waiting for its first start"),
        pytest.param("Always", NEITHER, "Pending", id="none of the three states"),
        pytest.param("Always", ended(1), "Running", id="failed, will be retried"),
        pytest.param("OnFailure", backs_off(1), "Running", id="in back-off"),
        pytest.param("Never", ended(1), "Failed", id="1: failed for good"),
        pytest.param("Never", backs_off(1), "Failed", id="1: the same, shown as waiting"),
        pytest.param("Never", ended(0), "Running", id="done"),
    ],
)
def test_phase_with_an_init_container_1_1(policy, init, phase):
    pod = make_pod("web", init=["one"], policy=policy)
    assert pod_phase(pod, statuses(one=init), statuses(web=RUNS), initialized_in_sandbox=True) == phase


@pytest.mark.parametrize(
    ("proxy", "web", "initialized", "phase"),
    [
        pytest.param(RUNS, WAITS, False, "Pending", id="3: not started yet"),
        pytest.param(RUNS, RUNS, True, "Running", id="not started, but pod is initialised in this sandbox"),
        pytest.param(STARTED, RUNS, True, "Running", id="both run"),
        pytest.param(STARTED, ended(0), True, "Running", id="5: the sidecar still runs"),
        pytest.param(ended(137), ended(0), True, "Succeeded", id="its exit code does not matter"),
        pytest.param(backs_off(1), RUNS, True, "Running", id="in back-off"),
        pytest.param(WAITS, RUNS, True, "Pending", id="4: waits for its first start"),
        pytest.param(None, RUNS, True, "Pending", id="10: absent is unknown"),
    ],
)
def test_phase_with_a_sidecar_1_1(proxy, web, initialized, phase):
    pod = make_pod("web", init=[sidecar("proxy")], policy="Never")
    found = pod_phase(pod, statuses(proxy=proxy), statuses(web=web), initialized_in_sandbox=initialized)
    assert found == phase


# 1.3


def test_a_terminal_phase_is_never_left_1_3():
    pod = make_pod("web")
    assert generate(pod, observed(running()), status(phase="Failed")).phase == "Failed"
    pod = make_pod("web", status={"phase": "Succeeded"})
    assert generate(pod, observed(running())).phase == "Succeeded"
    generated = generate(
        pod, observed(running()), situation=replace(SITUATION, override=PhaseOverride("x", "y"))
    )
    assert generated.phase == "Succeeded", "4: nothing overrides what the API shows as terminal"


def test_reason_and_message_belong_to_their_phase_1_3():
    old = status(phase="Failed", reason="Evicted", message="low on memory")
    generated = generate(make_pod("web", policy="Never"), observed(exited(exit_code=1)), old)
    assert (generated.reason, generated.message) == ("Evicted", "low on memory")
    generated = generate(make_pod("web"), observed(running()), status(phase="Pending", reason="x"))
    assert generated.reason is None


def test_an_override_wins_1_3():
    situation = replace(SITUATION, override=PhaseOverride("DeadlineExceeded", "too long"))
    generated = generate(make_pod("web"), observed(running()), situation=situation)
    assert (generated.phase, generated.reason, generated.message) == (
        "Failed",
        "DeadlineExceeded",
        "too long",
    )
    assert condition(generated, "Ready")["reason"] == "PodFailed"


def test_a_new_terminal_phase_is_held_back_while_something_may_run_1_3():
    before = generate(make_pod("web"), observed(running()))
    situation = replace(SITUATION, override=PhaseOverride("DeadlineExceeded", "too long"))
    after = generate(make_pod("web"), observed(running()), before, situation)
    held = published_status(after, before, may_be_running=True)
    assert (held.phase, held.reason) == ("Running", None)
    assert condition(held, "Ready")["reason"] == "PodFailed"
    shown = published_status(after, before, may_be_running=False)
    assert (shown.phase, shown.reason) == ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("policy", "code", "illegal"),
    [("Always", 0, None), ("OnFailure", 1, None), ("OnFailure", 0, "web"), ("Never", 1, "web")],
)
def test_who_may_leave_terminated_1_3(policy, code, illegal):
    pod = make_pod("web", policy=policy)
    old = generate(pod, observed(exited(exit_code=code)))
    new = generate(pod, observed(running(attempt=1)), status())
    assert illegal_transition(pod, new, old) == illegal


# 1.4


def test_the_last_word_on_containers_that_never_ended_1_4():
    pod = make_pod("a", "b")
    final = final_status(pod, generate(pod, observed(exited("a", 3))))
    assert final.phase == "Failed"
    assert one(final, "a")["state"]["terminated"]["exitCode"] == 3
    assert one(final, "b")["state"]["terminated"] == {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
    }


def test_the_last_word_on_a_pod_that_never_initialised_1_4():
    pod = make_pod("web", init=["one", "two"])
    final = final_status(pod, generate(pod, NOTHING))
    assert final.phase == "Failed"
    assert one(final, "one")["state"]["terminated"]["exitCode"] == 137, "always the first"
    assert one(final, "two")["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert one(final, "web")["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_the_last_word_keeps_what_is_known_1_4():
    pod = make_pod("web", policy="Never")
    done = generate(pod, observed(exited()))
    assert to_dict(final_status(pod, done)) == to_dict(done)
    static = make_pod("web", metadata={"annotations": {"kubernetes.io/config.source": "file"}})
    assert final_status(static, generate(static, observed(running()))).phase == "Running"


# 1.5, 1.6


def test_a_rejected_pod_1_5():
    pod = make_pod("web", status={"qosClass": "BestEffort"})
    assert to_dict(rejected_status(pod, "OutOfcpu", "no cpu", NOW)) == {
        "phase": "Failed",
        "reason": "OutOfcpu",
        "message": "Pod was rejected: no cpu",
        "qosClass": "BestEffort",
        "startTime": "2026-01-01T12:00:00Z",
        "observedGeneration": 1,
    }


def test_top_level_fields_1_6():
    pod = make_pod("b", "a", init=["z", "y"], status={"qosClass": "Burstable"})
    first = to_dict(generate(pod, observed()))
    assert first["startTime"] == "2026-01-01T12:00:00Z"
    assert first["hostIP"] == "192.0.2.1"
    assert first["hostIPs"] == [{"ip": "192.0.2.1"}]
    assert first["podIP"] == "10.244.0.2"
    assert first["podIPs"] == [{"ip": "10.244.0.2"}]
    assert first["qosClass"] == "Burstable"
    assert first["observedGeneration"] == 1
    assert [one["name"] for one in first["containerStatuses"]] == ["a", "b"], "by name"
    assert [one["name"] for one in first["initContainerStatuses"]] == ["z", "y"], "as in the spec"


def test_start_time_is_set_once_and_a_finished_pod_keeps_its_address_1_6():
    pod = make_pod("web", policy="Never")
    first = generate(pod, observed(running()))
    gone = SandboxStatus("s0", 0, False, 1000.0)
    second = generate(pod, observed(exited(), sandboxes=(gone,)), first, now=LATER)
    assert second.start_time == NOW
    assert second.pod_ip == "10.244.0.2"


def test_a_host_network_pod_has_the_nodes_address_1_6():
    assert generate(make_pod("web", hostNetwork=True), NOTHING).pod_ip == "192.0.2.1"


# 1.7


def test_conditions_come_in_their_order_and_foreign_ones_first_1_7():
    pod = make_pod("web", status={"conditions": [{"type": "example.com/gate", "status": "True"}]})
    old = status(conditions=[{"type": "DisruptionTarget", "status": "True"}])
    assert [c.type for c in generate(pod, observed(running()), old).conditions] == [
        "example.com/gate",
        "DisruptionTarget",
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]


def states_of_conditions(generated):
    short = {"PodReadyToStartContainers": "R", "Initialized": "I", "Ready": "P", "ContainersReady": "C"}
    return " ".join(f"{short[c.type]}{c.status[0]}" for c in generated.conditions if c.type in short)


@pytest.mark.parametrize(
    ("exists", "seen"),
    [
        pytest.param(NOTHING, "RF IT PF CF", id="nothing yet"),
        pytest.param(observed(), "RT IT PF CF", id="the sandbox is there"),
        pytest.param(observed(running()), "RT IT PT CT", id="it runs"),
        pytest.param(observed(exited(exit_code=1)), "RT IT PF CF", id="it crashed"),
    ],
)
def test_the_typical_sequence_1_7(exists, seen):
    assert states_of_conditions(generate(make_pod("web"), exists)) == seen


@pytest.mark.parametrize(
    ("exists", "initialized"),
    [
        pytest.param(observed(), ("False", "containers with incomplete status: [one proxy]"), id="none done"),
        pytest.param(
            observed(exited("one")), ("False", "containers with incomplete status: [proxy]"), id="one of two"
        ),
        pytest.param(observed(running("proxy"), exited("one")), ("True", None), id="exit 0, and started"),
        pytest.param(observed(running("web")), ("True", None), id="any regular container runs"),
    ],
)
def test_initialized_1_7(exists, initialized):
    found = condition(generate(make_pod("web", init=["one", sidecar("proxy")]), exists), "Initialized")
    assert (found["status"], found.get("message")) == initialized
    assert found.get("reason") == (None if initialized[0] == "True" else "ContainersNotInitialized")


def test_initialized_stays_true_1_7():
    pod = make_pod("web", init=["one"])
    before = generate(pod, observed(running(), exited("one")))
    after = generate(pod, observed(running("one", attempt=1)), before)
    assert condition(after, "Initialized")["status"] == "True"


def test_ready_names_sidecars_first_then_containers_in_spec_order_1_7():
    pod = make_pod("b", "a", init=["one", sidecar("proxy")])
    found = condition(generate(pod, observed()), "ContainersReady")
    assert found["reason"] == "ContainersNotReady"
    assert found["message"] == "containers with unready status: [proxy b a]"


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
def test_conditions_of_a_finished_pod_1_7(code, reason):
    generated = generate(make_pod("web", policy="Never"), observed(exited(exit_code=code)))
    assert (
        condition(generated, "Ready")["reason"] == condition(generated, "ContainersReady")["reason"] == reason
    )
    assert condition(generated, "Initialized")["status"] == "True"


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        pytest.param([], 'corresponding condition of pod readiness gate "g" does not exist.', id="missing"),
        pytest.param(
            [{"type": "g", "status": "False"}],
            'the status of pod readiness gate "g" is not "True", but False',
            id="false",
        ),
        pytest.param([{"type": "g", "status": "True"}], None, id="true"),
    ],
)
def test_readiness_gates_1_7(conditions, message):
    pod = make_pod("web", readinessGates=[{"conditionType": "g"}], status={"conditions": conditions})
    generated = generate(pod, observed(running()))
    assert condition(generated, "ContainersReady")["status"] == "True"
    found = condition(generated, "Ready")
    assert found.get("message") == message
    assert found["status"] == ("False" if message else "True")


def test_transition_times_move_only_with_the_status_1_7():
    pod = make_pod("web")
    first = generate(pod, observed())
    second = generate(pod, observed(running()), first, now=LATER)
    assert condition(second, "Ready")["lastTransitionTime"] == "2026-01-01T12:01:00Z"
    assert condition(second, "PodReadyToStartContainers")["lastTransitionTime"] == "2026-01-01T12:00:00Z"


# 1.8 to 1.10


def test_no_instance_1_8():
    assert one(generate(make_pod("web"), NOTHING))["state"] == {"waiting": {"reason": "ContainerCreating"}}
    generated = generate(make_pod("web", init=["one"]), NOTHING)
    assert (
        one(generated, "web")["state"]
        == one(generated, "one")["state"]
        == {"waiting": {"reason": "PodInitializing"}}
    )
    assert one(generated)["restartCount"] == 0
    assert one(generated)["imageID"] == ""


def test_newest_is_state_second_newest_last_state_older_ones_are_invisible_1_8():
    exists = observed(running(attempt=2), exited(exit_code=5, attempt=1), exited(exit_code=4))
    found = one(generate(make_pod("web"), exists))
    assert found["state"] == {"running": {"startedAt": "1970-01-01T00:16:41Z"}}
    assert found["lastState"]["terminated"]["exitCode"] == 5
    assert found["lastState"]["terminated"]["containerID"] == "minikubelet://web-1"
    assert found["restartCount"] == 2
    assert found["containerID"] == "minikubelet://web-2"


def test_created_but_not_running_is_waiting_without_a_reason_1_8():
    assert one(generate(make_pod("web"), observed(created())))["state"] == {"waiting": {}}


def test_unknown_state_1_8():
    pod = make_pod("web")
    assert one(generate(pod, observed(unknown())))["state"] == {"waiting": {}}
    before = generate(pod, observed(running()))
    found = one(generate(pod, observed(unknown()), before))
    assert found["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert found["state"]["terminated"]["exitCode"] == 137
    assert found["restartCount"] == 1


@pytest.mark.parametrize(("metadata", "count"), [({}, 1), ({"deletionTimestamp": "2026-01-01T12:00:30Z"}, 0)])
def test_an_instance_that_vanished_while_it_ran_1_8(metadata, count):
    pod = make_pod("web", metadata=metadata)
    before = generate(pod, observed(running()))
    found = one(generate(pod, observed(), before))
    assert found["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert found["lastState"]["terminated"] == {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": (
            "The container could not be located when the pod was deleted.  The container used to be Running"
        ),
    }
    assert found["restartCount"] == count


def test_a_vanished_instance_that_had_ended_stays_terminated_1_8():
    pod = make_pod("web", policy="Never")
    before = generate(pod, observed(exited(exit_code=3)))
    assert one(generate(pod, NOTHING, before)) == one(before)


def test_a_vanished_init_container_is_taken_as_done_1_8():
    found = one(generate(make_pod("web", init=["one"]), observed(running())), "one")
    assert found["state"]["terminated"]["reason"] == "Completed"
    assert found["state"]["terminated"]["message"].startswith("Unable to get init container status")
    assert found["ready"] is True


@pytest.mark.parametrize(
    ("policy", "code", "state", "last"),
    [
        pytest.param("Always", 1, "waiting", "terminated", id="to be restarted: the reason is shown"),
        pytest.param("Never", 1, "terminated", None, id="not to be restarted: stays terminated"),
        pytest.param("OnFailure", 0, "terminated", None, id="succeeded: stays terminated"),
    ],
)
def test_a_cached_reason_1_8_1(policy, code, state, last):
    situation = replace(SITUATION, reasons={"web": WaitingReason("CrashLoopBackOff", "back-off 10s …")})
    found = one(
        generate(make_pod("web", policy=policy), observed(exited(exit_code=code)), situation=situation)
    )
    assert list(found["state"]) == [state]
    assert next(iter(found["lastState"]), None) == last


def test_a_cached_reason_of_a_container_that_has_no_instance_1_8_1():
    situation = replace(SITUATION, reasons={"web": WaitingReason("ErrImagePull", "no such host")})
    found = one(generate(make_pod("web"), observed(), situation=situation))
    assert found["state"] == {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}
    assert found["lastState"] == {}


def test_an_init_container_that_is_done_shows_no_old_reason_1_8_1():
    situation = replace(SITUATION, reasons={"one": WaitingReason("CrashLoopBackOff")})
    found = one(generate(make_pod("web", init=["one"]), observed(exited("one")), situation=situation), "one")
    assert found["state"]["terminated"]["exitCode"] == 0
    assert found["ready"] is True


@pytest.mark.parametrize(
    ("instance", "reason", "started"),
    [
        pytest.param(exited(), "Completed", "1970-01-01T00:16:41Z", id="exit 0"),
        pytest.param(exited(exit_code=1), "Error", "1970-01-01T00:16:41Z", id="exit 1"),
        pytest.param(
            exited(exit_code=137, reason="OOMKilled"), "OOMKilled", "1970-01-01T00:16:41Z", id="OOM"
        ),
        pytest.param(
            exited(exit_code=128, reason="StartError", started_at=0.0),
            "StartError",
            "1970-01-01T00:00:00Z",
            id="never ran: 1970",
        ),
        pytest.param(
            exited(exit_code=2, reason=""), "Error", "1970-01-01T00:16:41Z", id="the runtime gave none"
        ),
    ],
)
def test_terminated_reasons_1_10(instance, reason, started):
    found = one(generate(make_pod("web", policy="Never"), observed(instance)))["state"]["terminated"]
    assert (found["reason"], found["startedAt"]) == (reason, started)
    assert "signal" not in found


def test_messages_of_a_pod_share_12288_bytes_4_8():
    long = "ä" * 10_000
    pod = make_pod("a", "b", "c", init=["one"], policy="Never")
    generated = generate(pod, observed(exited("a", message=long)))
    assert len(one(generated, "a")["state"]["terminated"]["message"].encode()) == 3072
    found = one(generate(make_pod("web", policy="Never"), observed(exited())))
    assert "message" not in found["state"]["terminated"]


# started and ready


@pytest.mark.parametrize(
    ("probes", "result", "before", "started", "ready"),
    [
        pytest.param({}, {}, None, True, True, id="no probes"),
        pytest.param({"startupProbe": PROBE}, {}, None, False, False, id="startup: no result yet"),
        pytest.param(
            {"startupProbe": PROBE}, {"startup": "unknown"}, None, False, False, id="startup: unknown"
        ),
        pytest.param(
            {"startupProbe": PROBE}, {"startup": "success"}, None, True, True, id="startup: success"
        ),
        pytest.param(
            {"startupProbe": PROBE}, {"startup": "failure"}, None, False, False, id="startup: failure"
        ),
        pytest.param(
            {"startupProbe": PROBE},
            {},
            {"started": True},
            True,
            True,
            id="startup: held before the agent restarted",
        ),
        pytest.param({"readinessProbe": PROBE}, {}, None, True, False, id="readiness: no result yet"),
        pytest.param(
            {"readinessProbe": PROBE}, {"readiness": "failure"}, None, True, False, id="readiness: failure"
        ),
        pytest.param(
            {"readinessProbe": PROBE}, {"readiness": "success"}, None, True, True, id="readiness: success"
        ),
        pytest.param(
            {"readinessProbe": PROBE},
            {},
            {"started": True, "ready": True},
            True,
            True,
            id="readiness: held before the agent restarted",
        ),
        pytest.param(
            {"startupProbe": PROBE, "readinessProbe": PROBE},
            {"readiness": "success"},
            None,
            False,
            False,
            id="not started is not ready",
        ),
        pytest.param(
            {"livenessProbe": PROBE}, {"liveness": "failure"}, None, True, True, id="liveness: no matter"
        ),
    ],
)
def test_started_and_ready_1_8(probes, result, before, started, ready):
    old = status()
    if before:
        web = {"name": "web", "containerID": "minikubelet://web-0", **before}
        old = status(containerStatuses=[web], conditions=[{"type": "Ready", "status": "True"}])
    situation = replace(SITUATION, results={"web-0": ContainerProbeResults(**result)})
    found = one(generate(make_pod({"name": "web", **probes}), observed(running()), old, situation))
    assert (found["started"], found["ready"]) == (started, ready)


def test_a_dead_container_is_neither_started_nor_ready_1_8():
    found = one(generate(make_pod("web"), observed(exited())))
    assert (found["started"], found["ready"]) == (False, False)


def test_generating_again_changes_nothing():
    pod = make_pod("a", "b", init=["one", sidecar("proxy")])
    exists = observed(running("a"), exited("b", 1), running("proxy"), exited("one"))
    first = generate(pod, exists)
    second = generate(pod, exists, generate(pod, exists, first), now=LATER)
    assert to_dict(second) == to_dict(generate(pod, exists, second, now=LATER + timedelta(days=1)))
    assert SANDBOX in exists.sandboxes
