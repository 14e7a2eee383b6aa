"""What is done for a pod, as tables: the specification of a pod's life that can be read without the code.

A decision is written `start a b` / `init one` / `kill web: message` / `kill pod` / `sandbox #1`.
"""

import pytest

from minikubelet.agent.pod_actions import PodActions, pod_actions
from minikubelet.agent.ports import ContainerProbeResults
from minikubelet.runtime.cri import SandboxStatus
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

FAILED_LIVENESS = ContainerProbeResults(liveness="failure")
FAILED_STARTUP = ContainerProbeResults(startup="failure")
STARTED = ContainerProbeResults(startup="success")
PROBE = {"exec": {"command": ["true"]}}
SUFFIX = ", will be restarted"


def decide(pod, exists, results=None, old=None) -> str:
    return describe(pod_actions(pod, exists, results or {}, old or status()))


def describe(actions: PodActions) -> str:
    words = []
    if actions.kill_pod:
        words.append("kill pod")
    if actions.create_sandbox:
        words.append(f"sandbox #{actions.attempt}")
    words += [f"kill {kill.container.name}: {kill.message}" for kill in actions.to_kill]
    words += [f"init {container.name}" for container in actions.init_to_start]
    if actions.to_start:
        words.append("start " + " ".join(container.name for container in actions.to_start))
    assert actions.nothing is (not words)
    return "; ".join(words)


OLD_SANDBOX = SandboxStatus("s9", 0, False, 900.0)
NOT_READY = SandboxStatus("s0", 0, False, 1000.0)
SECOND = SandboxStatus("s1", 1, True, 1100.0, "10.244.0.3")
NO_ADDRESS = SandboxStatus("s0", 0, True, 1000.0, "")
ON_HOST = SandboxStatus("s0", 0, True, 1000.0, "", host_network=True)


@pytest.mark.parametrize(
    ("policy", "exists", "decision"),
    [
        pytest.param("Always", NOTHING, "kill pod; sandbox #0; start a b", id="none exists"),
        pytest.param(
            "Always",
            observed(exited("a"), exited("b"), sandboxes=(NOT_READY,)),
            "kill pod; sandbox #1; start a b",
            id="not ready",
        ),
        pytest.param(
            "Always",
            observed(running("a"), running("b"), sandboxes=(SECOND, SANDBOX)),
            "kill pod; sandbox #2; start a b",
            id="more than one ready",
        ),
        pytest.param(
            "Always",
            observed(running("a"), running("b"), sandboxes=(SANDBOX, OLD_SANDBOX)),
            "",
            id="an old one that is not ready does not matter",
        ),
        pytest.param(
            "Always",
            observed(running("a"), sandboxes=(NO_ADDRESS,)),
            "kill pod; sandbox #1; start a b",
            id="no address",
        ),
        pytest.param(
            "Always",
            observed(running("a"), sandboxes=(ON_HOST,)),
            "kill pod; sandbox #1; start a b",
            id="wrong network mode",
        ),
        pytest.param(
            "Never",
            observed(exited("a", 255), exited("b", 255), sandboxes=(NOT_READY,)),
            "kill pod",
            id="Never, and something ran before",
        ),
        pytest.param(
            "Never",
            observed(sandboxes=(NOT_READY,)),
            "kill pod; sandbox #1; start a b",
            id="Never, nothing ran",
        ),
        pytest.param(
            "OnFailure",
            observed(exited("a"), exited("b", 255), sandboxes=(NOT_READY,)),
            "kill pod; sandbox #1; start b",
            id="OnFailure leaves out what succeeded",
        ),
        pytest.param(
            "OnFailure",
            observed(exited("a"), exited("b"), sandboxes=(NOT_READY,)),
            "kill pod",
            id="OnFailure, all succeeded",
        ),
    ],
)
def test_sandbox_2_6(policy, exists, decision):
    assert decide(make_pod("a", "b", policy=policy), exists) == decision


def test_a_host_network_sandbox_needs_no_address():
    pod = make_pod("a", hostNetwork=True)
    assert decide(pod, observed(running("a"), sandboxes=(ON_HOST,))) == ""
    assert decide(pod, observed(running("a"))) == "kill pod; sandbox #1; start a"


