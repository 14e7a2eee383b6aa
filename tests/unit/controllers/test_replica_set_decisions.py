"""How many pods a ReplicaSet makes, which it deletes, what it shows."""

from __future__ import annotations

import pytest

from minikubelet.controllers.pod_control import pod_from
from minikubelet.controllers.pod_state import to_spare
from minikubelet.controllers.replica_sets import decide, seconds_to_availability, status_of
from tests.unit.controllers.objects import NOW, at, pod, replica_set, stamp


def names(pods):
    return [one["metadata"]["name"] for one in pods]


def test_what_is_missing_is_made_and_what_is_too_much_goes():
    pods = [pod("a"), pod("b")]
    assert decide(replica_set(3), pods, pods, NOW).create == 1
    assert decide(replica_set(2), pods, pods, NOW) == decide(replica_set(2), pods, [], NOW)
    assert len(decide(replica_set(0), pods, pods, NOW).delete) == 2


def test_one_that_is_being_deleted_does_nothing():
    going = replica_set(3)
    going["metadata"]["deletionTimestamp"] = stamp(0)
    assert decide(going, [], [], NOW).create == 0


def restarted(name, count):
    made = pod(name, ready=-50)
    made["status"]["containerStatuses"] = [{"restartCount": count}]
    return made


@pytest.mark.parametrize(
    ("first", "other"),
    [
        pytest.param(pod("b", node=""), pod("a", "Pending"), id="not bound to a node"),
        pytest.param(pod("b", "Pending"), pod("a"), id="pending before running"),
        pytest.param(pod("b", "Unknown"), pod("a"), id="unknown before running"),
        pytest.param(pod("b"), pod("a", ready=-1), id="not ready"),
        pytest.param(
            pod("b", ready=-9999, annotations={"controller.kubernetes.io/pod-deletion-cost": "-1"}),
            pod("a", ready=-1),
            id="cheaper",
        ),
        pytest.param(pod("b", ready=-1), pod("a", ready=-1000), id="ready for a much shorter time"),
        pytest.param(restarted("b", 2), restarted("a", 1), id="restarted more often"),
        pytest.param(
            pod("b", creationTimestamp=stamp(-1)), pod("a", creationTimestamp=stamp(-1000)), id="much younger"
        ),
        pytest.param(pod("a", ready=-1000), pod("b", ready=-1001), id="about as old: by uid"),
    ],
)
def test_who_goes_first(first, other):
    both = [other, first]
    assert to_spare(both, both, 1, NOW) == [first]


def test_a_deletion_cost_that_is_no_number_is_none():
    odd = pod("a", ready=-10, annotations={"controller.kubernetes.io/pod-deletion-cost": "cheap"})
    assert names(to_spare([odd, pod("b", ready=-10)], [], 1, NOW)) == ["a"]


def test_the_status_counts():
    pods = [pod("a", ready=-10), pod("b", ready=-1), pod("c", labels={"app": "other"})]
    status = status_of(replica_set(3, minReadySeconds=5), pods, 2, None, NOW)
    assert status == {
        "replicas": 3,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 2,
        "observedGeneration": 1,
    }
    assert seconds_to_availability(pods, 5, NOW) == 4
    assert status_of(replica_set(3, minReadySeconds=5), pods, 0, None, at(4))["availableReplicas"] == 2
    assert seconds_to_availability(pods, 0, NOW) is None


def test_a_failure_is_a_condition_until_it_is_over():
    failure = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": stamp(0), "reason": "x"}
    shown = status_of(replica_set(), [], 0, failure, NOW)
    assert shown["conditions"] == [failure]
    later = {**replica_set(), "status": shown}
    again = status_of(later, [], 0, {**failure, "lastTransitionTime": stamp(9)}, at(9))
    assert again["conditions"] == [failure]
    assert "conditions" not in status_of(later, [], 0, None, at(9))


def test_a_pod_is_what_the_template_says():
    owner = replica_set()
    made = pod_from(owner["spec"]["template"], owner)
    assert made["metadata"]["generateName"] == "web-1-"
    assert made["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "web-1",
            "uid": "r",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    made["spec"]["containers"].clear()
    assert owner["spec"]["template"]["spec"]["containers"]
