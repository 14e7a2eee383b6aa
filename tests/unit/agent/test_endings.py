"""How pods end, as a watcher of their status sees it (kubelet-behaviour 1.3, 1.4, 4.1 to 4.8, 5.3)."""

import asyncio
from datetime import timedelta

import pytest

from minikubelet.agent.pod_worker import Phase
from minikubelet.agent.ports import HookError
from minikubelet.v1 import to_dict
from tests.fakes import Script
from tests.unit.agent.pods import UID, make_pod, sidecar
from tests.unit.agent.story import Story
from tests.virtual_time import in_virtual_time, settle, until

PROBE = {"exec": {"command": ["x"]}}


def seen(story, since=0.0):
    """(when, phase, Ready with its reason, state of each container) of every status published."""
    lines = []
    for at, status in story.publisher.history:
        if at < since:
            continue
        ready = next(c for c in status.conditions if c.type == "Ready")
        states = [next(iter(to_dict(one.state))) for one in status.container_statuses]
        lines.append((at, status.phase, f"{ready.status} {ready.reason or ''}".strip(), *states))
    return lines


# The writes of an end (1.4)


@in_virtual_time
async def test_a_deletion_is_two_writes_the_states_before_the_kill_and_after_it_1_4():
    story = Story(make_pod("a", "b"))
    story.runtime.script("a", Script(on_term=3))
    story.runtime.script("b", Script(on_term=1, term_exit_code=0))
    await story.begin()
    await asyncio.sleep(10)
    story.pod.metadata.generation = 2
    story.delete()
    await story.until_finished()
    assert seen(story, since=10) == [
        (10, "Running", "True", "running", "running"),
        (13, "Failed", "False PodFailed", "terminated", "terminated"),
    ]
    assert story.status.observed_generation == 2
    assert story.condition("PodReadyToStartContainers") == "False"
    assert story.status.reason is None


@in_virtual_time
async def test_an_end_of_its_own_shows_its_phase_when_sidecars_are_dead_too_1_3_5():
    story = Story(make_pod("web", init=[sidecar("proxy")], policy="Never"))
    story.runtime.script("web", Script(runs=5))
    story.runtime.script("proxy", Script(on_term=4))
    await story.begin()
    await until(lambda: story.worker.phase is Phase.TERMINATED)
    ending = seen(story, since=5)
    assert {line[1] for line in ending if line[0] < 9} == {"Running"}
    assert ending[-1] == (9, "Succeeded", "False PodCompleted", "terminated")


@in_virtual_time
async def test_a_container_that_never_started_is_given_an_end_1_4():
    story = Story(make_pod("a", {"name": "b", "image": "absent"}))
    story.runtime.missing_images["absent"] = "no such host"
    await story.begin()
    story.delete()
    await story.until_finished()
    ended = to_dict(story.container("b").state)["terminated"]
    assert ended == {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
    }
    assert story.status.phase == "Failed"


@in_virtual_time
async def test_a_pod_deleted_while_it_initialises_leaves_its_containers_waiting_1_4():
    story = Story(make_pod("web", init=["one", "two"]))
    story.runtime.script("one", Script(on_term=0))
    await story.begin()
    story.delete()
    await story.until_finished()
    assert story.status.phase == "Failed"
    assert story.container("one").state.terminated.exit_code == 143
    assert story.waiting("two") == story.waiting("web") == "PodInitializing"


@in_virtual_time
async def test_a_pod_in_termination_restarts_nothing_and_continues_no_init_container_4_3():
    story = Story(make_pod("a", "b", init=["one"]))
    story.runtime.script("one", Script(runs=5))
    await story.begin()
    await asyncio.sleep(1)
    story.delete()
    await story.until_finished()
    assert story.starts("a") == []

    story = Story(make_pod("a", "b"))
    story.runtime.script("a", Script(runs=3, exit_code=1, on_term=None))
    story.runtime.script("b", Script(on_term=20))
    await story.begin()
    await asyncio.sleep(1)
    story.delete()
    await story.until_finished()
    assert len(story.starts("a")) == 1