def test_a_new_sandbox_begins_with_the_first_init_container():
    pod = make_pod("web", init=["one", "two"])
    exists = observed(running(), exited("two"), exited("one"), sandboxes=(NOT_READY,))
    assert decide(pod, exists) == "kill pod; sandbox #1; init one"


def test_after_a_reboot_the_status_tells_that_a_never_pod_ran():
    old = status(
        containerStatuses=[{"name": "web", "containerID": "minikubelet://1", "state": {"running": {}}}]
    )
    assert decide(make_pod("web", policy="Never"), NOTHING, old=old) == "kill pod"
    assert decide(make_pod("web"), NOTHING, old=old) == "kill pod; sandbox #1; start web"


@pytest.mark.parametrize(
    ("policy", "exists", "decision"),
    [
        pytest.param("Always", observed(), "start a b", id="nothing started yet"),
        pytest.param("Always", observed(running("a")), "start b", id="one is missing"),
        pytest.param("Always", observed(running("a"), running("b")), "", id="all is well"),
        pytest.param("Always", observed(running("a"), exited("b")), "start b", id="exit 0 under Always"),
        pytest.param("Always", observed(running("a"), created("b")), "start b", id="created, never ran"),
        pytest.param(
            "Always",
            observed(running("a"), unknown("b")),
            'kill b: Container is in "unknown" state, try killing it before restart; start b',
            id="unknown state: killed first",
        ),
        pytest.param("OnFailure", observed(running("a"), exited("b")), "", id="exit 0 under OnFailure"),
        pytest.param(
            "OnFailure", observed(running("a"), exited("b", 1)), "start b", id="exit 1 under OnFailure"
        ),
        pytest.param("Never", observed(running("a"), exited("b", 1)), "", id="exit 1 under Never"),
        pytest.param(
            "Never", observed(exited("a"), exited("b", 1)), "kill pod", id="nothing runs, nothing will"
        ),
        pytest.param("OnFailure", observed(exited("a"), exited("b")), "kill pod", id="all succeeded"),
        pytest.param(
            "Always",
            observed(running("a"), running("b", attempt=1), exited("b", 1)),
            "",
            id="the newest instance counts",
        ),
    ],
)
def test_regular_containers_2_1(policy, exists, decision):
    assert decide(make_pod("a", "b", policy=policy), exists) == decision


@pytest.mark.parametrize(
    ("policy", "result", "suffix", "start"),
    [
        ("Always", FAILED_LIVENESS, SUFFIX, "; start b"),
        ("OnFailure", FAILED_LIVENESS, SUFFIX, "; start b"),
        ("Never", FAILED_LIVENESS, "", ""),
    ],
)
def test_a_failed_liveness_probe_2_2(policy, result, suffix, start):
    pod = make_pod("a", "b", policy=policy)
    decision = decide(pod, observed(running("a"), running("b")), {"b-0": result})
    assert decision == f"kill b: Container b failed liveness probe{suffix}{start}"


@pytest.mark.parametrize(
    ("instance", "result", "message"),
    [
        pytest.param(running("b"), FAILED_STARTUP, "failed startup probe", id="startup"),
        pytest.param(
            running("b"),
            ContainerProbeResults(liveness="failure", startup="failure"),
            "failed liveness probe",
            id="liveness is looked at first",
        ),
        pytest.param(
            running("b", hash="other"),
            FAILED_LIVENESS,
            "definition changed",
            id="and the definition before both",
        ),
    ],
)
def test_what_kills_a_running_container_2_2(instance, result, message):
    decision = decide(make_pod("a", "b"), observed(running("a"), instance), {"b-0": result})
    assert decision == f"kill b: Container b {message}, will be restarted; start b"


def test_a_changed_definition_restarts_even_under_never():
    decision = decide(make_pod("web", policy="Never"), observed(running(hash="other")))
    assert decision == "kill web: Container web definition changed, will be restarted; start web"


def test_a_result_of_a_former_instance_kills_nobody():
    assert decide(make_pod("web"), observed(running(attempt=1)), {"web-0": FAILED_LIVENESS}) == ""


def test_readiness_never_kills():
    result = {"web-0": ContainerProbeResults(readiness="failure")}
    assert decide(make_pod("web"), observed(running()), result) == ""


