"""In-place resize, the decisions (kubelet-behaviour 6.12, 2.2): tables."""

from __future__ import annotations

from mmap import PAGESIZE
from typing import Any

import pytest

from minikubelet.agent.allocation import allocation_of, as_json, from_json, with_allocation
from minikubelet.agent.pod_actions import pod_actions
from minikubelet.agent.resize import (
    ContainerResize,
    ContainerStep,
    PodStep,
    Verdict,
    Waiting,
    event_message,
    in_order,
    joined,
    memory_errors,
    resize_of,
    steps,
    verdict,
)
from minikubelet.runtime.cri import PodCgroup
from minikubelet.runtime.memory_qos import MemoryQoS
from minikubelet.runtime.resources import Enforcement
from minikubelet.v1 import Pod, PodStatus, ResourceRequirements, from_dict
from tests.unit.agent.pods import container, make_pod, observed, running, sidecar

MI = 1 << 20
NODE = {"cpu": 4000, "memory": 4096 * MI}
RESTART = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]


def amounts(request: str = "100m/64Mi", limit: str = "200m/128Mi") -> dict[str, Any]:
    """`cpu/memory`; `-` leaves one out."""
    sides = {}
    for side, text in (("requests", request), ("limits", limit)):
        pairs = zip(("cpu", "memory"), text.split("/"), strict=True)
        sides[side] = {name: amount for name, amount in pairs if amount != "-"}
    return sides


def sized(resources: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "web", "resources": resources, **fields}


def requirements(resources: dict[str, Any]) -> ResourceRequirements:
    return from_dict(ResourceRequirements, resources)


# May it?


@pytest.mark.parametrize(
    ("request_", "more", "expected"),
    [
        pytest.param("1/64Mi", {}, Verdict(), id="it fits"),
        pytest.param(
            "5/64Mi",
            {},
            Verdict("Infeasible", "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000"),
            id="more cpu than the node has",
        ),
        pytest.param(
            "5/5Gi",
            {},
            Verdict(
                "Infeasible",
                "Node didn't have enough capacity: memory, requested: 5368709120, capacity: 4294967296",
            ),
            id="memory is told first",
        ),
        pytest.param(
            "1/64Mi",
            {"rejected": "Node didn't have enough resource: cpu, …"},
            Verdict("Deferred", "Node didn't have enough resource: cpu, …"),
            id="not now",
        ),
        pytest.param(
            "1/64Mi", {"refused": "it cannot", "rejected": "full"}, Verdict("Infeasible", "it cannot"),
            id="the node cannot keep such a limit",
        ),
    ],
)  # fmt: skip
def test_verdict(request_: str, more: dict[str, str], expected: Verdict) -> None:
    granted = make_pod(sized(amounts()))
    desired = make_pod(sized(amounts(request_, "-/-")))
    assert verdict(desired, granted, NODE, rules=Enforcement(), **more) == expected


def test_a_static_pod_is_not_resized() -> None:
    annotations = {"kubernetes.io/config.source": "file"}
    pod = make_pod(sized(amounts()), metadata={"annotations": annotations})
    assert verdict(pod, pod, NODE, rules=Enforcement()) == (
        Verdict("Infeasible", "In-place resize of static-pods is not supported")
    )


@pytest.mark.parametrize(
    ("request_", "policy", "infeasible"),
    [
        pytest.param("100m/96Mi", [], True, id="the share of swap would change"),
        pytest.param("200m/64Mi", [], False, id="cpu has no swap"),
        pytest.param("100m/96Mi", RESTART, False, id="a new container begins without"),
    ],
)
def test_who_uses_swap_keeps_its_memory_request(request_: str, policy: list[Any], infeasible: bool) -> None:
    rules = Enforcement(memory=MemoryQoS(limited_swap=True, capacity=1024 * MI, swap_total=1024 * MI))
    granted = make_pod(sized(amounts(), resizePolicy=policy))
    desired = make_pod(sized(amounts(request_), resizePolicy=policy))
    found = verdict(desired, granted, NODE, rules=rules)
    assert (found.message == "In-place resize of containers with swap is not supported.") is infeasible
    assert verdict(desired, granted, NODE, rules=Enforcement()) == Verdict(), (
        "without swap it does not matter"
    )


