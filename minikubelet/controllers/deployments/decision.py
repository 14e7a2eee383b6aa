"""What a Deployment does next: one look at it and its ReplicaSets, and how they should be after it. Pure.

A rollout is many small steps, each the answer to the same question: is there a ReplicaSet for the present
template; may it grow; may an old one shrink? Every step waits for what the ReplicaSets report, so that an
agent that dies between two of them just asks again (sync.go, rolling.go, recreate.go of the original).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from minikubelet.controllers.deployments import progress, revisions, scaling
from minikubelet.controllers.deployments.progress import condition, set_condition
from minikubelet.controllers.deployments.scaling import replicas, shown
from minikubelet.controllers.pod_state import is_terminating

Object = dict[str, Any]
MAX_INT32 = 2**31 - 1


@dataclass(slots=True)
class Plan:
    """The Deployment and its ReplicaSets as they should be. `create` is new, `delete` is history nobody
    keeps; `said` are texts of Events, `again` seconds after which to look again though nothing happens.
    """

    deployment: Object
    replica_sets: list[Object]
    create: Object | None = None
    delete: list[Object] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    again: float | None = None


def decide(
    deployment: Object, replica_sets: Sequence[Object], running: Mapping[str, int], now: datetime
) -> Plan:
    """`running`: how many pods of each ReplicaSet (by uid) have not ended yet. Nothing given is changed."""
    plan = Plan(copy.deepcopy(deployment), copy.deepcopy(list(replica_sets)))
    rollout = Rollout(plan, running, now)
    if not is_terminating(deployment):
        rollout.step()
    rollout.report()
    return plan


class Rollout:
    """One step of it. `new` is the ReplicaSet of the present template, `old` are the others by age."""

    def __init__(self, plan: Plan, running: Mapping[str, int], now: datetime) -> None:
        self.plan = plan
        self.deployment = plan.deployment
        self.running = running
        self.now = now
        self.new = revisions.find_new(plan.deployment, plan.replica_sets)
        self.old = [rs for rs in revisions.by_age(plan.replica_sets) if rs is not self.new]
        self.moved = False

    @property
    def everything(self) -> list[Object]:
        return self.old + ([self.new] if self.new is not None else [])

    def step(self) -> None:
        self._note_pause()
        if self.deployment["spec"].get("paused"):
            self._number()
            self._scale_all()
            self._clean_up()
        elif self._is_scaled():
            self._number()
            self._scale_all()
        elif scaling.is_rolling(self.deployment):
            self._roll()
        else:
            self._recreate()

    # Ways to the present template.

    def _roll(self) -> None:
        new = self._ensure_new()
        self._scale(new, scaling.new_replicas(self.deployment, new, self.everything))
        if self.moved:
            return
        sizes = scaling.old_replicas(self.deployment, new, self.old)
        for rs in self.old:
            self._scale(rs, sizes.get(rs["metadata"]["name"], replicas(rs)))
        if not self.moved:
            self._finish()

    def _recreate(self) -> None:
        """First the old ones go, to the last pod; only then the new ones come."""
        self._number()
        for rs in self.old:
            self._scale(rs, 0)
        if self.moved or self._old_are_running():
            return
        self._scale(self._ensure_new(), replicas(self.deployment))
        if not self.moved:
            self._finish()

    def _old_are_running(self) -> bool:
        uids = [rs["metadata"]["uid"] for rs in self.old]
        return any(shown(rs) for rs in self.old) or any(self.running.get(uid) for uid in uids)

    def _ensure_new(self) -> Object:
        """The ReplicaSet of the present template; made if there is none."""
        if self.new is None:
            self.new = self.plan.create = revisions.new_replica_set(self.deployment)
            size = scaling.new_replicas(self.deployment, self.new, self.everything)
            self._number(size)
            if size:
                self.plan.said.append(
                    f"Scaled up replica set {self.new['metadata']['name']} from 0 to {size}"
                )
            self._progressing("NewReplicaSetCreated", "Created new replica set")
            self.moved = True
        else:
            self._number()
        return self.new

    def _number(self, size: int | None = None) -> None:
        """Keep the present ReplicaSet's annotations; those of a new one with its `size`, too."""
        if self.new is None:
            return
        revisions.number_new(self.deployment, self.new, self.old)
        if size is not None:
            self._resize(self.new, size)
            return
        self.new["spec"]["minReadySeconds"] = self.deployment["spec"].get("minReadySeconds", 0)
        if condition(self.deployment.get("status") or {}, "Progressing") is None:
            self._progressing("FoundNewReplicaSet", "Found new replica set")

    def _progressing(self, reason: str, text: str) -> None:
        if progress.deadline(self.deployment) is not None and self.new is not None:
            message = f'{text} "{self.new["metadata"]["name"]}"'
            status = self.deployment.setdefault("status", {})
            set_condition(status, "Progressing", "True", reason, message, self.now)

    # Scaling.

    def _is_scaled(self) -> bool:
        """Somebody has changed `replicas` since the last look: that is not a rollout, and goes first."""
        wanted = replicas(self.deployment)
        active = (rs for rs in self.everything if replicas(rs))
        return any(revisions.number(rs, revisions.DESIRED) not in (None, wanted) for rs in active)

    def _scale_all(self) -> None:
        wanted, active = replicas(self.deployment), [rs for rs in self.everything if replicas(rs)]
        if len(active) <= 1:
            only = active[0] if active else self.new or max(self.old, key=revisions.revision, default=None)
            if only is not None and replicas(only) != wanted:
                self._scale(only, wanted)
            elif only is not None:
                self._resize(only, wanted)
            return
        if self._is_saturated():
            for rs in self.old:
                self._scale(rs, 0)
        elif scaling.is_rolling(self.deployment):
            sizes = scaling.proportional(self.deployment, active)
            for rs in active:
                self._scale(rs, sizes[rs["metadata"]["name"]], even_so=True)

    def _is_saturated(self) -> bool:
        """The present ReplicaSet has all pods, and all of them are available."""
        new, wanted = self.new, replicas(self.deployment)
        if new is None:
            return False
        counted = revisions.number(new, revisions.DESIRED)
        return replicas(new) == wanted == counted == shown(new, "availableReplicas")

    def _scale(self, replica_set: Object, size: int, *, even_so: bool = False) -> None:
        """To a number of replicas, with an Event; `even_so`: annotate it though the number stays."""
        before = replicas(replica_set)
        if before == size and not even_so:
            return
        self._resize(replica_set, size)
        if before != size:
            self.moved = True
            way = "up" if size > before else "down"
            name = replica_set["metadata"]["name"]
            self.plan.said.append(f"Scaled {way} replica set {name} from {before} to {size}")

    def _resize(self, replica_set: Object, size: int) -> None:
        wanted = replicas(self.deployment)
        replica_set["spec"]["replicas"] = size
        revisions.annotate(replica_set, revisions.DESIRED, str(wanted))
        most = wanted + scaling.max_surge(self.deployment)
        revisions.annotate(replica_set, revisions.MAXIMUM, str(most))

    # Pausing, ending, telling.

    def _note_pause(self) -> None:
        """Pausing is a state of the rollout, and stops the clock of its deadline."""
        if progress.deadline(self.deployment) is None:
            return
        known = condition(self.deployment.get("status") or {}, "Progressing")
        reason = known["reason"] if known else ""
        paused = bool(self.deployment["spec"].get("paused"))
        if reason == progress.TIMED_OUT or paused == (reason == progress.PAUSED):
            return
        status = self.deployment.setdefault("status", {})
        now_is, text = (progress.PAUSED, "paused") if paused else (progress.RESUMED, "resumed")
        set_condition(status, "Progressing", "Unknown", now_is, f"Deployment is {text}", self.now)

    def _finish(self) -> None:
        """History beyond `revisionHistoryLimit` goes when nothing is under way."""
        status = progress.status_of(self.deployment, self.new, self.everything, self.now)
        if progress.is_complete(self.deployment, status):
            self._clean_up()

    def _clean_up(self) -> None:
        limit = self.deployment["spec"].get("revisionHistoryLimit", MAX_INT32)
        kept = [rs for rs in self.old if not is_terminating(rs)]
        for rs in sorted(kept, key=revisions.revision)[: max(0, len(kept) - limit)]:
            settled = rs["metadata"].get("generation", 1) <= shown(rs, "observedGeneration")
            if not replicas(rs) and not shown(rs) and settled:
                self.plan.delete.append(rs)

    def report(self) -> None:
        """The status. While paused or only scaled nothing is said about progress."""
        status = progress.status_of(self.deployment, self.new, self.everything, self.now)
        if not self.deployment["spec"].get("paused") and not is_terminating(self.deployment):
            progress.report_progress(self.deployment, status, self.new, self.everything, self.now)
        self.deployment["status"] = status
        left = progress.seconds_to_deadline(self.deployment, status, self.now)
        self.plan.again = None if left is None else max(left, 0) + 1