@pytest.mark.parametrize(
    ("policy", "exists", "decision"),
    [
        pytest.param("Always", observed(), "init one", id="begins with the first"),
        pytest.param("Always", observed(running("one")), "", id="waits for it"),
        pytest.param("Always", observed(exited("one")), "init two", id="the next after exit 0"),
        pytest.param("Always", observed(running("two"), exited("one")), "", id="one at a time"),
        pytest.param(
            "Always", observed(exited("two"), exited("one")), "start a b", id="after the last, all at once"
        ),
        pytest.param("Always", observed(exited("two")), "start a b", id="only the last status is needed"),
        pytest.param("Always", observed(exited("one", 1)), "init one", id="Always retries a failure"),
        pytest.param("OnFailure", observed(exited("one", 1)), "init one", id="OnFailure too"),
        pytest.param("Never", observed(exited("one", 1)), "kill pod", id="Never does not"),
        pytest.param(
            "Always",
            observed(exited("one", 0, reason="OOMKilled")),
            "init one",
            id="an OOM kill is a failure",
        ),
        pytest.param("Always", observed(created("one")), "init one", id="created, never ran"),
        pytest.param(
            "Always",
            observed(unknown("one")),
            'kill one: Init container is in "unknown" state, try killing it before restart; init one',
            id="unknown",
        ),
        pytest.param(
            "Always",
            observed(running("a"), running("b"), exited("two"), exited("one", 1)),
            "",
            id="once initialised nobody looks back",
        ),
        pytest.param(
            "Always",
            observed(running("a"), exited("b", 1)),
            "start b",
            id="initialised, though records are gone",
        ),
    ],
)
def test_init_containers_2_4(policy, exists, decision):
    assert decide(make_pod("a", "b", init=["one", "two"], policy=policy), exists) == decision


@pytest.mark.parametrize(
    ("exists", "results", "decision"),
    [
        pytest.param(observed(), {}, "init proxy", id="in its turn"),
        pytest.param(observed(running("proxy")), {}, "", id="startup not known yet: wait"),
        pytest.param(observed(running("proxy")), {"proxy-0": STARTED}, "init one", id="started: the next"),
        pytest.param(
            observed(running("proxy")),
            {"proxy-0": ContainerProbeResults(startup="success", readiness="failure")},
            "init one",
            id="readiness does not gate",
        ),
        pytest.param(
            observed(running("proxy")),
            {"proxy-0": FAILED_STARTUP},
            "kill proxy: Init container proxy failed startup probe; init proxy",
            id="startup failed; no suffix",
        ),
        pytest.param(
            observed(running("proxy")),
            {"proxy-0": ContainerProbeResults(startup="success", liveness="failure")},
            "kill proxy: Init container proxy failed liveness probe; init proxy; init one",
            id="liveness failed; the next one starts all the same",
        ),
        pytest.param(observed(exited("proxy")), {}, "init proxy", id="exit 0 restarts it"),
        pytest.param(
            observed(running("one"), exited("proxy", 1)),
            {},
            "init proxy",
            id="while a later init container runs",
        ),
        pytest.param(
            observed(running("web"), exited("one"), exited("proxy", 1)),
            {},
            "init proxy",
            id="while regular containers run",
        ),
        pytest.param(observed(running("web"), exited("one")), {}, "init proxy", id="its record is gone"),
        pytest.param(
            observed(exited("web"), exited("one"), exited("proxy")),
            {},
            "kill pod",
            id="the pod is done: not restarted",
        ),
        pytest.param(
            observed(exited("web"), exited("one"), running("proxy")),
            {},
            "kill pod",
            id="it keeps no pod alive",
        ),
        pytest.param(
            observed(running("web"), exited("one"), running("proxy", hash="other")),
            {"proxy-0": STARTED},
            "kill proxy: Init container proxy definition changed; init proxy",
            id="definition changed",
        ),
    ],
)
def test_sidecars_2_5(exists, results, decision):
    pod = make_pod("web", init=[sidecar("proxy", startupProbe=PROBE), "one"], policy="Never")
    assert decide(pod, exists, results) == decision


def test_a_sidecar_as_the_last_init_container_lets_regular_ones_start():
    pod = make_pod("web", init=["one", sidecar("proxy")])
    assert decide(pod, observed(exited("one"))) == "init proxy"
    assert decide(pod, observed(running("proxy"), exited("one"))) == "start web"
