"""RestartAllContainers: one exit code, and the whole pod begins again (kubelet-behaviour 2.7, 1.7, 1.8)."""

import asyncio

import pytest

from minikubelet.agent.phase import pod_phase
from minikubelet.agent.pod_actions import PodActions, pod_actions
from minikubelet.agent.pod_status import illegal_transition
from minikubelet.agent.restart_all import REASON, REMOVED_MESSAGE, containers_to_reset
from minikubelet.v1 import to_dict
from tests.fakes import Script
from tests.unit.agent.pods import NOTHING, exited, make_pod, observed, running, sidecar, status
from tests.unit.agent.story import Story
from tests.unit.agent.test_pod_status import generate
from tests.virtual_time import in_virtual_time

DELETED = {"deletionTimestamp": "2026-01-01T12:00:30Z"}


def rule(code, action="RestartAllContainers"):
    return {"action": action, "exitCodes": {"operator": "In", "values": [code]}}


def resets(name, code=42, policy="Never", **fields):
    """A container whose exit with `code` restarts all."""
    return {"name": name, "restartPolicy": policy, "restartPolicyRules": [rule(code)], **fields}


# The decision


@pytest.mark.parametrize(
    ("exists", "order"),
    [
        pytest.param(observed(running("a"), exited("b", 1)), [], id="no source"),
        pytest.param(observed(running("a"), exited("b", 42)), ["a", "b"], id="a regular source goes last"),
        pytest.param(
            observed(exited("a", 42), running("b"), running("proxy"), exited("one")),
            ["b", "one", "proxy", "a"],
            id="regular, init, source",
        ),
        pytest.param(observed(exited("one", 42)), ["one"], id="an init container; others do not exist yet"),
        pytest.param(
            observed(running("a"), exited("b", 42), exited("one", 42)),
            ["a", "b", "one"],
            id="two sources: the regular one first",
        ),
        pytest.param(
            observed(running("b", attempt=1), exited("b", 42)), [], id="a former instance is no source"
        ),
        pytest.param(observed(exited("b", 42)), ["b"], id="interrupted: the source is left, so it goes on"),
    ],
)
def test_who_is_removed_in_which_order(exists, order):
    pod = make_pod(resets("a"), resets("b"), init=[resets("one", policy="OnFailure"), sidecar("proxy")])
    assert [container.name for container in containers_to_reset(pod, exists)] == order


def test_nothing_else_is_decided_with_it():
    pod = make_pod(resets("a"), "b", policy="Always")
    decided = pod_actions(pod, observed(exited("a", 42), exited("b", 1)), {}, status())
    assert decided == PodActions(to_reset=(pod.spec.containers[1], pod.spec.containers[0]), attempt=1)


def test_the_first_matching_rule_counts():
    pod = make_pod(
        {"name": "a", "restartPolicy": "Never", "restartPolicyRules": [rule(1, "Restart"), rule(1)]}
    )
    assert containers_to_reset(pod, observed(exited("a", 1))) == ()


def test_a_pod_that_is_being_deleted_is_not_reset():
    assert containers_to_reset(make_pod(resets("a"), metadata=DELETED), observed(exited("a", 42))) == ()


# The status


def condition(generated):
    found = [to_dict(one) for one in generated.conditions if one.type == "AllContainersRestarting"]
    return [{key: one[key] for key in ("status", "reason", "message") if key in one} for one in found]


def test_the_condition_is_there_only_with_such_a_rule_and_comes_last_1_7():
    assert condition(generate(make_pod("web"), observed(running()))) == []
    pod = make_pod(resets("web"))
    assert condition(generate(pod, observed(running()))) == [{"status": "False"}]
    fired = generate(pod, observed(exited(exit_code=42)))
    assert condition(fired) == [
        {
            "status": "True",
            "reason": "RestartAllContainersStarted",
            "message": "container exited with restart policy rule",
        }
    ]
    assert fired.conditions[-1].type == "AllContainersRestarting"
    assert condition(generate(pod, NOTHING, fired)) == [{"status": "False"}]


def test_a_removed_container_says_so_and_counts_one_restart_1_8():
    pod = make_pod(resets("a"), "b", policy="Never")
    fired = generate(pod, observed(exited("a", 42), running("b")))
    removed = generate(pod, observed(), fired)
    assert illegal_transition(pod, removed, fired) is None
    for one in removed.container_statuses:
        assert to_dict(one.state) == {"waiting": {"reason": REASON, "message": REMOVED_MESSAGE}}
        assert to_dict(one.last_state) == {
            "terminated": {"exitCode": 137, "reason": REASON, "message": REMOVED_MESSAGE}
        }
        assert one.restart_count == 1
        assert not one.container_id
    assert to_dict(generate(pod, observed(), removed).container_statuses[0]) == to_dict(
        removed.container_statuses[0]
    ), "it says so until it is started, and counts once"


