"""Stories of pods, told in virtual time: each says what is scripted, waits, and reads what a watcher saw.

Numbers in names and comments are sections of the behaviour the kubelet shows.
"""

import asyncio
import itertools
from datetime import timedelta

import pytest

from minikubelet.agent.facts import PhaseOverride
from minikubelet.agent.pod_worker import Phase
from minikubelet.agent.ports import HookError
from minikubelet.errors import FailedMount, InternalError
from minikubelet.v1 import Pod, PodStatus, from_dict, to_dict
from tests.fakes import FakePublisher, FakeRuntimeService, Script
from tests.unit.agent.pods import UID, make_pod, sidecar
from tests.unit.agent.story import Story
from tests.virtual_time import VirtualClock, in_virtual_time, settle, until

CRASH = Script(runs=0, exit_code=1)


@in_virtual_time
async def test_a_pod_starts_and_is_ready_at_once():
    story = Story(make_pod("web"))
    await story.begin()
    assert story.status.phase == "Running"
    assert story.status.pod_ip.startswith("10.244.0.")
    assert story.container().ready
    assert story.phases() == ["Pending", "Running"]
    assert story.recorder.reasons() == ["Pulled", "Created", "Started"]
    assert {event.field_path for event in story.recorder.events} == {"spec.containers{web}"}


@in_virtual_time
async def test_the_sandbox_is_shown_before_images_are_pulled():
    story = Story(make_pod("web"))
    story.runtime.missing_images["localhost/host"] = ""
    story.runtime.pull_seconds = 60
    await story.begin()
    assert story.condition("PodReadyToStartContainers") == "True"
    assert story.waiting() == "ContainerCreating"
    await asyncio.sleep(61)
    assert story.status.phase == "Running"
    assert story.recorder.messages("Pulled") == [
        'Successfully pulled image "localhost/host" in 1m0s (1m0s including waiting). Image size: 1234 bytes.'
    ]


@in_virtual_time
async def test_crash_loop_delays_are_0_10_20_40_80_160_300_300():
    story = Story(make_pod("web"))
    story.runtime.script("web", CRASH)
    await story.begin()
    await asyncio.sleep(1000)
    starts = story.starts()
    delays = [round(b - a) for a, b in itertools.pairwise(starts)]
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    assert story.container().restart_count == 8
    assert story.status.phase == "Running"


@in_virtual_time
async def test_crash_loop_shows_terminated_first_and_the_back_off_next():
    story = Story(make_pod("web"))
    story.runtime.script("web", CRASH)
    await story.begin()
    await asyncio.sleep(5)
    states = [next(iter(to_dict(s.container_statuses[0].state))) for _, s in story.publisher.history]
    assert states[-2:] == ["terminated", "waiting"]
    waiting = story.container().state.waiting
    assert waiting.reason == "CrashLoopBackOff"
    assert waiting.message == "back-off 10s restarting failed container=web pod=web_default(7d1f)"
    assert story.container().last_state.terminated.exit_code == 1
    assert story.recorder.messages("BackOff") == [
        "Back-off restarting failed container web in pod web_default(7d1f)"
    ]


@in_virtual_time
async def test_the_requeue_spread_makes_restarts_later_never_earlier():
    story = Story(make_pod("web"))
    story.random.spread = 1.0
    story.runtime.script("web", CRASH)
    await story.begin()
    await asyncio.sleep(100)
    assert story.starts()[:4] == pytest.approx([0, 0, 15, 45])


@in_virtual_time
async def test_ten_healthy_minutes_reset_the_back_off():
    story = Story(make_pod("web"))
    story.runtime.script("web", CRASH, CRASH, CRASH, Script(runs=601, exit_code=1), CRASH)
    await story.begin()
    await asyncio.sleep(700)
    assert story.starts()[:6] == pytest.approx([0, 0, 10, 30, 631, 641])


@in_virtual_time
async def test_the_restart_cap_is_configurable():
    story = Story(make_pod("web"), max_restart_delay=3)
    story.runtime.script("web", CRASH)
    await story.begin()
    await asyncio.sleep(10)
    assert story.starts() == pytest.approx([0, 0, 3, 6, 9])


@in_virtual_time
async def test_exit_0_under_always_backs_off_too():
    story = Story(make_pod("web"))
    story.runtime.script("web", Script(runs=0))
    await story.begin()
    await asyncio.sleep(12)
    assert story.starts() == pytest.approx([0, 0, 10])