def test_who_is_tried_first() -> None:
    granted = make_pod(sized(amounts()))
    more = amounts("200m/64Mi")

    def waits(name: str, resources: dict[str, Any], since: float, **spec: Any) -> Waiting:
        return Waiting(make_pod(sized(resources), metadata={"name": name}, **spec), granted, since)

    both = amounts("300m/300Mi", "300m/300Mi")
    ordered = in_order(
        [
            waits("late", more, 9.0),
            waits("early", more, 1.0),
            waits("guaranteed", both, 9.0),
            waits("important", more, 9.0, priority=10),
            waits("smaller", amounts("50m/32Mi"), 9.0),
        ]
    )
    names = [one.desired.metadata.name for one in ordered if one.desired.metadata]
    assert names == ["smaller", "important", "guaranteed", "early", "late"]


# What a running container lacks


@pytest.mark.parametrize(
    ("applied", "granted", "expected"),
    [
        pytest.param(amounts(), amounts(), (), id="nothing"),
        pytest.param(amounts(), amounts("0.1/65536Ki"), (), id="the same amounts in other words"),
        pytest.param(amounts(), amounts("100m/64Mi", "300m/128Mi"), ("cpu",), id="a cpu limit"),
        pytest.param(amounts(), amounts("150m/64Mi"), ("cpu",), id="a cpu request"),
        pytest.param(amounts(), amounts("100m/65Mi"), ("memory",), id="a memory request"),
        pytest.param(amounts("1/1Mi"), amounts("2/2Mi"), ("memory", "cpu"), id="memory comes first"),
    ],
)
def test_what_differs(applied: dict[str, Any], granted: dict[str, Any], expected: tuple[str, ...]) -> None:
    pod = make_pod(sized(granted))
    assert pod.spec is not None
    assert pod.spec.containers is not None
    found = resize_of(pod, pod.spec.containers[0], running(resources=requirements(applied)))
    assert (found.resources if found else ()) == expected


def test_a_container_without_a_limit_of_its_own_follows_the_pods() -> None:
    pod = make_pod("web", resources={"limits": {"cpu": "2"}})
    assert pod.spec is not None
    assert pod.spec.containers is not None
    newest = running(resources=requirements({"limits": {"cpu": "1"}}))
    found = resize_of(pod, pod.spec.containers[0], newest)
    assert found is not None
    assert found.resources == ("cpu",)


def test_what_nobody_knows_is_left_alone() -> None:
    pod = make_pod(sized(amounts()))
    assert pod.spec is not None
    assert pod.spec.containers is not None
    assert resize_of(pod, pod.spec.containers[0], running()) is None


@pytest.mark.parametrize(
    ("fields", "killed"),
    [
        pytest.param({}, [], id="in place"),
        pytest.param(
            {"resizePolicy": RESTART},
            ["Container web resize requires restart, will be restarted"],
            id="by a restart",
        ),
    ],
)
def test_how_a_container_is_resized_2_2(fields: dict[str, Any], killed: list[str]) -> None:
    applied = requirements(amounts())
    for pod, index in (
        (make_pod(sized(amounts("100m/64Mi", "200m/256Mi"), **fields)), "to_start"),
        (
            make_pod("main", init=[sidecar("web", resources=amounts("100m/64Mi", "200m/256Mi"), **fields)]),
            "init_to_start",
        ),
    ):
        seen = observed(running("web", resources=applied), running("main", resources=requirements({})))
        actions = pod_actions(pod, seen, {}, PodStatus())
        assert [kill.message for kill in actions.to_kill] == killed
        assert [one.name for one in getattr(actions, index)] == ["web" for _ in killed]
        assert [one.container.name for one in actions.to_resize] == ([] if killed else ["web"])
        assert not actions.kill_pod


def test_a_running_init_container_is_resized_in_place() -> None:
    pod = make_pod("main", init=[sized(amounts("100m/64Mi", "200m/256Mi"))])
    actions = pod_actions(pod, observed(running("web", resources=requirements(amounts()))), {}, PodStatus())
    assert [one.container.name for one in actions.to_resize] == ["web"]


# In which order


def moves(cgroup: PodCgroup, *resizes: ContainerResize) -> list[str]:
    """`pod memory.max`, `a memory` …"""
    return [
        f"pod {' '.join(step.files)}"
        if isinstance(step, PodStep)
        else f"{step.resize.container.name} {step.resource}"
        for step in steps(cgroup, resizes)
    ]


def change(name: str, before: str, after: str) -> ContainerResize:
    """Limits, `cpu/memory`."""
    old, new = requirements(amounts("-/-", before)), requirements(amounts("-/-", after))
    return ContainerResize(container(name), name, old, new)


