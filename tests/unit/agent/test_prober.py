"""Probe workers in virtual time: when they check, what they store, what they tell."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from minikubelet.agent.probe_worker import Ticker
from minikubelet.agent.prober import ProbeContext, ProbeManager, ProbeObservation
from minikubelet.errors import RunContainerError
from minikubelet.runtime.cri import ExecResult
from minikubelet.v1 import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Probe,
    TCPSocketAction,
)
from tests.unit.agent.servers import Peer, serving
from tests.virtual_time import VirtualClock, in_virtual_time, settle

CID = "c" * 64
OK, BAD = ExecResult(0, b"fine"), ExecResult(1, b"sick")


class Node:
    """A prober and everything around it. `answers` are what exec probes get, the last one for ever."""

    def __init__(self, *answers, spread: bool = False, seconds: float = 0.0) -> None:
        self.answers = list(answers or (OK,))
        self.seconds = seconds
        self.probed: list[float] = []
        self.events: list[tuple] = []
        self.changes: list[tuple[float, str]] = []
        self.seen: list[ProbeObservation] = []
        self.figures = "cpu throttled 3/4 periods, 0.250s"
        self.clock = VirtualClock()
        self.manager = ProbeManager(
            ProbeContext(
                runtime=self,
                recorder=self,
                clock=self.clock,
                random=self,
                changed=lambda uid: self.changes.append((self.now(), uid)),
                observe=self.seen.append,
                spread_start=spread,
                pressure=lambda uid, cid: self.figures,
            )
        )

    def now(self) -> float:
        return round(self.clock.monotonic(), 3)

    async def exec_sync(self, uid, container_id, command, timeout, limit=10240):
        self.probed.append(self.now())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def event(self, pod, type, reason, message, field_path=""):
        self.events.append((self.now(), type, reason, message, field_path))

    def uniform(self, a: float, b: float) -> float:
        return b / 2

    def publish(self, pod: Pod, *containers: ContainerStatus, phase: str = "Running", ip: str = "127.0.0.1"):
        names = [container.name for container in pod.spec.init_containers or ()]
        status = PodStatus(
            phase=phase,
            pod_ip=ip,
            container_statuses=[c for c in containers if c.name not in names],
            init_container_statuses=[c for c in containers if c.name in names],
        )
        self.manager.status_published(pod, status)

    def runs(
        self, name: str = "main", cid: str = CID, started: bool = True, ago: float = 0
    ) -> ContainerStatus:
        since = self.clock.now() - timedelta(seconds=ago)
        return ContainerStatus(
            name=name,
            container_id=f"minikubelet://{cid}",
            started=started,
            state=ContainerState(running=ContainerStateRunning(started_at=since)),
        )

    def result(self, cid: str = CID, uid: str = "u1"):
        return self.manager.results(uid).get(cid)

    def messages(self) -> list[str]:
        return [message for _, _, _, message, _ in self.events]


def exited(name: str = "main", cid: str = CID, code: int = 1) -> ContainerStatus:
    return ContainerStatus(
        name=name,
        container_id=f"minikubelet://{cid}",
        state=ContainerState(terminated=ContainerStateTerminated(exit_code=code)),
    )


def exec_probe(**numbers) -> Probe:
    return Probe(exec=ExecAction(command=["check"]), **numbers)


def make_pod(
    *sidecars: Container,
    uid: str = "u1",
    policy: str = "Always",
    annotations: dict[str, str] | None = None,
    **probes: Probe,
) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="web", namespace="default", uid=uid, annotations=annotations),
        spec=PodSpec(
            restart_policy=policy,
            init_containers=list(sidecars),
            containers=[Container(name="main", **probes)],
        ),
    )


@in_virtual_time
async def test_3_2_ticks_count_from_the_worker_s_creation_not_from_the_container_s_start():
    node = Node()
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10))
    node.manager.add_pod(pod)
    await asyncio.sleep(3)
    node.publish(pod, node.runs())
    await asyncio.sleep(40)
    assert node.probed == [10, 20, 30, 40]
    await node.manager.close()


@in_virtual_time
async def test_3_3_the_first_probe_comes_at_the_first_tick_after_the_initial_delay():
    node = Node()
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10, initial_delay_seconds=12))
    node.manager.add_pod(pod)
    await asyncio.sleep(3)
    node.publish(pod, node.runs())
    await asyncio.sleep(40)
    assert node.probed == [20, 30, 40]
    await node.manager.close()


@in_virtual_time
async def test_3_2_a_slow_check_leaves_one_tick_pending_and_the_grid_where_it_was():
    node = Node(seconds=2.5)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(8)
    assert node.probed == [0, 2.5, 5, 7.5]
    node.seconds = 0.0
    await asyncio.sleep(4.2)
    assert node.probed[4:] == [10, 11, 12]
    await node.manager.close()


@in_virtual_time
async def test_3_2_readiness_is_probed_at_once_when_asked_and_its_ticker_starts_again():
    node = Node(BAD)
    pod = make_pod(
        readiness_probe=exec_probe(period_seconds=10), liveness_probe=exec_probe(period_seconds=100)
    )
    node.manager.add_pod(pod)
    await asyncio.sleep(3)
    node.publish(pod, node.runs())
    node.manager.probe_readiness_now("u1", "main")
    node.manager.probe_readiness_now("u1", "somebody")
    node.manager.probe_readiness_now("unheard of", "main")
    await asyncio.sleep(25)
    assert node.probed == [3, 13, 23]
    await node.manager.close()


@in_virtual_time
async def test_3_2_a_trigger_during_a_check_is_remembered_once():
    node = Node(seconds=1)
    pod = make_pod(readiness_probe=exec_probe(period_seconds=10))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(0.5)
    for _ in range(3):
        node.manager.probe_readiness_now("u1", "main")
    await asyncio.sleep(11)
    assert node.probed == [0, 1, 11]
    await node.manager.close()


@in_virtual_time
async def test_3_2_workers_of_a_young_agent_wait_a_random_part_of_their_period():
    node = Node(spread=True)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(12)
    later = make_pod(uid="u2", liveness_probe=exec_probe(period_seconds=10))
    node.publish(later, node.runs(cid="d" * 64))
    node.manager.add_pod(later)
    await asyncio.sleep(1)
    assert node.probed == [5, 12]
    await node.manager.close()


@in_virtual_time
async def test_3_4_liveness_failure_is_told_once_at_the_threshold_and_then_left_alone():
    node = Node(BAD)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=5, failure_threshold=3))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(60)
    assert node.probed == [0, 5, 10]
    assert node.changes == [(10, "u1")]
    assert node.result().liveness == "failure"
    assert node.events == [
        (t, "Warning", "Unhealthy", "Liveness probe failed: sick", "spec.containers{main}")
        for t in (0, 5, 10)
    ]
    await node.manager.close()


@in_virtual_time
async def test_3_3_a_new_instance_is_probed_again_and_the_old_result_is_gone():
    node = Node(BAD, OK)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=5, failure_threshold=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(7)
    node.publish(pod, node.runs(cid="d" * 64))
    await asyncio.sleep(5)
    assert node.probed == [0, 10]
    assert node.result() is None
    assert node.result("d" * 64).liveness == "success"
    assert node.changes == [(0, "u1")]
    await node.manager.close()


@in_virtual_time
async def test_3_4_readiness_tells_every_change_in_both_directions_and_nothing_else():
    node = Node(OK, OK, BAD, BAD, OK)
    pod = make_pod(readiness_probe=exec_probe(period_seconds=1, failure_threshold=2))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(10)
    assert node.changes == [(0, "u1"), (3, "u1"), (4, "u1")]
    assert node.result().readiness == "success"
    await node.manager.close()


@in_virtual_time
async def test_3_5_startup_holds_the_others_back_until_it_succeeded():
    node = Node(BAD, BAD, OK)
    pod = make_pod(
        startup_probe=exec_probe(period_seconds=1, failure_threshold=5),
        liveness_probe=exec_probe(period_seconds=1),
    )
    node.publish(pod, node.runs(started=False))
    node.manager.add_pod(pod)
    await asyncio.sleep(4.5)
    assert node.probed == [0, 1, 2]
    assert node.changes == [(2, "u1")]
    assert node.result().startup == "success"
    node.publish(pod, node.runs(started=True))
    await asyncio.sleep(2)
    assert node.probed == [0, 1, 2, 5, 6]
    await node.manager.close()


@in_virtual_time
async def test_3_3_a_check_that_errors_is_tried_three_times_at_once_and_changes_nothing():
    node = Node(RunContainerError("no such command"))
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10, failure_threshold=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(15)
    assert node.probed == [0, 0, 0, 10, 10, 10]
    assert node.changes == []
    assert node.result().liveness == "success"
    text = "Liveness probe errored and resulted in unknown state: no such command"
    assert node.messages() == [text, text]
    await node.manager.close()


@in_virtual_time
async def test_3_3_an_error_that_goes_away_at_once_is_no_error():
    node = Node(RunContainerError("busy"), OK)
    pod = make_pod(readiness_probe=exec_probe())
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(1)
    assert node.messages() == []
    assert node.result().readiness == "success"
    await node.manager.close()


@in_virtual_time
async def test_3_4_errors_do_not_break_a_run_of_failures():
    node = Node(BAD, *[RunContainerError("busy")] * 3, BAD)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=1, failure_threshold=2))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(2.5)
    assert node.result().liveness == "failure"
    await node.manager.close()


@in_virtual_time
async def test_3_3_a_failure_is_not_tried_again_before_the_next_tick():
    node = Node(BAD)
    pod = make_pod(readiness_probe=exec_probe())
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(5)
    assert node.probed == [0]
    await node.manager.close()


@in_virtual_time
async def test_3_3_a_dead_container_is_not_ready():
    node = Node(OK)
    pod = make_pod(readiness_probe=exec_probe(period_seconds=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(0.5)
    node.publish(pod, exited())
    await asyncio.sleep(1)
    assert node.result().readiness == "failure"
    assert node.changes == [(0, "u1"), (1, "u1")]
    await node.manager.close()


@in_virtual_time
async def test_3_2_a_worker_ends_with_a_container_that_does_not_come_back():
    node = Node(OK)
    pod = make_pod(policy="Never", liveness_probe=exec_probe(period_seconds=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(0.5)
    node.publish(pod, exited())
    await asyncio.sleep(1)
    assert node.manager.results("u1") == {}
    node.publish(pod, node.runs())
    await asyncio.sleep(5)
    assert node.probed == [0]
    await node.manager.close()


@in_virtual_time
async def test_3_7_termination_stops_liveness_and_startup_of_regular_containers_only():
    node = Node(OK)
    side = Container(name="side", restart_policy="Always", liveness_probe=exec_probe(period_seconds=1))
    pod = make_pod(
        side, liveness_probe=exec_probe(period_seconds=1), readiness_probe=exec_probe(period_seconds=1)
    )
    node.publish(pod, node.runs(), node.runs("side", "d" * 64))
    node.manager.add_pod(pod)
    await asyncio.sleep(0.5)
    node.manager.stop_liveness_and_startup("u1")
    node.seen.clear()
    await asyncio.sleep(1)
    assert {(seen.container, seen.kind.value) for seen in node.seen} == {
        ("main", "Readiness"),
        ("side", "Liveness"),
    }
    assert node.result().liveness is None
    await node.manager.close()


@in_virtual_time
async def test_3_2_only_sidecars_among_init_containers_are_probed():
    node = Node(BAD)
    plain = Container(name="prepare", liveness_probe=exec_probe())
    side = Container(name="side", restart_policy="Always", liveness_probe=exec_probe())
    pod = make_pod(plain, side)
    node.publish(pod, node.runs("prepare", "e" * 64), node.runs("side", "d" * 64))
    node.manager.add_pod(pod)
    await asyncio.sleep(1)
    assert [event[4] for event in node.events] == ["spec.initContainers{side}"]
    await node.manager.close()


@in_virtual_time
async def test_3_2_removing_a_pod_ends_its_workers_in_the_middle_of_a_check():
    node = Node(BAD, seconds=30)
    pod = make_pod(liveness_probe=exec_probe(failure_threshold=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(1)
    node.manager.remove_pod("u1")
    node.manager.remove_pod("u1")
    await asyncio.sleep(100)
    assert (node.probed, node.events, node.changes) == ([0], [], [])
    assert node.manager.results("u1") == {}
    assert len(asyncio.all_tasks()) == 1


@in_virtual_time
async def test_3_2_adding_a_pod_again_keeps_its_workers():
    node = Node()
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10))
    node.publish(pod, node.runs())
    for _ in range(5):
        node.manager.add_pod(pod)
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    assert node.probed == [0, 10]
    await node.manager.close()


@in_virtual_time
async def test_3_2_a_worker_keeps_the_deletion_it_was_born_with():
    node = Node(BAD)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=1, failure_threshold=1))
    pod.metadata.deletion_timestamp = node.clock.now()
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(3)
    assert (node.probed, node.changes) == ([], [])
    await node.manager.close()


@in_virtual_time
async def test_14_1_an_instance_from_before_the_agent_has_no_result_until_it_was_probed():
    node = Node(BAD, spread=True)
    pod = make_pod(readiness_probe=exec_probe(period_seconds=10, failure_threshold=2))
    node.publish(pod, node.runs(ago=60))
    node.manager.add_pod(pod)
    await asyncio.sleep(6)
    assert node.probed == [5]
    assert node.result() is None
    await asyncio.sleep(10)
    assert node.result().readiness == "failure"
    assert node.changes == [(15, "u1")]
    await node.manager.close()


@in_virtual_time
async def test_14_1_a_pod_that_came_with_its_status_is_probed_before_anything_is_published():
    node = Node(OK)
    pod = make_pod(readiness_probe=exec_probe(period_seconds=1))
    pod.status = PodStatus(phase="Running", pod_ip="127.0.0.1", container_statuses=[node.runs(ago=60)])
    node.manager.add_pod(pod)
    await asyncio.sleep(0.5)
    assert node.result().readiness == "success"
    node.publish(pod, exited())
    node.manager.add_pod(pod)
    await asyncio.sleep(1)
    assert node.result().readiness == "failure"
    await node.manager.close()


@in_virtual_time
async def test_hung_probes_delay_no_other():
    async def hang(peer: Peer) -> None:
        await peer.reader.read()

    node = Node(OK)
    async with serving(hang) as port:
        hung = Probe(http_get=HTTPGetAction(port=port), period_seconds=1, timeout_seconds=50)
        for number in range(200):
            pod = make_pod(uid=f"hung-{number}", liveness_probe=hung)
            node.publish(pod, node.runs(cid=f"{number:064x}"))
            node.manager.add_pod(pod)
        pod = make_pod(liveness_probe=exec_probe(period_seconds=1))
        node.publish(pod, node.runs())
        node.manager.add_pod(pod)
        await asyncio.sleep(10.5)
        assert node.probed == list(range(11))
        await node.manager.close()


@in_virtual_time
async def test_3_6_network_probes_go_to_the_pod_s_address():
    node = Node()
    async with serving(lambda peer: peer.reader.read()) as port:
        pod = make_pod(readiness_probe=Probe(tcp_socket=TCPSocketAction(port=port)))
        node.publish(pod, node.runs(), ip="127.0.0.1")
        node.manager.add_pod(pod)
        await asyncio.sleep(1)
        assert node.result().readiness == "success"
        await node.manager.close()


@in_virtual_time
async def test_a_probe_without_a_handler_is_an_error_of_the_check():
    """Validation lets none in; the kubelet says this if one came all the same."""
    node = Node()
    pod = make_pod(readiness_probe=Probe())
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(1)
    assert node.messages() == [
        "Readiness probe errored and resulted in unknown state: "
        "missing probe handler for web_default(u1):main"
    ]
    await node.manager.close()


@in_virtual_time
async def test_3_6_grpc_probes_go_to_the_pod_s_address():
    node = Node()
    pod = make_pod(readiness_probe=Probe(grpc=GRPCAction(port=1)))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(2)
    assert node.messages() == [
        'Readiness probe failed: timeout: failed to connect service "127.0.0.1:1" within 1s: '
        "context deadline exceeded"
    ]
    await node.manager.close()


@in_virtual_time
async def test_observers_see_every_check():
    node = Node(OK, BAD, seconds=0.25)
    pod = make_pod(readiness_probe=exec_probe(period_seconds=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(1.5)
    first, second = node.seen
    assert (first.container, first.kind.value, first.outcome.verdict) == ("main", "Readiness", "success")
    assert (second.outcome.verdict, second.outcome.output, second.result) == ("failure", "sick", "success")
    assert (second.seconds, second.late) == (pytest.approx(0.25), pytest.approx(0, abs=1e-6))
    await node.manager.close()


@in_virtual_time
async def test_a_mistake_in_the_prober_is_loud_and_stops_no_worker(caplog):
    node = Node(ZeroDivisionError("a bug"), OK)
    pod = make_pod(readiness_probe=exec_probe(period_seconds=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    with caplog.at_level(logging.ERROR):
        await asyncio.sleep(1.5)
    assert "cannot probe container main of pod u1" in caplog.text
    assert node.result().readiness == "success"
    await node.manager.close()


@in_virtual_time
async def test_3_2_a_ticker_that_nobody_waited_for_ticks_once_and_keeps_its_grid():
    ticker = Ticker(10)
    loop = asyncio.get_running_loop()
    assert await ticker.wait() == 0
    await asyncio.sleep(35)
    assert await ticker.wait() == pytest.approx(25)
    await ticker.wait()
    assert loop.time() == pytest.approx(40)
    ticker.trigger()
    await settle()
    await ticker.wait()
    await ticker.wait()
    assert loop.time() == pytest.approx(50)


# Rows of section 3 that need the whole worker


@in_virtual_time
async def test_3_2_workers_are_made_for_regular_containers_and_sidecars_startup_first():
    sidecar = Container(name="proxy", restart_policy="Always", liveness_probe=exec_probe())
    pod = make_pod(
        sidecar, liveness_probe=exec_probe(), readiness_probe=exec_probe(), startup_probe=exec_probe()
    )
    node = Node()
    node.manager.add_pod(pod)
    assert [(name, kind.value) for name, kind in node.manager._workers["u1"]] == [
        ("main", "Startup"),
        ("main", "Readiness"),
        ("main", "Liveness"),
        ("proxy", "Liveness"),
    ]
    await node.manager.close()


@in_virtual_time
async def test_3_2_probes_of_a_pod_newer_than_the_agent_do_not_wait():
    node = Node(spread=True)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10))
    pod.metadata.creation_timestamp = node.clock.now()
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await settle()
    assert node.probed == [0]
    await node.manager.close()


@in_virtual_time
async def test_3_2_only_readiness_is_probed_when_asked():
    node = Node()
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(3)
    node.manager.probe_readiness_now("u1", "main")
    node.manager.probe_readiness_now("nobody", "main")
    await asyncio.sleep(8)
    assert node.probed == [0, 10]
    await node.manager.close()


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@in_virtual_time
async def test_3_3_rows_1_and_2_without_a_status_it_waits_and_a_final_phase_ends_it(phase):
    node = Node()
    pod = make_pod(policy="Never", liveness_probe=exec_probe(period_seconds=1))
    node.manager.add_pod(pod)
    await asyncio.sleep(2.5)
    assert node.probed == []
    assert node.manager._workers["u1"]
    node.publish(pod, node.runs(), phase=phase)
    await asyncio.sleep(1)
    assert node.probed == []
    assert not node.manager._workers["u1"]
    await node.manager.close()


@in_virtual_time
async def test_3_4_a_warning_counts_as_success_and_makes_an_event():
    async def moved(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/\r\nContent-Length: 2\r\n\r\ngo"
        )

    node = Node()
    async with serving(moved) as port:
        probe = Probe(http_get=HTTPGetAction(port=port, scheme="HTTP", path="/"), period_seconds=1)
        pod = make_pod(readiness_probe=probe)
        node.publish(pod, node.runs())
        node.manager.add_pod(pod)
        await asyncio.sleep(0.5)
        await node.manager.close()
    assert [outcome.result for outcome in node.seen] == ["success"]
    path = "spec.containers{main}"
    text = "Readiness probe warning: Probe terminated redirects, Response body: go"
    assert [event[1:] for event in node.events] == [("Warning", "ProbeWarning", text, path)]


@in_virtual_time
async def test_3_4_the_longest_time_to_the_kill_of_a_hanging_container():
    """initialDelay rounded up to a tick + (failureThreshold - 1) × period + timeout."""
    node = Node(ExecResult(137, b"", timed_out=True), seconds=2)
    pod = make_pod(
        liveness_probe=exec_probe(
            initial_delay_seconds=13, period_seconds=10, failure_threshold=3, timeout_seconds=2
        )
    )
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(100)
    assert node.changes == [(20 + 2 * 10 + 2, "u1")]
    await node.manager.close()


@pytest.mark.parametrize("kind", ["Liveness", "Readiness", "Startup"])
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(BAD, "probe failed: sick", id="failed"),
        pytest.param(
            RunContainerError("no such binary"),
            "probe errored and resulted in unknown state: no such binary",
            id="errored",
        ),
        pytest.param(
            ExecResult(137, b"", timed_out=True),
            'probe failed: command timed out: "check" timed out after 1s',
            id="timed out",
        ),
    ],
)
@pytest.mark.parametrize("init", [False, True], ids=["regular", "sidecar"])
@in_virtual_time
async def test_3_5_the_event_of_every_check_that_did_not_succeed(kind, answer, text, init):
    node = Node(answer)
    probes = {f"{kind.lower()}_probe": exec_probe(period_seconds=10)}
    if init:
        pod = make_pod(Container(name="proxy", restart_policy="Always", **probes))
        node.publish(pod, node.runs("proxy", started=kind != "Startup"))
        path = "spec.initContainers{proxy}"
    else:
        pod = make_pod(**probes)
        node.publish(pod, node.runs(started=kind != "Startup"))
        path = "spec.containers{main}"
    node.manager.add_pod(pod)
    await asyncio.sleep(1)
    assert node.events == [(0, "Warning", "Unhealthy", f"{kind} {text}", path)]
    await node.manager.close()


@in_virtual_time
async def test_3_5_success_makes_no_event():
    node = Node(OK)
    pod = make_pod(liveness_probe=exec_probe(), readiness_probe=exec_probe())
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(60)
    assert node.probed
    assert node.events == []
    await node.manager.close()


@in_virtual_time
async def test_3_5_readiness_begins_and_liveness_does_not_until_the_first_result():
    node = Node(ExecResult(0, b""), seconds=3)
    pod = make_pod(liveness_probe=exec_probe(), readiness_probe=exec_probe(), startup_probe=exec_probe())
    node.publish(pod, node.runs(started=False))
    node.manager.add_pod(pod)
    await settle()
    result = node.result()
    assert (result.liveness, result.readiness, result.startup) == ("success", "failure", "unknown")
    await node.manager.close()


# Beyond the kubelet: annotations (`v1.probe_options`)

PERIOD = "period-seconds.liveness.probes.minikubelet.io/main"
TIMEOUT = "timeout-seconds.liveness.probes.minikubelet.io/main"
SEED = "probes.minikubelet.io/start-jitter-seed"
PRESSURE = "probes.minikubelet.io/pressure-in-events"


@in_virtual_time
async def test_a_period_may_be_shorter_than_a_second():
    node = Node()
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10), annotations={PERIOD: "0.25"})
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(1.1)
    assert node.probed == [0, 0.25, 0.5, 0.75, 1]
    await node.manager.close()


@in_virtual_time
async def test_so_may_a_timeout():
    async def hold(peer: Peer) -> None:
        await peer.reader.read()

    node = Node()
    async with serving(hold) as port:
        probe = Probe(http_get=HTTPGetAction(port=port, scheme="HTTP", path="/"))
        pod = make_pod(liveness_probe=probe, annotations={TIMEOUT: "0.2"})
        node.publish(pod, node.runs())
        node.manager.add_pod(pod)
        await asyncio.sleep(1)
        await node.manager.close()
    assert [when for when, *_ in node.events] == [0.2]


@pytest.mark.parametrize("seed", [None, "7"])
@in_virtual_time
async def test_a_seed_makes_the_start_jitter_repeatable(seed):
    annotations = {SEED: seed} if seed else {}
    starts = []
    for uid in ("u1", "u2"):
        node = Node(spread=True)
        node.uniform = iter([2.0, 5.0]).__next__ if seed else lambda a, b, uid=uid: float(uid[1])
        began = node.now()
        pod = make_pod(uid=uid, annotations=annotations, liveness_probe=exec_probe(period_seconds=10))
        node.publish(pod, node.runs())
        node.manager.add_pod(pod)
        await asyncio.sleep(10)
        starts.append(round(node.probed[0] - began, 2))
        await node.manager.close()
    assert (starts[0] == starts[1]) is bool(seed)
    assert all(0 < start < 10 for start in starts)


@in_virtual_time
async def test_an_event_may_carry_the_container_s_throttling_and_pressure():
    node = Node(BAD)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=1), annotations={PRESSURE: "true"})
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(0.5)
    node.figures = ""  # a node without PSI and a container without a limit
    await asyncio.sleep(1)
    assert node.messages() == [
        "Liveness probe failed: sick [cpu throttled 3/4 periods, 0.250s]",
        "Liveness probe failed: sick",
    ]
    await node.manager.close()


@in_virtual_time
async def test_a_mistake_in_an_annotation_is_told_once_and_changes_nothing():
    node = Node()
    pod = make_pod(liveness_probe=exec_probe(period_seconds=10), annotations={PERIOD: "fast"})
    node.publish(pod, node.runs())
    for _ in range(3):
        node.manager.add_pod(pod)
    await asyncio.sleep(15)
    assert node.probed == [0, 10]
    assert node.events == [
        (
            0,
            "Warning",
            "InvalidProbeOption",
            f"annotation {PERIOD} is ignored: must be seconds between 0.01 and 3600",
            "",
        )
    ]
    await node.manager.close()


@in_virtual_time
async def test_3_9_a_worker_counts_its_checks_and_takes_them_along():
    node = Node(OK, BAD)
    pod = make_pod(liveness_probe=exec_probe(period_seconds=1))
    node.publish(pod, node.runs())
    node.manager.add_pod(pod)
    await asyncio.sleep(1.5)
    metrics = node.manager._context.metrics
    assert 'probe_type="Liveness",result="successful"} 1' in metrics.text()
    assert 'probe_type="Liveness",result="failed"} 1' in metrics.text()
    node.manager.remove_pod("u1")
    assert "Liveness" not in metrics.text()
    await node.manager.close()