def test_a_container_that_never_had_an_instance_was_not_removed():
    pod = make_pod("web", init=[resets("one", policy="OnFailure")])
    removed = generate(pod, observed(), generate(pod, observed(exited("one", 42))))
    assert removed.init_container_statuses[0].state.waiting.reason == REASON
    assert removed.container_statuses[0].state.waiting.reason == "PodInitializing"
    assert removed.container_statuses[0].restart_count == 0


def test_such_an_end_never_makes_a_phase_final_1_1():
    """Under Never, and although 137 is no success."""
    pod = make_pod(resets("a"), "b", policy="Never")
    removed = generate(pod, observed(), generate(pod, observed(exited("a", 42), exited("b", 0))))
    assert removed.phase == "Running"
    assert pod_phase(pod, [], removed.container_statuses, initialized_in_sandbox=False) == "Running"


def test_any_such_rule_in_the_pod_lets_every_container_leave_terminated_1_3_6():
    pod = make_pod(resets("a"), "b", policy="Never")
    before = generate(pod, observed(running("a"), exited("b", 1)))
    after = generate(pod, observed(running("a", 1), running("b", 1)), status())
    assert illegal_transition(pod, after, before) is None
    plain = make_pod("a", "b", policy="Never")
    assert illegal_transition(plain, after, before) == "b"


# The stories


@in_virtual_time
async def test_everything_begins_again_in_the_same_sandbox_2_7():
    pod = make_pod(resets("a"), "b", "done", init=["prepare", sidecar("proxy")], policy="Never")
    story = Story(pod)
    story.runtime.script("prepare", Script(runs=1))
    story.runtime.script("done", Script(runs=2))
    story.runtime.script("a", Script(runs=10, exit_code=42), Script())
    story.runtime.script("b", Script(on_term=None))
    await story.begin()
    await asyncio.sleep(5)
    address = story.status.pod_ip
    await asyncio.sleep(20)
    assert [entry for entry in story.runtime.journal if entry[0] >= 11] == [
        (11, "exit a#0 42"),
        (11, "stop b#0 2"),
        (13, "exit b#0 137"),
        (13, "remove b#0 but its log"),
        (13, "remove done#0 but its log"),
        (13, "remove prepare#0 but its log"),
        (13, "stop proxy#0 2"),
        (13, "exit proxy#0 143"),
        (13, "remove proxy#0 but its log"),
        (13, "remove a#0 but its log"),
        (13, "start prepare#1"),
        (14, "exit prepare#1 0"),
        (14, "start proxy#1"),
        (14, "start a#1"),
        (14, "start b#1"),
        (14, "start done#1"),
        (16, "exit done#1 0"),
    ]
    assert story.recorder.messages("Killing") == ["killing", "killing"]
    assert story.status.phase == "Running"
    assert story.status.pod_ip == address
    assert {one.restart_count for one in story.status.container_statuses} == {1}
    assert story.condition("AllContainersRestarting") == "False"
    assert story.recorder.messages("BackOff") == []


@in_virtual_time
async def test_a_watcher_sees_the_condition_then_the_removal_then_the_start():
    story = Story(make_pod(resets("web")))
    story.runtime.script("web", Script(runs=5, exit_code=42), Script())
    await story.begin()
    await asyncio.sleep(6)
    seen = []
    for at, published in story.publisher.history:
        if at >= 5:
            (one,) = published.container_statuses
            (kind, state), *_ = to_dict(one.state).items()
            fired = next(c.status for c in published.conditions if c.type == "AllContainersRestarting")
            seen.append((kind, state.get("reason"), one.restart_count, fired))
    assert seen == [
        ("terminated", "Error", 0, "True"),
        ("waiting", "RestartingAllContainers", 1, "False"),
        ("running", None, 1, "False"),
    ]


@in_virtual_time
async def test_pre_stop_is_not_run_for_it():
    hook = {"preStop": {"sleep": {"seconds": 3}}}
    story = Story(make_pod(resets("a"), {"name": "b", "lifecycle": hook}))
    story.runtime.script("a", Script(runs=5, exit_code=42), Script())
    await story.begin()
    await asyncio.sleep(10)
    assert story.hooks.journal == []
    assert story.starts("b") == [0, 5]


