"""The scheduler's decisions and words, each filter by itself and all in their order (kubelet-behaviour 7,
and kube-scheduler 1.36).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minikubelet.agent.scheduler.binding import bound, waiting, wants_binding
from minikubelet.agent.scheduler.cycle import schedule
from minikubelet.agent.scheduler.node_info import NodeInfo, PlacedPod
from minikubelet.agent.scheduler.taints import seconds_to_stay
from minikubelet.v1 import Pod, Taint, from_dict

from .nodes import make_node, make_pod

NOW = datetime(2026, 11, 28, 17, 0, tzinfo=UTC)
NO_NODE = "0/1 nodes are available:"
CLAIMS = "no new claims to deallocate, preemption:"
NOT_HELPFUL = f"{CLAIMS} {NO_NODE} 1 Preemption is not helpful for scheduling."
NO_VICTIMS = f"{CLAIMS} {NO_NODE} 1 No preemption victims found for incoming pod."
SELECTOR_TEXT = "1 node(s) didn't match Pod's node affinity/selector"
TAINT_TEXT = "1 node(s) had untolerated taint(s)"
SPREAD_TEXT = "1 node(s) didn't match pod topology spread constraints"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
HOST = "kubernetes.io/hostname"


def node_terms(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}}


def labels_are(key: str, operator: str, *values: str) -> dict[str, Any]:
    return node_terms({"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]})


def near(kind: str, **term: Any) -> dict[str, Any]:
    """`kind` is podAffinity or podAntiAffinity."""
    return {"affinity": {kind: {REQUIRED: [{"topologyKey": HOST, **term}]}}}


def app(value: str) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": value}}}


# nodeSelector and node affinity


@pytest.mark.parametrize(
    ("wish", "fits"),
    [
        pytest.param({"nodeSelector": {"disk": "ssd"}}, True, id="selector"),
        pytest.param({"nodeSelector": {"disk": "ssd", "gpu": "yes"}}, False, id="selector: all of it"),
        pytest.param(labels_are("disk", "In", "hdd", "ssd"), True, id="In"),
        pytest.param(labels_are("gpu", "In", "yes"), False, id="In: no such label"),
        pytest.param(labels_are("disk", "NotIn", "ssd"), False, id="NotIn"),
        pytest.param(labels_are("gpu", "NotIn", "yes"), True, id="NotIn: no such label"),
        pytest.param(labels_are("disk", "Exists"), True, id="Exists"),
        pytest.param(labels_are("gpu", "Exists"), False, id="Exists: it does not"),
        pytest.param(labels_are("gpu", "DoesNotExist"), True, id="DoesNotExist"),
        pytest.param(labels_are("disk", "DoesNotExist"), False, id="DoesNotExist: it does"),
        pytest.param(labels_are("cores", "Gt", "3"), True, id="Gt"),
        pytest.param(labels_are("cores", "Gt", "4"), False, id="Gt: equal"),
        pytest.param(labels_are("cores", "Lt", "10"), True, id="Lt: as numbers, not as texts"),
        pytest.param(labels_are("disk", "Lt", "10"), False, id="Lt: no number"),
        pytest.param(labels_are("gpu", "Gt", "1"), False, id="Gt: no such label"),
        pytest.param(node_terms({}), False, id="an empty term matches nothing"),
        pytest.param(node_terms(), False, id="no term matches nothing"),
        pytest.param(
            node_terms(
                {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]},
                {"matchExpressions": [{"key": "disk", "operator": "Exists"}]},
            ),
            True,
            id="one term is enough",
        ),
        pytest.param(
            node_terms(
                {
                    "matchExpressions": [
                        {"key": "gpu", "operator": "Exists"},
                        {"key": "disk", "operator": "Exists"},
                    ]
                }
            ),
            False,
            id="all expressions of a term",
        ),
        pytest.param(
            node_terms({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node1"]}]}),
            True,
            id="matchFields: this node",
        ),
        pytest.param(
            node_terms({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node1"]}]}),
            False,
            id="matchFields: not this node",
        ),
        pytest.param(
            {
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 1, "preference": {"matchExpressions": [
                                {"key": "gpu", "operator": "Exists"}]}}
                        ]
                    }
                }
            },
            True,
            id="a preference has no say",
        ),
    ],
)  # fmt: skip
def test_node_selector_and_node_affinity(wish: dict[str, Any], fits: bool) -> None:
    outcome = schedule(make_pod(**wish), make_node())
    assert outcome.fits is fits
    if not fits:
        assert outcome.message == f"{NO_NODE} {SELECTOR_TEXT}. {NOT_HELPFUL}"


def test_affinity_to_another_node_by_name_has_words_of_its_own() -> None:
    field = {"key": "metadata.name", "operator": "In", "values": ["node2"]}
    elsewhere = schedule(make_pod(**node_terms({"matchFields": [field]})), make_node())
    text = "1 node(s) didn't satisfy plugin(s) [NodeAffinity]"
    assert elsewhere.message == f"{NO_NODE} {text}. {NOT_HELPFUL}"
    other = field | {"values": ["node1"]}
    nowhere = schedule(make_pod(**node_terms({"matchFields": [field, other]})), make_node())
    assert nowhere.message == f"{NO_NODE} pod affinity terms conflict. {NOT_HELPFUL}"


# Taints


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        pytest.param({"key": "for", "operator": "Equal", "value": "db"}, True, id="equal"),
        pytest.param({"key": "for", "value": "db"}, True, id="Equal is the default; no effect: any"),
        pytest.param({"key": "for", "value": "web"}, False, id="another value"),
        pytest.param({"key": "for", "operator": "Exists"}, True, id="Exists"),
        pytest.param({"operator": "Exists"}, True, id="everything"),
        pytest.param({"key": "for", "operator": "Exists", "effect": "NoExecute"}, False, id="another effect"),
        pytest.param({"key": "to", "operator": "Exists"}, False, id="another key"),
    ],
)  # fmt: skip
def test_tolerations_7_3(toleration: dict[str, str], fits: bool) -> None:
    node = make_node(taints=[{"key": "for", "value": "db", "effect": "NoSchedule"}])
    outcome = schedule(make_pod(tolerations=[toleration]), node)
    assert outcome.fits is fits
    if not fits:
        assert outcome.message == f"{NO_NODE} {TAINT_TEXT}. {NOT_HELPFUL}"


@pytest.mark.parametrize(
    ("effect", "fits"), [("NoSchedule", False), ("NoExecute", False), ("PreferNoSchedule", True)]
)
def test_effects_of_taints_7_3(effect: str, fits: bool) -> None:
    assert schedule(make_pod(), make_node(taints=[{"key": "x", "effect": effect}])).fits is fits


def test_a_cordoned_node_takes_nobody_who_does_not_tolerate_that() -> None:
    node = make_node(unschedulable=True)
    assert schedule(make_pod(), node).message == f"{NO_NODE} 1 node(s) were unschedulable. {NOT_HELPFUL}"
    toleration = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}
    assert schedule(make_pod(tolerations=[toleration]), node).fits


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        pytest.param([], 0.0, id="not tolerated"),
        pytest.param([{"operator": "Exists"}], None, id="for ever"),
        pytest.param([{"key": "a", "operator": "Exists"}], 0.0, id="one of two"),
        pytest.param([{"operator": "Exists", "tolerationSeconds": 60}], 60.0, id="for a minute"),
        pytest.param(
            [
                {"key": "a", "operator": "Exists", "tolerationSeconds": 60},
                {"key": "b", "operator": "Exists", "tolerationSeconds": 20},
            ],
            20.0,
            id="the shortest",
        ),
        pytest.param(
            [{"key": "a", "operator": "Exists", "tolerationSeconds": 60}, {"operator": "Exists"}],
            60.0,
            id="of two for one taint the first",
        ),
        pytest.param([{"operator": "Exists", "tolerationSeconds": -5}], 0.0, id="negative: not at all"),
    ],
)
def test_how_long_a_pod_may_stay_7_3(tolerations: list[dict[str, Any]], seconds: float | None) -> None:
    taints = [
        {"key": "a", "effect": "NoExecute"},
        {"key": "b", "effect": "NoExecute"},
        {"key": "c", "effect": "NoSchedule"},
    ]
    pod = make_pod(tolerations=tolerations)
    assert seconds_to_stay(pod, [from_dict(Taint, taint) for taint in taints]) == seconds


# Resources


def test_everything_that_lacks_is_named_in_the_order_of_the_texts() -> None:
    full = make_node(*(make_pod(f"p{n}", requests={"cpu": "400m"}) for n in range(10)))
    outcome = schedule(make_pod(requests={"cpu": "1", "memory": "100Mi"}), full)
    assert outcome.message == f"{NO_NODE} 1 Insufficient cpu, 1 Too many pods. {NO_VICTIMS}"


def test_more_than_the_whole_node_has_is_not_helped_by_preemption() -> None:
    outcome = schedule(make_pod(requests={"cpu": "5"}), make_node())
    assert outcome.message == f"{NO_NODE} 1 Insufficient cpu. {NOT_HELPFUL}"


def test_an_extended_resource_that_the_node_has_not() -> None:
    outcome = schedule(make_pod(requests={"example.com/gpu": "1"}), make_node())
    assert outcome.message == f"{NO_NODE} 1 Insufficient example.com/gpu. {NOT_HELPFUL}"


def test_the_first_filter_that_says_no_ends_the_search() -> None:
    node = make_node(taints=[{"key": "x", "effect": "NoSchedule"}])
    outcome = schedule(make_pod(requests={"cpu": "5"}, nodeSelector={"gpu": "yes"}), node)
    assert outcome.message == f"{NO_NODE} {TAINT_TEXT}. {NOT_HELPFUL}"


def serving(name: str, **port: Any) -> Pod:
    ports = [{"containerPort": 80, "protocol": "TCP", **port}]
    return make_pod(name, containers=[{"name": "c", "image": "localhost/host", "ports": ports}])


@pytest.mark.parametrize(
    ("taken", "wanted", "fits"),
    [
        pytest.param({"hostPort": 8080}, {"hostPort": 8080}, False, id="the same"),
        pytest.param({"hostPort": 8080}, {"hostPort": 8081}, True, id="another"),
        pytest.param({"hostPort": 8080}, {"hostPort": 8080, "protocol": "UDP"}, True, id="protocol"),
        pytest.param({"hostPort": 80, "hostIP": "127.0.0.1"}, {"hostPort": 80}, False, id="all addresses"),
        pytest.param(
            {"hostPort": 80, "hostIP": "127.0.0.1"}, {"hostPort": 80, "hostIP": "10.0.0.1"}, True, id="two"
        ),
        pytest.param({}, {}, True, id="container ports are the pod's own"),
    ],
)
def test_host_ports(taken: dict[str, Any], wanted: dict[str, Any], fits: bool) -> None:
    outcome = schedule(serving("new", **wanted), make_node(serving("old", **taken)))
    text = "1 node(s) didn't have free ports for the requested pod ports"
    assert outcome.message == ("" if fits else f"{NO_NODE} {text}. {NO_VICTIMS}")


# Pods among pods

WEB = make_pod("web", {"app": "web"})
OTHER_SPACE = make_pod("far", {"app": "web"}, namespace="prod")
SPACES = {"default": {"name": "default"}, "prod": {"stage": "prod"}}


@pytest.mark.parametrize(
    ("pod", "others", "text"),
    [
        pytest.param(make_pod(**near("podAffinity", **app("web"))), [WEB], "", id="beside it"),
        pytest.param(make_pod(**near("podAffinity", **app("web"))), [], "affinity", id="nobody to be with"),
        pytest.param(
            make_pod(labels={"app": "web"}, **near("podAffinity", **app("web"))),
            [],
            "",
            id="the first of a series that wants to be together",
        ),
        pytest.param(
            make_pod(**near("podAffinity", **app("web"))), [OTHER_SPACE], "affinity", id="own namespace only"
        ),
        pytest.param(
            make_pod(**near("podAffinity", namespaces=["prod"], **app("web"))), [OTHER_SPACE], "", id="named"
        ),
        pytest.param(
            make_pod(**near("podAffinity", namespaceSelector={}, **app("web"))),
            [OTHER_SPACE],
            "",
            id="an empty namespaceSelector means all",
        ),
        pytest.param(
            make_pod(
                **near("podAffinity", namespaceSelector={"matchLabels": {"stage": "prod"}}, **app("web"))
            ),
            [WEB],
            "affinity",
            id="namespaceSelector",
        ),
        pytest.param(make_pod(**near("podAffinity")), [WEB], "affinity", id="no selector means nobody"),
        pytest.param(
            make_pod(labels={"app": "web"}, **near("podAffinity", topologyKey="zone", **app("web"))),
            [WEB],
            "affinity",
            id="the node is in no such domain",
        ),
        pytest.param(
            make_pod(**near("podAntiAffinity", **app("web"))), [WEB], "anti-affinity", id="not beside it"
        ),
        pytest.param(make_pod(**near("podAntiAffinity", **app("web"))), [OTHER_SPACE], "", id="far away"),
        pytest.param(
            make_pod(labels={"app": "web"}, **near("podAntiAffinity", **app("web"))),
            [],
            "",
            id="it does not mind itself",
        ),
        pytest.param(
            make_pod(**near("podAntiAffinity", topologyKey="zone", **app("web"))),
            [WEB],
            "",
            id="no domain, nobody in it",
        ),
        pytest.param(
            make_pod(labels={"app": "new"}),
            [make_pod("old", **near("podAntiAffinity", **app("new")))],
            "existing",
            id="one that is here minds the new one",
        ),
    ],
)
def test_pod_affinity(pod: Pod, others: list[Pod], text: str) -> None:
    texts = {
        "affinity": "1 node(s) didn't match pod affinity rules",
        "anti-affinity": "1 node(s) didn't match pod anti-affinity rules",
        "existing": "1 node(s) didn't satisfy existing pods anti-affinity rules",
    }
    outcome = schedule(pod, make_node(*others, namespaces=SPACES))
    end = NOT_HELPFUL if text == "affinity" else NO_VICTIMS
    assert outcome.message == (f"{NO_NODE} {texts[text]}. {end}" if text else "")


@pytest.mark.parametrize(
    ("constraint", "others", "text"),
    [
        pytest.param({}, [WEB, WEB], "", id="one domain is its own emptiest"),
        pytest.param({"minDomains": 2}, [], "", id="two wanted: a skew of 1 is fine"),
        pytest.param({"minDomains": 2}, [WEB], SPREAD_TEXT, id="two wanted: 2 − 0 is too much"),
        pytest.param({"minDomains": 2, "maxSkew": 2}, [WEB], "", id="but not for maxSkew 2"),
        pytest.param({"minDomains": 2}, [OTHER_SPACE], "", id="other namespaces do not count"),
        pytest.param(
            {"minDomains": 2},
            [make_pod("going", {"app": "web"}, deletionTimestamp="2026-11-28T00:00:00Z")],
            "",
            id="nor does one that is ending",
        ),
        pytest.param({"topologyKey": "zone"}, [], f"{SPREAD_TEXT} (missing required label)", id="no key"),
        pytest.param({"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}, [], "", id="soft"),
    ],
)
def test_topology_spread(constraint: dict[str, Any], others: list[Pod], text: str) -> None:
    whole = {"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule", **app("web")}
    pod = make_pod(labels={"app": "web"}, topologySpreadConstraints=[whole | constraint])
    outcome = schedule(pod, make_node(*others))
    end = NOT_HELPFUL if "missing" in text else NO_VICTIMS
    assert outcome.message == (f"{NO_NODE} {text}. {end}" if text else "")


# Preemption


def victims(pod: Pod, node: NodeInfo) -> list[str | None]:
    return [victim.metadata and victim.metadata.name for victim in schedule(pod, node).victims]


BIG = {"requests": {"cpu": "2"}}


def test_less_important_pods_make_room_and_no_more_of_them_than_needed() -> None:
    late, early = "2026-11-28T10:00:00Z", "2026-11-28T09:00:00Z"
    node = make_node(
        make_pod("old", **BIG, priority=5, status={"startTime": early}),
        make_pod("young", **BIG, priority=5, status={"startTime": late}),
    )
    important = make_pod(**BIG, priority=10)
    assert victims(important, node) == ["young"]
    assert schedule(important, node).message == f"{NO_NODE} 1 Insufficient cpu."
    assert victims(make_pod(requests={"cpu": "4"}, priority=10), node) == ["old", "young"]
    assert victims(make_pod(**BIG, priority=5), node) == []


def test_the_least_important_goes_first() -> None:
    node = make_node(make_pod("low", **BIG, priority=1), make_pod("middle", **BIG, priority=5))
    assert victims(make_pod(**BIG, priority=10), node) == ["low"]


def test_preemption_that_does_not_help() -> None:
    node = make_node(make_pod("static", **BIG, annotations={"kubernetes.io/config.source": "file"}))
    pod = make_pod(requests={"cpu": "3"}, priority=10)
    assert schedule(pod, node).message == f"{NO_NODE} 1 Insufficient cpu. {NO_VICTIMS}"
    node = make_node(make_pod("low", requests={"cpu": "1"}), make_pod("high", **BIG, priority=20))
    text = f"{CLAIMS} {NO_NODE} 1 Insufficient cpu."
    assert schedule(pod, node).message == f"{NO_NODE} 1 Insufficient cpu. {text}"
    polite = make_pod(requests={"cpu": "3"}, priority=10, preemptionPolicy="Never")
    text = f"{CLAIMS} not eligible due to preemptionPolicy=Never."
    assert schedule(polite, node).message == f"{NO_NODE} 1 Insufficient cpu. {text}"


def test_while_victims_are_ending_nobody_else_is_chosen() -> None:
    ending = make_pod("ending", **BIG, deletionTimestamp="2026-11-28T00:00:00Z")
    pod = make_pod(requests={"cpu": "3"}, priority=10, status={"nominatedNodeName": "node1"})
    text = f"{CLAIMS} not eligible due to a terminating pod on the nominated node."
    assert schedule(pod, make_node(ending)).message == f"{NO_NODE} 1 Insufficient cpu. {text}"


def test_the_room_of_a_nominated_pod_is_taken() -> None:
    coming = PlacedPod.of(make_pod("coming", requests={"cpu": "3"}, priority=10))
    assert not schedule(make_pod(**BIG), make_node(), [coming]).fits
    with_it = make_pod(**near("podAffinity", **app("web")))
    web = PlacedPod.of(make_pod("web", {"app": "web"}, priority=10))
    assert not schedule(with_it, make_node(), [web]).fits, "it may never come"


# What is written


def test_waiting_is_said_once_and_binding_takes_it_back() -> None:
    new: dict[str, Any] = {"metadata": {"generation": 1}, "spec": {}, "status": {"phase": "Pending"}}
    told = waiting(new, "no room", NOW, "node1")
    (condition,) = told["status"]["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert told["status"]["nominatedNodeName"] == "node1"
    assert waiting(told, "no room", NOW) is told
    assert waiting(told, "less room", NOW) is not told
    assert wants_binding(told)
    taken = bound(told, "node1", NOW)
    assert [c["status"] for c in taken["status"]["conditions"]] == ["True"]
    assert "nominatedNodeName" not in taken["status"]
    assert not wants_binding(taken)


@pytest.mark.parametrize(
    "spec", [{"nodeName": "node1"}, {"schedulingGates": [{"name": "wait"}]}], ids=["bound", "gated"]
)
def test_who_is_left_alone(spec: dict[str, Any]) -> None:
    assert not wants_binding({"metadata": {}, "spec": spec})
    assert not wants_binding({"metadata": {"deletionTimestamp": "2026-11-28T00:00:00Z"}, "spec": {}})