@in_virtual_time
async def test_a_status_in_which_a_container_left_its_end_for_no_reason_is_dropped_1_3_6(caplog):
    story = Story(make_pod("web", "b", policy="Never"))
    story.runtime.script("web", Script(runs=1, exit_code=1))
    await story.begin()
    await asyncio.sleep(2)
    before = to_dict(story.container())
    story.runtime.script("web", Script())
    web = story.pod.spec.containers[0]
    image = await story.runtime.ensure_image(story.pod, web)
    stray = await story.runtime.create_container(story.pod, web, 1, image)
    await story.runtime.start_container(UID, stray)
    story.worker.wake()
    await settle()
    assert to_dict(story.container()) == before
    assert "pod web_default(7d1f): container web cannot leave its terminated state" in caplog.text


@pytest.mark.parametrize("happens", ["lose_sandbox", "forget"], ids=["sandbox lost", "reboot"])
@pytest.mark.parametrize(
    ("policy", "own"),
    [("OnFailure", {}), ("Always", {"restartPolicy": "Never"}), ("Never", {"restartPolicy": "OnFailure"})],
)
@in_virtual_time
async def test_what_ended_for_good_does_not_run_again_in_a_new_sandbox_2_6(policy, own, happens):
    """Also when the runtime has forgotten it: the status remembers."""
    story = Story(make_pod({"name": "done", **own}, {"name": "b", "restartPolicy": "Always"}, policy=policy))
    story.runtime.script("done", Script(runs=1))
    await story.begin()
    await asyncio.sleep(5)
    await story.end_agent()
    getattr(story.runtime, happens)(UID)
    heir = await story.next_agent()
    await asyncio.sleep(100)
    assert heir.starts("done") == [0]
    if policy != "Never":  # a pod that never restarts gets no second sandbox
        assert heir.starts("b") == [0, 5]
        assert heir.container("done").state.terminated.exit_code == 0


@in_virtual_time
async def test_init_containers_run_again_in_a_new_sandbox_and_the_status_says_so():
    """The kubelet's rule 1.3.6 drops every later status of such a pod under OnFailure; here it does not."""
    story = Story(make_pod("web", init=["one"], policy="OnFailure"))
    story.runtime.script("one", Script(runs=1))
    await story.begin()
    await asyncio.sleep(5)
    story.runtime.lose_sandbox(UID)
    await asyncio.sleep(0.5)
    assert story.container("one").state.running
    await asyncio.sleep(5)
    assert story.container("web").state.running
    assert story.container("web").restart_count == 1


# The active deadline (4.7)


@pytest.mark.parametrize(
    ("pod", "scripts", "missing"),
    [
        pytest.param(make_pod("web", activeDeadlineSeconds=7), {}, {}, id="while it runs"),
        pytest.param(
            make_pod("web", init=["one"], activeDeadlineSeconds=7), {}, {}, id="while it initialises"
        ),
        pytest.param(
            make_pod({"name": "web", "image": "absent"}, activeDeadlineSeconds=7),
            {},
            {"absent": "no such host"},
            id="while a pull is backing off",
        ),
        pytest.param(
            make_pod("web", activeDeadlineSeconds=7),
            {"web": [Script(runs=0, exit_code=1)]},
            {},
            id="while it crashes",
        ),
    ],
)
@in_virtual_time
async def test_the_deadline_counts_everything_since_the_start_time(pod, scripts, missing):
    story = Story(pod)
    story.runtime.missing_images.update(missing)
    for name, one in scripts.items():
        story.runtime.script(name, *one)
    await story.begin()
    assert await story.until_phase("Failed") == pytest.approx(7, abs=0.2)
    assert story.status.reason == "DeadlineExceeded"
    assert story.recorder.reasons().count("DeadlineExceeded") == 1
    await asyncio.sleep(100)
    assert not story.publisher.is_finished, "the object stays"


@in_virtual_time
async def test_the_deadline_may_be_lowered_while_the_pod_runs():
    story = Story(make_pod("web", activeDeadlineSeconds=1000))
    await story.begin()
    await asyncio.sleep(5)
    story.change_spec(activeDeadlineSeconds=9)
    assert await story.until_phase("Failed") == pytest.approx(9, abs=0.2)