@in_virtual_time
async def test_a_stepped_wall_clock_neither_skips_nor_stretches_the_back_off():
    story = Story(make_pod("web"))
    story.runtime.script("web", CRASH)
    await story.begin()
    await asyncio.sleep(2)
    story.clock.skew = timedelta(hours=1)
    story.worker.wake()
    await asyncio.sleep(3)
    assert len(story.starts()) == 2
    story.clock.skew = timedelta(hours=-1)
    await asyncio.sleep(6)
    assert story.starts() == pytest.approx([0, 0, 10])


@in_virtual_time
async def test_never_with_exit_1_fails():
    story = Story(make_pod("web", policy="Never"))
    story.runtime.script("web", Script(runs=5, exit_code=1))
    await story.begin()
    await until(lambda: story.worker.phase is Phase.TERMINATED)
    assert story.phases() == ["Pending", "Running", "Failed"]
    assert story.container().state.terminated.exit_code == 1
    assert story.starts() == [0]
    assert "sandbox stopped" in [entry for _, entry in story.runtime.journal]
    assert not story.publisher.is_finished


@in_virtual_time
async def test_on_failure_runs_until_exit_0():
    story = Story(make_pod("web", policy="OnFailure"))
    story.runtime.script("web", CRASH, CRASH, Script(runs=1))
    await story.begin()
    await story.until_phase("Succeeded")
    assert story.phases() == ["Pending", "Running", "Succeeded"]
    assert story.container().restart_count == 2
    assert story.starts() == pytest.approx([0, 0, 10])