def cgroup(before: str, after: str) -> PodCgroup:
    """`weight cpu memory`; cpu as quota, memory in MiB."""

    def values(text: str) -> dict[str, str]:
        weight, quota, memory = text.split()
        size = memory if memory == "max" else str(int(memory) * MI)
        return {"cpu.weight": weight, "cpu.max": f"{quota} 100000", "memory.max": size}

    return PodCgroup(values(before), values(after))


@pytest.mark.parametrize(
    ("pod", "resizes", "expected"),
    [
        pytest.param(
            cgroup("1 100 64", "2 200 128"),
            [change("a", "1/64Mi", "2/128Mi")],
            ["pod memory.max", "a memory", "pod cpu.max", "pod cpu.weight", "a cpu"],
            id="raising: the pod first",
        ),
        pytest.param(
            cgroup("2 200 128", "1 100 64"),
            [change("a", "2/128Mi", "1/64Mi")],
            ["a memory", "pod memory.max", "a cpu", "pod cpu.max", "pod cpu.weight"],
            id="lowering: containers first",
        ),
        pytest.param(
            cgroup("1 100 192", "1 100 192"),
            [change("a", "1/64Mi", "1/128Mi"), change("b", "1/128Mi", "1/64Mi")],
            ["b memory", "a memory"],
            id="who gives back comes first",
        ),
        pytest.param(
            cgroup("1 max max", "1 100 64"),
            [change("a", "-/-", "1/64Mi")],
            ["a memory", "pod memory.max", "a cpu", "pod cpu.max"],
            id="a first limit is a lowering",
        ),
        pytest.param(cgroup("1 100 64", "1 100 64"), [], [], id="nothing"),
    ],
)
def test_order_of_the_writes(pod: PodCgroup, resizes: list[ContainerResize], expected: list[str]) -> None:
    assert moves(pod, *resizes) == expected


def test_the_kernel_counts_in_pages() -> None:
    assert moves(PodCgroup({"memory.max": str(PAGESIZE)}, {"memory.max": str(PAGESIZE + 1)})) == []


def test_a_limit_that_is_no_longer_wanted_stays() -> None:
    assert moves(PodCgroup({"memory.max": "4096", "cpu.weight": "1"}, {"cpu.weight": "1"})) == []


def test_protection_goes_with_memory() -> None:
    made = PodCgroup({"memory.low": "0"}, {"memory.low": str(MI)})
    assert steps(made, []) == [PodStep(("memory.low",))]
    assert isinstance(steps(made, [change("a", "1/1Mi", "1/2Mi")])[1], ContainerStep)


def test_limits_below_what_is_used_are_not_begun() -> None:
    made = PodCgroup(
        {"memory.max": str(128 * MI)}, {"memory.max": str(64 * MI)}, 100 * MI, {"a": 90 * MI, "b": 10 * MI}
    )
    errors = memory_errors(made, [change("a", "1/64Mi", "1/32Mi"), change("b", "1/64Mi", "1/32Mi")])
    assert joined(errors) == (
        "[attempting to set pod memory limit (67108864) below current usage (104857600), "
        'attempting to set container "a" memory limit (33554432) below current usage (94371840)]'
    )
    assert memory_errors(made, [change("a", "1/64Mi", "1/128Mi")])[1:] == []
    assert joined(["one"]) == "one"


# What is granted, and what is said


def test_a_pod_as_it_was_granted() -> None:
    wanted = make_pod(
        sized(amounts("200m/64Mi")), init=[sized(amounts("2/1Mi"), name="setup")], resources=amounts()
    )
    former = make_pod(
        sized(amounts()), init=[sized(amounts("1/1Mi"), name="setup")], resources=amounts("1/1Mi")
    )
    granted = allocation_of(former)
    made = with_allocation(wanted, granted)
    assert allocation_of(made) == granted
    assert allocation_of(wanted) != granted, "the pod itself is not changed"
    assert made.metadata is wanted.metadata
    assert with_allocation(former, granted) is former
    assert from_json(as_json(granted)) == granted


def test_events_are_printed_as_go_does() -> None:
    pod: Pod = make_pod(
        sized(amounts()), "plain", init=[sidecar("side", resources={"requests": {"cpu": "1"}})]
    )
    assert event_message("started", pod, 2) == (
        'Pod resize started: {"initContainers":[{"name":"side","resources":{"requests":{"cpu":"1"}}}],'
        '"containers":[{"name":"web","resources":{"limits":{"cpu":"200m","memory":"128Mi"},'
        '"requests":{"cpu":"100m","memory":"64Mi"}}},{"name":"plain","resources":{}}],"generation":2}'
    )
    text = event_message("error", make_pod("web"), 3, "no")
    assert text.endswith('"generation":3,"error":"no"}')