@in_virtual_time
async def test_the_deadline_counts_on_over_a_restart_of_the_agent():
    story = Story(make_pod("web", activeDeadlineSeconds=20))
    await story.begin()
    await asyncio.sleep(12)
    heir = await story.next_agent()
    assert await heir.until_phase("Failed") == pytest.approx(20, abs=0.2)


@in_virtual_time
async def test_a_stepped_wall_clock_moves_no_deadline():
    story = Story(make_pod("web", activeDeadlineSeconds=20))
    await story.begin()
    await asyncio.sleep(2)
    story.clock.skew = timedelta(hours=5)
    story.worker.wake()
    assert await story.until_phase("Failed") == pytest.approx(20, abs=0.2)


# preStop (4.2, 5.3)


@in_virtual_time
async def test_pre_stop_runs_at_a_probe_kill_an_image_change_and_a_failed_post_start():
    hooks = {"preStop": {"sleep": {"seconds": 1}}}
    probed = Story(make_pod({"name": "web", "livenessProbe": PROBE, "lifecycle": hooks}))
    await probed.begin()
    probed.probe(liveness="failure")
    await asyncio.sleep(2)
    assert [name for _, name in probed.hooks.journal] == ["web"]

    changed = Story(make_pod({"name": "web", "lifecycle": hooks}))
    await changed.begin()
    changed.change_spec(containers=[{"name": "web", "image": "other:2", "lifecycle": hooks}])
    await asyncio.sleep(2)
    assert [name for _, name in changed.hooks.journal] == ["web"]

    failed = Story(
        make_pod(
            {"name": "web", "lifecycle": {**hooks, "postStart": {"sleep": {"seconds": 0}}}}, policy="Never"
        )
    )
    failed.hooks.errors["web"] = HookError("no")
    await failed.begin()
    await asyncio.sleep(2)
    assert [name for _, name in failed.hooks.journal] == ["web", "web"], "postStart, then preStop"


@pytest.mark.parametrize("reason", ["", "OOMKilled"])
@in_virtual_time
async def test_pre_stop_does_not_run_for_a_container_that_is_dead_already(reason):
    hooks = {"preStop": {"sleep": {"seconds": 1}}}
    story = Story(make_pod({"name": "web", "lifecycle": hooks}))
    story.runtime.script("web", Script(runs=1, exit_code=137, reason=reason))
    await story.begin()
    await asyncio.sleep(2)
    story.delete()
    await story.until_finished()
    assert story.hooks.journal == []


@in_virtual_time
async def test_killing_is_said_before_the_hook_runs_4_2():
    hooks = {"preStop": {"sleep": {"seconds": 8}}}
    story = Story(make_pod({"name": "web", "lifecycle": hooks}))
    await story.begin()
    began = story.now
    story.delete()
    await asyncio.sleep(1)
    assert [(event.at, event.reason) for event in story.recorder.events][-1] == (began, "Killing")
    await story.until_finished()


@in_virtual_time
async def test_a_hook_that_overruns_is_left_and_says_nothing_5_3():
    hooks = {"preStop": {"sleep": {"seconds": 100}}}
    story = Story(make_pod({"name": "web", "lifecycle": hooks}))
    await story.begin()
    story.delete(grace=5)
    assert await story.until_finished() == pytest.approx(5, abs=0.1)
    assert "FailedPreStopHook" not in story.recorder.reasons()


# Forced (4.3)


@in_virtual_time
async def test_a_pod_that_vanished_from_the_api_is_killed_within_its_two_seconds():
    story = Story(make_pod("web", terminationGracePeriodSeconds=300))
    story.runtime.script("web", Script(on_term=None))
    await story.begin()
    story.force_delete()
    assert await story.until_finished() == pytest.approx(2, abs=0.1)
    assert (0, "stop web#0 2") in story.runtime.journal


@in_virtual_time
async def test_forcing_a_deletion_that_is_under_way_does_not_interrupt_the_kill_in_progress():
    story = Story(make_pod("web"))
    story.runtime.script("web", Script(on_term=None))
    await story.begin()
    story.delete(grace=20)
    await asyncio.sleep(5)
    story.force_delete()
    assert await story.until_finished() == pytest.approx(20, abs=0.1)