@in_virtual_time
async def test_sidecars_do_not_keep_a_pod_alive_and_do_not_decide_how_it_ends():
    story = Story(make_pod("web", init=[sidecar("proxy")], policy="Never"))
    story.runtime.script("web", Script(runs=5))
    story.runtime.script("proxy", Script(on_term=7))
    await story.begin()
    await asyncio.sleep(6)
    assert story.status.phase == "Running"
    ready = next(c for c in story.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ContainersNotReady")
    assert await story.until_phase("Succeeded") == pytest.approx(12, abs=0.1)
    assert story.container("proxy").state.terminated.exit_code == 143


@in_virtual_time
async def test_init_containers_run_one_after_the_other_then_all_regular_ones():
    story = Story(make_pod("a", "b", init=["one", "two"]))
    story.runtime.script("one", Script(runs=3))
    story.runtime.script("two", Script(runs=4))
    await story.begin()
    assert story.status.phase == "Pending"
    assert story.waiting("a") == story.waiting("two") == "PodInitializing"
    await asyncio.sleep(10)
    assert [entry for _, entry in story.runtime.journal if entry.startswith("start")] == [
        "start one#0",
        "start two#0",
        "start a#0",
        "start b#0",
    ]
    assert story.starts("two") == [3]
    assert story.starts("a") == [7]
    assert story.condition("Initialized") == "True"
    assert story.recorder.events[0].field_path == "spec.initContainers{one}"


@in_virtual_time
async def test_a_failing_init_container_is_retried_with_back_off_and_under_never_fails_the_pod():
    story = Story(make_pod("web", init=["one"]))
    story.runtime.script("one", CRASH, CRASH, Script(runs=1))
    await story.begin()
    await asyncio.sleep(5)
    assert story.waiting("one") == "CrashLoopBackOff"
    await asyncio.sleep(10)
    assert story.starts("one") == pytest.approx([0, 0, 10])
    assert story.starts("web") == pytest.approx([11])

    story = Story(make_pod("web", init=["one"], policy="Never"))
    story.runtime.script("one", CRASH)
    await story.begin()
    await asyncio.sleep(1)
    assert story.status.phase == "Failed"
    assert story.starts("web") == []


@in_virtual_time
async def test_a_sidecar_lets_the_next_container_start_when_its_startup_probe_succeeds():
    probe = {"exec": {"command": ["true"]}}
    story = Story(make_pod("web", init=[sidecar("proxy", startupProbe=probe), "prepare"]))
    story.runtime.script("prepare", Script(runs=1))
    await story.begin()
    await asyncio.sleep(5)
    assert story.starts("prepare") == []
    story.probe("proxy", startup="success")
    await asyncio.sleep(2)
    assert story.starts("prepare") == [5]
    assert story.starts("web") == [6]
    assert story.runtime.running(UID) == ["proxy", "web"]


@in_virtual_time
async def test_a_sidecar_without_probe_delays_nobody():
    story = Story(make_pod("web", init=[sidecar("one"), sidecar("two")]))
    await story.begin()
    await asyncio.sleep(0.01)
    assert story.starts("one") == story.starts("two") == story.starts("web") == [0]
    assert story.status.phase == "Running"


@in_virtual_time
async def test_an_exited_sidecar_is_restarted_even_under_never():
    story = Story(make_pod("web", init=[sidecar("proxy")], policy="Never"))
    story.runtime.script("proxy", Script(runs=2), Script())
    await story.begin()
    await asyncio.sleep(5)
    assert story.starts("proxy") == [0, 2]
    assert story.status.phase == "Running"


@in_virtual_time
async def test_a_liveness_failure_kills_and_restarts_in_one_sync():
    story = Story(make_pod({"name": "web", "livenessProbe": {"exec": {"command": ["x"]}}}))
    story.runtime.script("web", Script(on_term=4))
    await story.begin()
    await asyncio.sleep(30)
    story.probe(liveness="failure")
    await asyncio.sleep(5)
    assert story.starts() == [0, 34]
    assert story.recorder.messages("Killing") == ["Container web failed liveness probe, will be restarted"]
    assert story.container().restart_count == 1
    assert story.container().last_state.terminated.exit_code == 143
    assert "BackOff" not in story.recorder.reasons()


@in_virtual_time
async def test_repeated_probe_kills_back_off_from_the_instance_before():
    """2.2: kills 2, 3, 4 restart at once with defaults; then the container stays down."""
    story = Story(make_pod({"name": "web", "livenessProbe": {"exec": {"command": ["x"]}}}))
    await story.begin()
    for _ in range(4):
        await asyncio.sleep(30)
        story.probe(liveness="failure")
        await settle()
    assert story.starts() == [0, 30, 60, 90, 120]
    await asyncio.sleep(30)
    story.probe(liveness="failure")
    await asyncio.sleep(1)
    assert story.runtime.running(UID) == []
    assert story.waiting() == "CrashLoopBackOff"


@in_virtual_time
async def test_a_probes_own_grace_period_replaces_the_pods():
    probe = {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 5}
    story = Story(make_pod({"name": "web", "livenessProbe": probe}))
    story.runtime.script("web", Script(on_term=None), Script())
    await story.begin()
    story.probe(liveness="failure")
    await asyncio.sleep(10)
    assert (5, "exit web#0 137") in story.runtime.journal


@in_virtual_time
async def test_a_failed_probe_under_never_kills_without_restart():
    story = Story(make_pod({"name": "web", "livenessProbe": {"exec": {"command": ["x"]}}}, policy="Never"))
    await story.begin()
    story.probe(liveness="failure")
    await story.until_phase("Failed")
    assert story.recorder.messages("Killing") == ["Stopping container web"], "it was the last one: a pod kill"


@in_virtual_time
async def test_a_failed_probe_under_never_kills_one_of_two_without_restart():
    story = Story(
        make_pod({"name": "web", "livenessProbe": {"exec": {"command": ["x"]}}}, "b", policy="Never")
    )
    await story.begin()
    story.probe(liveness="failure")
    await asyncio.sleep(100)
    assert story.recorder.messages("Killing") == ["Container web failed liveness probe"]
    assert story.runtime.running(UID) == ["b"]
    assert story.starts() == [0]


@in_virtual_time
async def test_readiness_is_shown_at_once_and_restarts_nothing():
    probe = {"exec": {"command": ["x"]}}
    story = Story(make_pod({"name": "web", "readinessProbe": probe}))
    await story.begin()
    assert story.condition("Ready") == "False"
    assert "readiness of web now" in story.prober.calls
    story.probe(readiness="success")
    assert story.condition("Ready") == "True"
    story.probe(readiness="failure")
    assert story.condition("Ready") == "False"
    await asyncio.sleep(100)
    assert story.starts() == [0]


@in_virtual_time
async def test_readiness_of_one_container_is_shown_while_another_one_blocks_the_sync():
    probe = {"exec": {"command": ["x"]}}
    story = Story(make_pod({"name": "a", "readinessProbe": probe}, {"name": "b", "image": "slow"}))
    story.runtime.missing_images["slow"] = ""
    await story.begin()
    await asyncio.sleep(1)
    story.probe("a", readiness="success")
    story.runtime.missing_images["slow"] = ""
    story.runtime.pull_seconds = 100
    story.runtime.exit(UID, "b", 1)
    await asyncio.sleep(5)
    assert story.container("a").ready
    story.probe("a", readiness="failure")
    assert not story.container("a").ready


@in_virtual_time
async def test_deletion_gives_the_grace_period_then_removes_everything():
    story = Story(make_pod("web"))
    story.runtime.script("web", Script(on_term=None))
    await story.begin()
    await asyncio.sleep(10)
    story.delete(grace=30)
    assert await story.until_finished() == pytest.approx(40, abs=0.1)
    assert (10, "stop web#0 30") in story.runtime.journal
    assert (40, "exit web#0 137") in story.runtime.journal
    assert story.runtime.journal[-1] == (40, "pod removed")
    assert story.recorder.messages("Killing") == ["Stopping container web"]
    assert story.publisher.is_finished
    assert story.status.phase == "Failed"


@in_virtual_time
async def test_a_deleted_always_pod_whose_containers_exit_0_is_succeeded():
    story = Story(make_pod("a", "b"))
    story.runtime.script("a", Script(on_term=1, term_exit_code=0))
    story.runtime.script("b", Script(on_term=2, term_exit_code=0))
    await story.begin()
    story.delete()
    assert await story.until_finished() == pytest.approx(2, abs=0.1)
    assert story.phases() == ["Pending", "Running", "Succeeded"]


@in_virtual_time
async def test_force_delete_gives_1_s_to_pre_stop_and_2_s_to_the_process():
    hook = {"preStop": {"sleep": {"seconds": 10}}}
    story = Story(make_pod({"name": "web", "lifecycle": hook}))
    story.runtime.script("web", Script(on_term=None))
    await story.begin()
    story.force_delete()
    assert await story.until_finished() == pytest.approx(3, abs=0.1)
    assert (1, "stop web#0 2") in story.runtime.journal


@pytest.mark.parametrize(
    ("hook_seconds", "total"),
    [
        pytest.param(0, 30, id="no time"),
        pytest.param(10, 30, id="10 s of 30"),
        pytest.param(30, 32, id="all of it, then 2 s"),
        pytest.param(100000, 32, id="never ends"),
    ],
)
@in_virtual_time
async def test_pre_stop_accounting_4_5(hook_seconds, total):
    hook = {"preStop": {"sleep": {"seconds": hook_seconds}}}
    story = Story(make_pod({"name": "web", "lifecycle": hook}))
    story.runtime.script("web", Script(on_term=None))
    await story.begin()
    story.delete(grace=30)
    assert await story.until_finished() == pytest.approx(total, abs=0.1)


@in_virtual_time
async def test_a_failed_pre_stop_is_an_event_and_nothing_more():
    hook = {"preStop": {"exec": {"command": ["x"]}}}
    story = Story(make_pod({"name": "web", "lifecycle": hook}))
    await story.begin()
    story.hooks.errors["web"] = HookError("secret")
    story.delete()
    await story.until_finished()
    assert story.recorder.reasons()[-2:] == ["Killing", "FailedPreStopHook"]
    assert story.recorder.messages("FailedPreStopHook") == ["PreStopHook failed"]


@in_virtual_time
async def test_no_pre_stop_when_the_container_ends_by_itself():
    hook = {"preStop": {"exec": {"command": ["x"]}}}
    story = Story(make_pod({"name": "web", "lifecycle": hook}, policy="Never"))
    story.runtime.script("web", Script(runs=3))
    await story.begin()
    await story.until_phase("Succeeded")
    assert story.hooks.journal == []


@in_virtual_time
async def test_sidecars_stop_after_all_others_in_reverse_order_but_their_hooks_run_first():
    hook = {"preStop": {"sleep": {"seconds": 1}}}
    story = Story(make_pod("web", init=[sidecar("first", lifecycle=hook), sidecar("second")]))
    story.runtime.script("web", Script(on_term=4))
    story.runtime.script("second", Script(on_term=3))
    story.runtime.script("first", Script(on_term=0))
    await story.begin()
    await asyncio.sleep(1)
    story.delete(grace=30)
    await story.until_finished()
    assert story.hooks.journal == [(1, "first")]
    assert [entry for entry in story.runtime.journal if entry[1].startswith("stop")] == [
        (1, "stop web#0 30"),
        (5, "stop second#0 26"),
        (8, "stop first#0 23"),
    ]


@in_virtual_time
async def test_a_sidecar_waits_no_longer_than_its_own_grace():
    story = Story(make_pod("web", init=[sidecar("proxy")]))
    story.runtime.script("web", Script(on_term=None))
    await story.begin()
    await asyncio.sleep(1)
    story.delete(grace=5)
    assert await story.until_finished() == pytest.approx(6, abs=0.1)
    stops = [entry for entry in story.runtime.journal if entry[1].startswith("stop proxy")]
    assert stops == [(6, "stop proxy#0 2")]


@in_virtual_time
async def test_deletion_in_the_middle_of_a_pull_waits_for_it():
    story = Story(make_pod("web"))
    story.runtime.missing_images["localhost/host"] = ""
    story.runtime.pull_seconds = 20
    await story.begin()
    await asyncio.sleep(5)
    story.delete(grace=1)
    assert await story.until_finished() == pytest.approx(20, abs=0.1)
    assert story.runtime.running(UID) == []


@in_virtual_time
async def test_probes_during_termination_3_7():
    story = Story(make_pod({"name": "web", "readinessProbe": {"exec": {"command": ["x"]}}}))
    story.runtime.script("web", Script(on_term=10))
    await story.begin()
    story.probe(readiness="success")
    story.delete()
    await asyncio.sleep(1)
    assert story.condition("Ready") == "True"
    story.probe(readiness="failure")
    assert story.condition("Ready") == "False"
    story.probe(liveness="failure")
    await story.until_finished()
    assert [call for call in story.prober.calls if "readiness of" not in call] == [
        "add",
        "stop liveness and startup",
        "remove",
        "remove",
    ]
    assert story.recorder.messages("Killing") == ["Stopping container web"]


@in_virtual_time
async def test_a_pod_deleted_before_it_got_a_container_ends_failed():
    story = Story(make_pod("web", metadata={"deletionTimestamp": "2026-01-01T12:00:30Z"}))
    await story.begin()
    await story.until_finished()
    assert story.status.phase == "Failed"
    ended = story.container().state.terminated
    assert (ended.reason, ended.exit_code) == ("ContainerStatusUnknown", 137)
    assert story.runtime.journal == [(0, "pod removed")]


@in_virtual_time
async def test_image_pull_back_off():
    story = Story(make_pod({"name": "web", "image": "nowhere/app:1"}))
    story.runtime.missing_images["nowhere/app:1"] = "no such host"
    await story.begin()
    assert story.waiting() == "ErrImagePull"
    assert story.container().state.waiting.message == "no such host"
    await asyncio.sleep(1.5)
    assert story.waiting() == "ImagePullBackOff"
    assert story.container().state.waiting.message == (
        'Back-off pulling image "nowhere/app:1": ErrImagePull: no such host'
    )
    assert [(event.type, event.reason, event.message) for event in story.recorder.events[:5]] == [
        ("Normal", "Pulling", 'Pulling image "nowhere/app:1"'),
        ("Warning", "Failed", 'Failed to pull image "nowhere/app:1": no such host'),
        ("Warning", "Failed", "Error: ErrImagePull"),
        ("Normal", "BackOff", 'Back-off pulling image "nowhere/app:1"'),
        ("Warning", "Failed", "Error: ImagePullBackOff"),
    ]
    await asyncio.sleep(120)
    assert story.runtime.times("pull nowhere/app:1") == pytest.approx([0, 11, 31, 71])
    assert story.status.phase == "Pending"


@in_virtual_time
async def test_an_image_that_appears_during_back_off_is_used_at_the_next_sync():
    story = Story(make_pod({"name": "web", "image": "later"}))
    story.runtime.missing_images["later"] = "not yet"
    await story.begin()
    await asyncio.sleep(2)
    del story.runtime.missing_images["later"]
    await asyncio.sleep(10)
    assert story.starts() == [11]
    assert story.status.phase == "Running"


@in_virtual_time
async def test_pull_policy_never_with_an_absent_image():
    story = Story(make_pod({"name": "web", "image": "absent", "imagePullPolicy": "Never"}))
    story.runtime.missing_images["absent"] = "unused"
    await story.begin()
    assert story.waiting() == "ErrImageNeverPull"
    assert story.recorder.reasons()[:2] == ["ErrImageNeverPull", "Failed"]
    assert story.recorder.messages("Failed")[0] == "Error: ErrImageNeverPull"


@pytest.mark.parametrize(
    ("script", "waiting", "reasons"),
    [
        pytest.param(
            Script(config_error='configmap "x" not found'),
            "CreateContainerConfigError",
            ["Pulled", "Failed"],
            id="bad config",
        ),
        pytest.param(
            Script(create_error="no layers"), "CreateContainerError", ["Pulled", "Failed"], id="bad creation"
        ),
        pytest.param(
            Script(start_error='exec: "x": not found'),
            "RunContainerError",
            ["Pulled", "Created", "Failed"],
            id="start fails: Created, without Started",
        ),
    ],
)
@in_virtual_time
async def test_a_start_that_fails_is_shown_and_does_not_stop_others_2_10(script, waiting, reasons):
    story = Story(make_pod("a", "b"))
    story.runtime.script("a", script)
    await story.begin()
    error = script.config_error or script.create_error or script.start_error
    assert (waiting, error) in story.waiting_shown("a")
    recorded = [e.reason for e in story.recorder.events if e.field_path == "spec.containers{a}"]
    assert recorded[: len(reasons)] == reasons
    assert story.recorder.messages("Failed")[0] == f"Error: {error}"
    assert story.runtime.running(UID) == ["b"]


@in_virtual_time
async def test_a_start_error_becomes_a_crash_loop_or_under_never_the_end():
    story = Story(make_pod("web"))
    story.runtime.script("web", Script(start_error="not found"))
    await story.begin()
    await asyncio.sleep(5)
    assert story.waiting() == "CrashLoopBackOff"
    ended = story.container().last_state.terminated
    assert (ended.reason, ended.exit_code, ended.started_at.year) == ("StartError", 128, 1970)

    story = Story(make_pod("web", policy="Never"))
    story.runtime.script("web", Script(start_error="not found"))
    await story.begin()
    await story.until_phase("Failed")
    assert story.container().state.terminated.reason == "StartError"


@in_virtual_time
async def test_post_start_blocks_the_pod_5_2():
    hook = {"postStart": {"sleep": {"seconds": 8}}}
    story = Story(make_pod({"name": "a", "lifecycle": hook}, "b"))
    await story.begin()
    await asyncio.sleep(7)
    assert story.runtime.running(UID) == ["a"]
    assert story.waiting("a") == "ContainerCreating"
    await asyncio.sleep(2)
    assert story.starts("b") == [8]
    assert story.status.phase == "Running"


@in_virtual_time
async def test_a_failed_post_start_kills_the_container():
    hook = {"postStart": {"exec": {"command": ["x"]}}}
    story = Story(make_pod({"name": "web", "lifecycle": hook}))
    text = 'Exec lifecycle hook ([x]) for Container "web" in Pod "web_default(7d1f)" failed - error: …'
    story.hooks.errors["web"] = HookError(text)
    await story.begin()
    assert ("PostStartHookError", text) in story.waiting_shown()
    assert story.recorder.reasons()[:5] == ["Pulled", "Created", "Started", "FailedPostStartHook", "Killing"]
    assert story.recorder.messages("Killing")[0] == "FailedPostStartHook"
    await asyncio.sleep(5)
    assert story.waiting() == "CrashLoopBackOff"


@in_virtual_time
async def test_a_lost_sandbox_is_replaced_and_everything_starts_again():
    story = Story(make_pod("web", init=["prepare"]))
    story.runtime.script("prepare", Script(runs=1))
    await story.begin()
    await asyncio.sleep(5)
    story.runtime.lose_sandbox(UID)
    await asyncio.sleep(5)
    assert story.recorder.messages("SandboxChanged") == [
        "Pod sandbox changed, it will be killed and re-created."
    ]
    assert [entry for _, entry in story.runtime.journal if entry.startswith("sandbox #")] == [
        "sandbox #0",
        "sandbox #1",
    ]
    assert story.starts("prepare") == [0, 5]
    assert story.starts("web") == [1, 6]
    assert story.container("web").restart_count == 1
    assert story.container("prepare").restart_count == 1
    assert story.container("web").last_state.terminated.exit_code == 255


@in_virtual_time
async def test_a_sandbox_that_cannot_be_made_is_tried_again():
    story = Story(make_pod("web"))
    story.runtime.sandbox_errors = ["no address left"]
    await story.begin()
    assert story.recorder.messages("FailedCreatePodSandBox") == [
        "Failed to create pod sandbox: no address left"
    ]
    assert story.waiting() == "ContainerCreating"
    await asyncio.sleep(11)
    assert story.starts() == [10]


@in_virtual_time
async def test_a_volume_that_cannot_be_made_holds_up_the_sandbox_until_its_object_is_there_10_9():
    story = Story(make_pod("web"))
    text = 'MountVolume.SetUp failed for volume "v" : configmap "c" not found'
    story.runtime.sandbox_errors = [FailedMount(text, "another"), *[FailedMount(text)] * 5]
    await story.begin()
    assert story.recorder.messages("FailedMount") == [text, "another"]
    assert story.waiting() == "ContainerCreating"
    await asyncio.sleep(20)  # the pauses: 0.5, 1, 2, 4, 8, and it is in that of 16 s
    assert story.recorder.messages("FailedMount") == [text, "another", *[text] * 5]
    story.worker.wake()  # the object has come: nobody waits for the end of the pause
    await settle()
    assert story.starts() == [20]


@in_virtual_time
async def test_a_volume_that_cannot_be_refreshed_is_told_of_and_holds_up_nothing_10_5():
    story = Story(make_pod("web"))
    story.runtime.script("web", Script(runs=5))
    await story.begin()
    text = 'MountVolume.SetUp failed for volume "v" : secret "s" not found'
    story.runtime.refresh_errors = [FailedMount(text)]
    story.worker.wake()
    await settle()
    assert story.recorder.messages("FailedMount") == [text]
    await asyncio.sleep(6)
    assert story.starts() == [0, 5]


@in_virtual_time
async def test_changed_labels_are_looked_at_since_a_volume_may_show_them_10_5():
    story = Story(make_pod("web"))
    await story.begin()
    story.runtime.refreshed = 0
    changed = from_dict(Pod, to_dict(story.pod))
    changed.metadata.labels = {"color": "blue"}
    story.worker.update(changed)
    await settle()
    assert story.runtime.refreshed == 1


@in_virtual_time
async def test_the_active_deadline_ends_the_pod_4_7():
    story = Story(make_pod("web", activeDeadlineSeconds=20))
    story.runtime.script("web", Script(on_term=3))
    await story.begin()
    await asyncio.sleep(21)
    assert story.status.phase == "Running", (
        "a terminal phase is withheld until every container is dead (1.3.5)"
    )
    ready = next(c for c in story.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "PodFailed")
    assert await story.until_phase("Failed") == pytest.approx(23, abs=0.1)
    assert story.status.reason == "DeadlineExceeded"
    assert story.status.message == "Pod was active on the node longer than the specified deadline"
    assert story.recorder.reasons()[-2:] == ["DeadlineExceeded", "Killing"]
    assert (20, "stop web#0 30") in story.runtime.journal


@in_virtual_time
async def test_a_kill_that_fails_is_an_event_and_is_tried_again_4_6():
    story = Story(make_pod("web"))
    await story.begin()
    story.runtime.stop_errors = ["shim does not answer"]
    story.delete()
    await settle()
    assert story.recorder.messages("FailedKillPod") == ["error killing pod: shim does not answer"]
    assert await story.until_finished() == pytest.approx(10, abs=0.1)


@in_virtual_time
async def test_a_shorter_grace_period_counts_from_the_next_attempt_on():
    story = Story(make_pod("web"))
    story.runtime.script("web", Script(on_term=None))
    await story.begin()
    story.delete(grace=30)
    await asyncio.sleep(5)
    story.delete(grace=10)
    assert await story.until_finished() == pytest.approx(30, abs=0.1)


@in_virtual_time
async def test_a_bug_is_logged_shown_and_retried(caplog):
    story = Story(make_pod("web"))
    real, story.runtime.create_container = story.runtime.create_container, None
    await story.begin()
    assert story.recorder.messages("FailedSync") == [
        "error determining status: 'NoneType' object is not callable"
    ]
    assert "Traceback" in caplog.text
    story.runtime.create_container = real
    await asyncio.sleep(11)
    assert story.starts() == [10]


@in_virtual_time
async def test_a_restarted_agent_adopts_what_runs():
    story = Story(make_pod("web"))
    story.runtime.script("web", CRASH, Script())
    await story.begin()
    await asyncio.sleep(5)
    heir = await story.next_agent()
    await asyncio.sleep(100)
    assert heir.starts() == story.starts() == [0, 0]
    assert heir.publisher.history == []
    heir.runtime.exit(UID, "web", 1)
    await asyncio.sleep(1)
    assert heir.container().restart_count == 2
    assert heir.starts()[-1] == 105


@in_virtual_time
async def test_a_restarted_agent_keeps_a_ready_pod_ready_while_probes_have_no_result():
    probe = {"exec": {"command": ["x"]}}
    story = Story(make_pod({"name": "web", "readinessProbe": probe, "startupProbe": probe}))
    await story.begin()
    story.probe(startup="success", readiness="success")
    await settle()
    heir = await story.next_agent()
    await settle()
    assert heir.publisher.history == []
    heir.probe(readiness="failure")
    assert heir.condition("Ready") == "False"


@in_virtual_time
async def test_a_restarted_agent_goes_on_with_a_deletion():
    story = Story(make_pod("web"))
    story.runtime.script("web", Script(on_term=20))
    await story.begin()
    story.delete()
    await asyncio.sleep(1)
    heir = await story.next_agent()
    await heir.until_finished()
    assert heir.runtime.running(UID) == []


@in_virtual_time
async def test_a_restarted_agent_leaves_a_finished_pod_alone_until_it_is_deleted():
    story = Story(make_pod("web", policy="Never"))
    story.runtime.script("web", Script(runs=1))
    await story.begin()
    await story.until_phase("Succeeded")
    heir = await story.next_agent()
    await asyncio.sleep(100)
    assert heir.publisher.history == []
    assert heir.worker.phase is Phase.TERMINATED
    heir.force_delete()
    await heir.until_finished()
    assert heir.runtime.journal[-1][1] == "pod removed"


@pytest.mark.parametrize(("policy", "starts"), [("Always", 2), ("OnFailure", 2), ("Never", 1)])
@in_virtual_time
async def test_after_a_reboot_restart_counts_go_on_and_never_pods_do_not_run_twice(policy, starts):
    story = Story(make_pod("web", policy=policy))
    await story.begin()
    await asyncio.sleep(5)
    await story.end_agent()
    story.runtime.forget(UID)
    heir = await story.next_agent()
    await asyncio.sleep(5)
    assert len(heir.starts()) == starts
    if policy == "Never":
        assert heir.status.phase == "Failed"
    else:
        assert heir.container().restart_count == 1
        assert heir.container().last_state.terminated.reason == "ContainerStatusUnknown"


@in_virtual_time
async def test_a_changed_image_restarts_the_container_even_under_never():
    story = Story(make_pod("web", policy="Never"))
    await story.begin()
    changed = make_pod({"name": "web", "image": "other:2"}, policy="Never", metadata={"generation": 2})
    changed.status = story.status
    story.worker.update(changed)
    await asyncio.sleep(1)
    assert story.recorder.messages("Killing") == ["Container web definition changed, will be restarted"]
    assert story.container().image == "other:2"
    assert story.status.observed_generation == 2


@in_virtual_time
async def test_what_changed_only_in_the_status_wakes_nobody():
    story = Story(make_pod("web"))
    await story.begin()
    before = len(story.publisher.history)
    story.change()
    await asyncio.sleep(30)
    assert len(story.publisher.history) == before


@in_virtual_time
async def test_only_the_current_and_the_previous_instance_are_kept():
    story = Story(make_pod("web"))
    story.runtime.script("web", CRASH)
    await story.begin()
    await asyncio.sleep(100)
    instances = (await story.runtime.pod_status(UID)).containers
    assert [one.attempt for one in instances] == [4, 3]


@in_virtual_time
async def test_an_idle_pod_costs_one_look_a_minute():
    runtime = FakeRuntimeService(VirtualClock())
    looks = 0
    look = runtime.pod_status

    async def counted(uid):
        nonlocal looks
        looks += 1
        return await look(uid)

    runtime.pod_status = counted
    story = Story(make_pod("web"), runtime)
    await story.begin()
    at_start, writes = looks, len(story.publisher.history)
    await asyncio.sleep(600)
    assert looks - at_start <= 10
    assert len(story.publisher.history) == writes


# A full disk


class FullDisk(FakePublisher):
    """The store cannot write so many times."""

    failures = 0

    def publish(self, pod: Pod, status: PodStatus) -> None:
        self._fail()
        super().publish(pod, status)

    def finished(self, pod: Pod) -> None:
        self._fail()
        super().finished(pod)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise InternalError("cannot write pods: database or disk is full")


@in_virtual_time
async def test_what_could_not_be_stored_is_stored_later():
    story = Story(make_pod("web", restartPolicy="Never"))
    story.runtime.script("web", Script(runs=5))
    story.publisher = disk = FullDisk(story.clock)
    await story.begin()
    assert story.status.phase == "Running"
    disk.failures = 2
    await asyncio.sleep(60)
    assert story.status.phase == "Succeeded"
    disk.failures = 1
    story.delete()
    await asyncio.sleep(30)
    assert disk.is_finished
    await story.end_agent()


@in_virtual_time
async def test_a_pod_is_killed_whether_or_not_it_can_be_said():
    """It may be the one that fills the disk: the defence is in `PodWorker._publish`."""
    story = Story(make_pod("web"))
    story.publisher = disk = FullDisk(story.clock)
    await story.begin()
    disk.failures = 1000
    story.worker.end(PhaseOverride("Evicted", "The node was low on resource: ephemeral-storage. "), 1)
    await asyncio.sleep(30)
    assert story.worker.stopped.is_set()
    assert story.runtime.without_volumes == {UID}
    disk.failures = 0
    await asyncio.sleep(30)
    assert (story.status.phase, story.status.reason) == ("Failed", "Evicted")
    await story.end_agent()
