"""Laws that hold for every pod, whatever happens to it: hypothesis drives one worker through random lives.

Containers exit, probes fail, the sandbox is lost, the agent is restarted, images are missing, the pod is
deleted, and time passes; after every step the worker settles and what a watcher saw is held against the laws.
"""

import asyncio
import itertools
import logging

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minikubelet.agent import pod_worker
from minikubelet.agent.phase import is_terminal
from minikubelet.agent.pod_worker import Phase
from minikubelet.v1 import to_dict
from tests.fakes import Script
from tests.unit.agent.pods import UID, make_pod, sidecar
from tests.unit.agent.story import Story
from tests.virtual_time import VirtualTimeLoop

PROBE = {"exec": {"command": ["x"]}}
POLICIES = st.sampled_from(["Always", "OnFailure", "Never"])
OWN = st.sampled_from(
    [
        {},
        {"restartPolicy": "Never"},
        {"restartPolicy": "OnFailure"},
        *(
            {
                "restartPolicy": "Never",
                "restartPolicyRules": [{"action": action, "exitCodes": {"operator": "In", "values": [42]}}],
            }
            for action in ("Restart", "RestartAllContainers")
        ),
    ]
)
NAMES = st.sampled_from(["a", "b", "init", "proxy"])
SCRIPTS = st.builds(
    Script,
    runs=st.sampled_from([None, 0, 1, 30, 700]),
    exit_code=st.sampled_from([0, 1]),
    on_term=st.sampled_from([0, 3, None]),
    start_error=st.sampled_from(["", "", "", "not found"]),
)


class PodLife(RuleBasedStateMachine):
    """One pod of two containers, perhaps with an init container and a sidecar."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.story: Story | None = None
        self.history: list = []
        self.warnings: list = []
        self.listener = logging.Handler(logging.WARNING)
        self.listener.emit = lambda record: self.warnings.append(record.getMessage())
        logging.getLogger(pod_worker.__name__).addHandler(self.listener)

    def __del__(self) -> None:
        self.loop.close()  # hypothesis makes machines it never runs

    def teardown(self) -> None:
        logging.getLogger(pod_worker.__name__).removeHandler(self.listener)
        if self.story is not None:
            self.run(self.story.end_agent())
            self.settle()
        self.loop.close()

    def run(self, story):
        return self.loop.run_until_complete(story)

    def do(self, action, *args, **kwargs) -> None:
        """One thing happens (within the loop, as everything does), and the worker deals with it."""

        async def happen():
            action(*args, **kwargs)

        self.run(happen())
        self.settle()

    def settle(self, seconds: float = 0.0) -> None:
        self.run(asyncio.sleep(seconds + 0.001))

    @initialize(
        policy=POLICIES,
        own=st.fixed_dictionaries({"a": OWN, "b": OWN, "init": OWN}),
        with_init=st.booleans(),
        with_sidecar=st.booleans(),
        scripts=st.data(),
    )
    def begin(self, policy, own, with_init, with_sidecar, scripts):
        init = [{"name": "init", **own["init"]}] * with_init + [sidecar("proxy")] * with_sidecar
        a = {"name": "a", "livenessProbe": PROBE, "readinessProbe": PROBE, **own["a"]}
        self.story = Story(make_pod(a, {"name": "b", **own["b"]}, init=init, policy=policy))
        for name in ("a", "b", "init", "proxy"):
            self.story.runtime.script(name, *scripts.draw(st.lists(SCRIPTS, min_size=1, max_size=3)))
        self.run(self.story.begin())
        self.settle()

    @rule(seconds=st.sampled_from([1, 10, 61, 700]))
    def time_passes(self, seconds):
        self.settle(seconds)

    @rule(name=NAMES, code=st.sampled_from([0, 1, 42, 137]))
    def a_container_exits(self, name, code):
        self.do(self.story.runtime.exit, UID, name, code)

    @rule(
        name=NAMES,
        result=st.sampled_from(["liveness", "readiness"]),
        outcome=st.sampled_from(["success", "failure"]),
    )
    def a_probe_has_a_result(self, name, result, outcome):
        if name in self.story.runtime.running(UID):
            self.do(self.story.probe, name, **{result: outcome})

    @rule()
    def the_sandbox_is_lost(self):
        if not self.finished:
            self.do(self.story.runtime.lose_sandbox, UID)

    @rule(why=st.sampled_from(["", "no such host"]))
    def the_image_is_gone(self, why):
        self.story.runtime.missing_images["localhost/host"] = why

    @precondition(lambda self: self.story and not self.finished and self.story.publisher.history)
    @rule()
    def the_agent_is_restarted(self):
        self.keep_history()
        self.story = self.run(self.story.next_agent())
        self.settle()

    @precondition(lambda self: self.story and self.story.publisher.history)
    @rule(grace=st.sampled_from([0, 1, 30]))
    def the_pod_is_deleted(self, grace):
        if grace:
            self.do(self.story.delete, grace)
        else:
            self.do(self.story.force_delete)

    @property
    def finished(self) -> bool:
        return self.story.worker.phase in (Phase.TERMINATED, Phase.FINISHED)

    def keep_history(self) -> None:
        self.history += [status for _, status in self.story.publisher.history]

    @property
    def seen(self):
        return self.history + [status for _, status in self.story.publisher.history]

    @invariant()
    def restart_counts_never_fall(self):
        if self.story is None:
            return
        counts: dict[str, int] = {}
        for status in self.seen:
            for one in [*(status.init_container_statuses or ()), *(status.container_statuses or ())]:
                assert one.restart_count >= counts.get(one.name, 0), f"{one.name} fell"
                counts[one.name] = one.restart_count

    @invariant()
    def no_status_is_dropped(self):
        """1.3.6 is a net; nothing the worker does by itself may fall into it, or the status stands still."""
        assert [text for text in self.warnings if "terminated state" in text] == []

    @invariant()
    def a_terminal_phase_is_never_left(self):
        if self.story is None:
            return
        for before, after in itertools.pairwise(self.seen):
            if is_terminal(before.phase):
                assert after.phase == before.phase

    @invariant()
    def nothing_runs_once_the_phase_is_terminal(self):
        if self.story and self.story.publisher.history and is_terminal(self.story.status.phase):
            assert self.story.runtime.running(UID) == []

    @invariant()
    def one_instance_of_a_container_runs_at_a_time(self):
        if self.story is None:
            return
        running = self.story.runtime.running(UID)
        assert len(running) == len(set(running)), "two instances of one container run"

    @invariant()
    def every_container_has_exactly_one_state(self):
        if self.story is None:
            return
        for status in self.seen[-3:]:
            for one in [*(status.init_container_statuses or ()), *(status.container_statuses or ())]:
                assert len(to_dict(one.state)) == 1

    @invariant()
    def ready_containers_run(self):
        if self.story is None:
            return
        for status in self.seen[-3:]:
            for one in status.container_statuses or ():
                assert not one.ready or one.state.running

    @invariant()
    def every_finished_worker_left_nothing_behind(self):
        if self.story and self.story.worker.phase is Phase.FINISHED:
            status = self.run(self.story.runtime.pod_status(UID))
            assert status.sandboxes == status.containers == ()
            assert self.story.publisher.is_finished

    @invariant()
    def the_worker_never_stumbles(self):
        """FailedSync is for bugs; FailedKillPod cannot happen here."""
        if self.story is not None:
            assert not {"FailedSync", "FailedKillPod"} & set(self.story.recorder.reasons())


TestPodLife = PodLife.TestCase
TestPodLife.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