@in_virtual_time
async def test_no_back_off_delays_it_but_it_happens_once_a_second_at_most():
    """The kubelet's relist is what holds it there."""
    story = Story(make_pod(resets("web")))
    story.runtime.script("web", Script(runs=0, exit_code=42))
    await story.begin()
    await asyncio.sleep(4.5)
    assert story.starts() == pytest.approx([0, 0, 1, 2, 3, 4])


@in_virtual_time
async def test_other_exits_follow_the_containers_own_policy():
    story = Story(make_pod(resets("web"), policy="Always"))
    story.runtime.script("web", Script(runs=1, exit_code=1))
    await story.begin()
    await story.until_phase("Failed")
    assert story.starts() == [0]


@in_virtual_time
async def test_a_reset_goes_on_after_the_agent_was_restarted_in_the_middle():
    story = Story(make_pod(resets("a"), "b"))
    story.runtime.script("a", Script(runs=5, exit_code=42), Script())
    story.runtime.script("b", Script(on_term=None), Script())
    await story.begin()
    await asyncio.sleep(6)
    assert story.condition("AllContainersRestarting") == "True"
    heir = await story.next_agent()
    await asyncio.sleep(5)
    assert heir.starts("a")[-1] == heir.starts("b")[-1] == pytest.approx(8, abs=0.1)
    assert {one.restart_count for one in heir.status.container_statuses} == {1}


@in_virtual_time
async def test_a_reset_that_cannot_kill_is_an_event_and_is_tried_again():
    story = Story(make_pod(resets("a"), "b"))
    story.runtime.script("a", Script(runs=5, exit_code=42), Script())
    story.runtime.stop_errors = ["shim does not answer"]
    await story.begin()
    await asyncio.sleep(20)
    assert story.recorder.messages("FailedKillPod") == ["error killing pod: shim does not answer"]
    assert story.starts("a") == story.starts("b") == [0, 15]


# Restart, the other action, and policies of single containers (2.1)


@in_virtual_time
async def test_a_restart_rule_brings_back_a_container_that_never_restarts_with_back_off():
    own = {"name": "web", "restartPolicy": "Never", "restartPolicyRules": [rule(3, "Restart")]}
    story = Story(make_pod(own, "b", policy="Never"))
    story.runtime.script("web", *[Script(runs=0, exit_code=3)] * 3, Script(runs=1, exit_code=4))
    await story.begin()
    await asyncio.sleep(100)
    assert story.starts() == pytest.approx([0, 0, 10, 30])
    assert story.starts("b") == [0]
    assert story.container().state.terminated.exit_code == 4
    assert story.status.phase == "Running"


@in_virtual_time
async def test_policies_of_containers_go_before_the_pods():
    story = Story(
        make_pod(
            {"name": "never", "restartPolicy": "Never"},
            {"name": "failing", "restartPolicy": "OnFailure"},
            {"name": "always", "restartPolicy": "Always"},
            policy="Never",
        )
    )
    story.runtime.script("never", Script(runs=1, exit_code=1))
    story.runtime.script("failing", Script(runs=1, exit_code=1), Script(runs=1))
    story.runtime.script("always", Script(runs=1), Script())
    await story.begin()
    await asyncio.sleep(50)
    assert [len(story.starts(name)) for name in ("never", "failing", "always")] == [1, 2, 2]
    assert story.status.phase == "Running"


@in_virtual_time
async def test_a_rule_is_looked_at_after_a_probe_kill_that_did_not_restart_2_1():
    own = {"restartPolicy": "Never", "restartPolicyRules": [rule(143, "Restart")]}
    story = Story(make_pod({"name": "web", "livenessProbe": {"exec": {"command": ["x"]}}, **own}, "b"))
    await story.begin()
    story.probe(liveness="failure")
    await asyncio.sleep(1)
    assert story.recorder.messages("Killing") == ["Container web failed liveness probe"]
    assert story.starts() == [0, 0]


@in_virtual_time
async def test_an_init_container_with_its_own_policy():
    story = Story(make_pod("web", init=[{"name": "one", "restartPolicy": "Never"}], policy="Always"))
    story.runtime.script("one", Script(runs=1, exit_code=1))
    await story.begin()
    await story.until_phase("Failed")
    assert story.starts("one") == [0]
