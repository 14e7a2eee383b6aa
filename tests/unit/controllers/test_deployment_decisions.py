"""The steps of a rollout, one by one and as laws that hold at every step."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.controllers.deployments import progress, revisions, scaling
from minikubelet.controllers.deployments.decision import decide
from tests.unit.controllers.objects import NOW, at, deployment


class World:
    """A Deployment with its ReplicaSets, as the other controllers would move them on."""

    def __init__(self, **spec):
        self.deployment = deployment(**spec)
        self.sets = []
        self.running = {}
        self.said = []
        self.now = NOW

    def step(self):
        """One look; whether it changed anything."""
        before = copy.deepcopy((self.deployment, self.sets))
        plan = decide(self.deployment, self.sets, self.running, self.now)
        self.deployment, self.sets = plan.deployment, plan.replica_sets
        if plan.create is not None:
            metadata = plan.create["metadata"]
            metadata |= {"uid": metadata["name"], "generation": 1}
            metadata["creationTimestamp"] = f"2026-01-01T00:00:{len(self.sets):02}Z"
            self.sets.append(plan.create)
        self.sets = [rs for rs in self.sets if rs not in plan.delete]
        self.said += plan.said
        self.again = plan.again
        return before != (self.deployment, self.sets)

    def pods(self, available=None):
        """Every ReplicaSet gets its pods; `available` says how many of each are of use (None: all)."""
        for index, rs in enumerate(self.sets):
            size = rs["spec"]["replicas"]
            good = size if available is None else min(size, available[index % len(available)])
            rs["status"] = {"replicas": size, "readyReplicas": good, "availableReplicas": good}
            rs["status"]["observedGeneration"] = rs["metadata"]["generation"]

    def settle(self):
        for _ in range(100):
            self.pods()
            if not self.step():
                return
        raise AssertionError("the rollout does not end")

    def set_image(self, image):
        self.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image
        self.deployment["metadata"]["generation"] += 1

    def scale(self, replicas):
        self.deployment["spec"]["replicas"] = replicas
        self.deployment["metadata"]["generation"] += 1

    @property
    def sizes(self):
        return [rs["spec"]["replicas"] for rs in self.sets]

    def condition(self, kind):
        return progress.condition(self.deployment["status"], kind)


def rolled_out(**spec):
    world = World(**spec)
    world.settle()
    return world


def test_the_first_replica_set():
    world = World()
    world.step()
    name = world.sets[0]["metadata"]["name"]
    assert world.sizes == [3]
    assert world.said == [f"Scaled up replica set {name} from 0 to 3"]
    metadata = world.sets[0]["metadata"]
    assert metadata["annotations"] == {
        revisions.REVISION: "1",
        revisions.DESIRED: "3",
        revisions.MAXIMUM: "4",
    }
    assert metadata["labels"]["pod-template-hash"] == name.removeprefix("web-")
    assert world.deployment["metadata"]["annotations"] == {revisions.REVISION: "1"}
    assert world.condition("Progressing")["message"] == f'Created new replica set "{name}"'
    assert world.condition("Available")["status"] == "False"
    world.settle()
    assert world.condition("Available")["reason"] == "MinimumReplicasAvailable"
    assert world.condition("Progressing")["message"] == f'ReplicaSet "{name}" has successfully progressed.'
    assert world.deployment["status"]["observedGeneration"] == 1


def test_a_rolling_update_goes_hand_over_hand():
    world = rolled_out()
    world.set_image("b")
    seen = []
    for _ in range(20):
        world.pods()
        if not world.step():
            break
        seen.append(tuple(world.sizes))
    assert list(dict.fromkeys(seen)) == [(3, 1), (2, 1), (2, 2), (1, 2), (1, 3), (0, 3)]
    assert world.condition("Progressing")["reason"] == "NewReplicaSetAvailable"


def test_new_pods_that_do_not_become_ready_stop_it():
    world = rolled_out()
    world.set_image("b")
    for _ in range(10):
        world.pods([3, 0])
        world.step()
    assert world.sizes == [3, 1]
    assert world.deployment["status"]["availableReplicas"] == 3


def test_no_progress_for_too_long_is_a_failure():
    world = rolled_out()
    world.set_image("b")
    for _ in range(10):
        world.pods([3, 0])
        world.step()
    assert world.again == pytest.approx(601)
    world.now = at(601)
    world.step()
    name = world.sets[1]["metadata"]["name"]
    failed = world.condition("Progressing")
    assert (failed["status"], failed["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert failed["message"] == f'ReplicaSet "{name}" has timed out progressing.'
    assert world.again is None
    world.settle()
    assert world.condition("Progressing")["status"] == "True"


def test_without_a_deadline_nothing_is_said_of_progress():
    world = rolled_out(progressDeadlineSeconds=2**31 - 1)
    assert world.condition("Progressing") is None
    assert world.again is None


def test_back_to_a_former_template_is_its_replica_set_with_a_new_number():
    world = rolled_out()
    world.set_image("b")
    world.settle()
    world.deployment["spec"]["template"]["metadata"]["creationTimestamp"] = None
    world.deployment["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    world.set_image("a")
    world.settle()
    assert world.sizes == [3, 0]
    assert [revisions.revision(rs) for rs in world.sets] == [3, 2]
    assert world.sets[0]["metadata"]["annotations"][revisions.REVISION_HISTORY] == "1"


def test_annotations_are_copied_but_for_those_of_the_deployment_alone():
    world = World()
    world.deployment["metadata"]["annotations"] = {
        "kubernetes.io/change-cause": "why",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    world.settle()
    copied = world.sets[0]["metadata"]["annotations"]
    assert copied["kubernetes.io/change-cause"] == "why"
    assert "kubectl.kubernetes.io/last-applied-configuration" not in copied


def test_a_name_that_is_taken_makes_another_hash():
    one = deployment()
    other = {**deployment(), "status": {"collisionCount": 1}}
    first, second = revisions.new_replica_set(one), revisions.new_replica_set(other)
    assert first["metadata"]["name"] != second["metadata"]["name"]


def test_recreate_waits_for_the_last_old_pod():
    world = rolled_out(strategy={"type": "Recreate"})
    old = world.sets[0]["metadata"]["uid"]
    world.set_image("b")
    world.running = {old: 3}
    world.step()
    assert world.sizes == [0]
    world.pods()
    world.step()
    assert world.sizes == [0]
    world.running = {}
    world.settle()
    assert world.sizes == [0, 3]


def test_a_paused_deployment_scales_and_does_not_roll():
    world = rolled_out()
    world.deployment["spec"]["paused"] = True
    world.set_image("b")
    world.step()
    assert world.condition("Progressing")["reason"] == "DeploymentPaused"
    assert world.condition("Progressing")["message"] == "Deployment is paused"
    world.scale(5)
    world.settle()
    assert world.sizes == [5]
    world.deployment["spec"]["paused"] = False
    world.step()
    world.settle()
    assert world.sizes == [0, 5]


def test_scaling_in_the_middle_of_a_rollout_is_shared_out():
    world = rolled_out(replicas=10)
    world.set_image("b")
    for _ in range(3):
        world.pods([10, 0])
        world.step()
    assert world.sizes == [8, 5]
    world.scale(20)
    world.pods([8, 0])
    world.step()
    assert world.sizes == [15, 10]
    assert all(revisions.number(rs, revisions.DESIRED) == 20 for rs in world.sets)
    world.settle()
    assert world.sizes == [0, 20]


def test_history_beyond_the_limit_goes():
    world = rolled_out(revisionHistoryLimit=1)
    for image in "bcd":
        world.set_image(image)
        world.settle()
    assert [revisions.revision(rs) for rs in world.sets] == [3, 4]


def test_a_failure_of_a_replica_set_is_the_deployments():
    world = rolled_out()
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "no",
               "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    world.sets[0]["status"]["conditions"] = [failure]
    world.step()
    assert world.condition("ReplicaFailure")["message"] == "no"
    world.sets[0]["status"].pop("conditions")
    world.step()
    assert world.condition("ReplicaFailure") is None


def test_one_that_is_being_deleted_only_shows_its_status():
    world = rolled_out()
    world.deployment["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.set_image("b")
    world.step()
    assert len(world.sets) == 1


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "missing"),
    [(3, "25%", "25%", 1, 0), (4, "25%", "25%", 1, 1), (10, "25%", "25%", 3, 2), (1, 0, "10%", 0, 1),
     (3, 0, 5, 0, 3), (0, "25%", "25%", 0, 0)],
)  # fmt: skip
def test_percentages_are_rounded_so_that_something_moves(replicas, surge, unavailable, most, missing):
    one = deployment(replicas, surge=surge, unavailable=unavailable)
    assert (scaling.max_surge(one), scaling.max_unavailable(one)) == (most, missing)


amounts = st.integers(0, 4) | st.integers(0, 100).map("{}%".format)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 12), amounts, amounts, st.lists(st.integers(0, 12), min_size=1, max_size=30), st.data())
def test_at_every_step_enough_pods_are_available_and_not_too_many_are_there(
    replicas, surge, unavailable, health, data
):
    world = rolled_out(replicas=replicas, surge=surge, unavailable=unavailable)
    world.set_image("b")
    most = replicas + scaling.max_surge(world.deployment)
    least = replicas - scaling.max_unavailable(world.deployment)
    for _ in health:
        # Old pods stay of use; of the new ones some are.
        new = data.draw(st.integers(0, 12))
        world.pods([12, new] if len(world.sets) > 1 else None)
        available = sum(rs["status"]["availableReplicas"] for rs in world.sets)
        before = sum(world.sizes)
        world.step()
        assert sum(world.sizes) <= max(most, before)
        shrunk = sum(
            max(0, rs["status"].get("availableReplicas", 0) - rs["spec"]["replicas"])
            for rs in world.sets
            if "status" in rs
        )
        assert available - shrunk >= min(least, available)
    world.settle()
    assert world.sizes[-1] == replicas
    assert sum(world.sizes) == replicas
