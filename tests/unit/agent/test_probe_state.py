"""The rules of kubelet-behaviour 3.3 and 3.4, without a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from minikubelet.agent.probe_state import (
    ContainerView,
    Decision,
    ProbeKind,
    ProbeState,
    ProbeTiming,
    StatusView,
)
from minikubelet.v1 import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
    PodStatus,
    Probe,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
STARTUP, READINESS, LIVENESS = ProbeKind.STARTUP, ProbeKind.READINESS, ProbeKind.LIVENESS
RUNNING = ContainerView("Running", "10.0.0.5", "one", started_at=NOW, started=True)
NOT_STARTED = ContainerView("Running", "10.0.0.5", "one", started_at=NOW)
EXITED = ContainerView("Running", "10.0.0.5", "one", exit_code=1)


def new_state(
    kind: ProbeKind = READINESS, restarts: bool = True, deleted: bool = False, **numbers
) -> ProbeState:
    return ProbeState(
        kind=kind,
        timing=ProbeTiming.of(Probe(**numbers)),
        restarts_after=lambda exit_code: restarts,
        agent_started=NOW - timedelta(hours=1),
        pod_is_deleted=deleted,
    )


def test_3_1_the_api_s_defaults():
    assert ProbeTiming.of(Probe()) == ProbeTiming(10, 1, 0, 1, 3)
    zeros = Probe(period_seconds=0, timeout_seconds=0, success_threshold=0, failure_threshold=0)
    assert ProbeTiming.of(zeros) == ProbeTiming(10, 1, 0, 1, 3)


@pytest.mark.parametrize(
    ("state", "view", "decision", "result"),
    [
        pytest.param(new_state(), ContainerView("Failed"), Decision.END, None, id="2: the pod has failed"),
        pytest.param(new_state(), ContainerView("Succeeded"), Decision.END, None, id="2: or succeeded"),
        pytest.param(new_state(), ContainerView("Pending"), Decision.WAIT, None, id="3: no container yet"),
        pytest.param(new_state(), RUNNING, Decision.PROBE, "failure", id="4: readiness begins with failure"),
        pytest.param(new_state(LIVENESS), RUNNING, Decision.PROBE, "success", id="4: liveness with success"),
        pytest.param(
            new_state(STARTUP), NOT_STARTED, Decision.PROBE, "unknown", id="4: startup with unknown"
        ),
        pytest.param(new_state(LIVENESS), EXITED, Decision.WAIT, "failure", id="6: exited, comes back"),
        pytest.param(
            new_state(LIVENESS, restarts=False), EXITED, Decision.END, "failure", id="6: exited for good"
        ),
        pytest.param(
            new_state(restarts=False),
            ContainerView("Pending", "", "one"),
            Decision.WAIT,
            "failure",
            id="6: created, not running",
        ),
        pytest.param(
            new_state(LIVENESS, deleted=True),
            RUNNING,
            Decision.END,
            "success",
            id="7: liveness of a deleted pod",
        ),
        pytest.param(
            new_state(STARTUP, deleted=True), NOT_STARTED, Decision.END, "success", id="7: startup of one"
        ),
        pytest.param(new_state(deleted=True), RUNNING, Decision.PROBE, "failure", id="7: readiness goes on"),
        pytest.param(
            new_state(LIVENESS, initial_delay_seconds=1), RUNNING, Decision.WAIT, "success", id="8: too early"
        ),
        pytest.param(new_state(STARTUP), RUNNING, Decision.WAIT, "unknown", id="9: startup is over"),
        pytest.param(new_state(LIVENESS), NOT_STARTED, Decision.WAIT, "success", id="9: startup is not over"),
        pytest.param(new_state(), NOT_STARTED, Decision.WAIT, "failure", id="9: readiness waits for it too"),
    ],
)
def test_3_3_one_check_in_order(state, view, decision, result):
    assert state.check(view, NOW, 0.0) is decision
    assert state.result == result


def test_3_3_row_4_an_instance_older_than_the_agent_keeps_what_its_status_says():
    """The kubelet asks for ten seconds more; here no agent restart makes a Ready pod NotReady (14.1)."""
    for age, result in ((-1, "failure"), (0, "failure"), (1, None), (11, None)):
        state = new_state()
        state.agent_started = NOW + timedelta(seconds=age)
        assert state.check(RUNNING, NOW + timedelta(seconds=20), 0.0) is Decision.PROBE
        assert state.result == result


@pytest.mark.parametrize(
    ("waited", "decision"), [(4.999, Decision.WAIT), (5.0, Decision.PROBE), (5.1, Decision.PROBE)]
)
def test_3_3_the_initial_delay_counts_whole_seconds_of_the_wall_clock(waited, decision):
    state = new_state(LIVENESS, initial_delay_seconds=5)
    assert state.check(RUNNING, NOW + timedelta(seconds=waited), 100.0) is decision


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1)])
def test_3_3_a_stepped_wall_clock_neither_skips_nor_stretches_the_initial_delay(step):
    state = new_state(LIVENESS, initial_delay_seconds=5)
    assert state.check(RUNNING, NOW, 100.0) is Decision.WAIT
    assert state.check(RUNNING, NOW + step, 104.9) is Decision.WAIT
    assert state.check(RUNNING, NOW + step, 105.0) is Decision.PROBE


def account(state: ProbeState, outcomes: str) -> list[str | None]:
    """`+` and `-` one after the other; what is stored after each."""
    stored = []
    for outcome in outcomes:
        state.account("success" if outcome == "+" else "failure")
        stored.append(state.result)
    return stored


def ready_state(kind: ProbeKind, **numbers) -> ProbeState:
    state = new_state(kind, **numbers)
    state.check(NOT_STARTED if kind is STARTUP else RUNNING, NOW, 0.0)
    return state


def test_3_4_liveness_fails_at_the_threshold_and_holds():
    state = ready_state(LIVENESS)
    assert account(state, "--") == ["success", "success"]
    assert not state.on_hold
    assert account(state, "-") == ["failure"]
    assert state.on_hold
    assert state.check(RUNNING, NOW, 0.0) is Decision.WAIT


def test_3_4_a_success_in_between_starts_the_run_again():
    state = ready_state(LIVENESS, failure_threshold=2)
    assert account(state, "-+-+-") == ["success"] * 5
    assert account(state, "-") == ["failure"]


def test_3_4_readiness_needs_its_successes_in_a_row_and_goes_both_ways():
    state = ready_state(READINESS, success_threshold=2, failure_threshold=2)
    assert account(state, "+-++") == ["failure", "failure", "failure", "success"]
    assert account(state, "-+--") == ["success", "success", "success", "failure"]
    assert not state.on_hold


@pytest.mark.parametrize("outcome", ["+", "-"])
def test_3_4_any_stored_startup_result_holds(outcome):
    state = ready_state(STARTUP, failure_threshold=1)
    account(state, outcome)
    assert state.on_hold
    assert state.run == 0


def test_3_4_a_new_container_releases_the_hold_and_begins_again():
    state = ready_state(LIVENESS, failure_threshold=1)
    account(state, "-")
    again = ContainerView("Running", "10.0.0.5", "two", started_at=NOW, started=True)
    assert state.check(again, NOW, 0.0) is Decision.PROBE
    assert (state.container_id, state.result, state.on_hold) == ("two", "success", False)


def test_3_4_the_failure_run_of_readiness_survives_a_restart():
    state = ready_state(READINESS, failure_threshold=3)
    account(state, "+--")
    again = ContainerView("Running", "10.0.0.5", "two", started_at=NOW, started=True)
    state.check(again, NOW, 0.0)
    assert state.result == "failure"
    assert state.run == 2


def test_3_4_the_run_is_reset_by_a_hold():
    state = ready_state(LIVENESS, failure_threshold=2)
    account(state, "--")
    state.check(ContainerView("Running", "", "two", started_at=NOW, started=True), NOW, 0.0)
    assert account(state, "--") == ["success", "failure"]


def test_3_3_what_a_check_sees_of_a_status():
    status = PodStatus(
        phase="Running",
        pod_ip="10.0.0.5",
        init_container_statuses=[
            ContainerStatus(
                name="side",
                container_id="minikubelet://aa",
                started=True,
                state=ContainerState(
                    running=ContainerStateRunning(started_at=NOW + timedelta(microseconds=7))
                ),
            )
        ],
        container_statuses=[
            ContainerStatus(
                name="main",
                container_id="minikubelet://bb",
                state=ContainerState(terminated=ContainerStateTerminated(exit_code=3)),
            ),
            ContainerStatus(name="new"),
        ],
    )
    view = StatusView.of(status)
    assert view.container("side") == ContainerView("Running", "10.0.0.5", "aa", NOW, True, None)
    assert view.container("main") == ContainerView("Running", "10.0.0.5", "bb", None, False, 3)
    assert view.container("new") == view.container("unheard of") == ContainerView("Running", "10.0.0.5")
