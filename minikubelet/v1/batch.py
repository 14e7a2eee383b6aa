"""batch/v1: pods that run to their end."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int32, Int64, Object, Time
from minikubelet.v1.meta import LabelSelector, Resource
from minikubelet.v1.pod import PodTemplateSpec


class PodFailurePolicyOnExitCodesRequirement(Object, kw_only=True):
    """Which exit codes of which container."""

    container_name: str | None = None
    operator: str | None = None
    values: list[Int32] | None = None


class PodFailurePolicyOnPodConditionsPattern(Object, kw_only=True):
    """A condition of a pod."""

    type: str | None = None
    status: str | None = None


class PodFailurePolicyRule(Object, kw_only=True):
    """What a failure of this sort leads to."""

    action: str | None = None
    on_exit_codes: PodFailurePolicyOnExitCodesRequirement | None = None
    on_pod_conditions: list[PodFailurePolicyOnPodConditionsPattern] | None = None


class PodFailurePolicy(Object, kw_only=True):
    """What failed pods lead to; the first rule that fits counts."""

    rules: list[PodFailurePolicyRule] | None = None


class SuccessPolicyRule(Object, kw_only=True):
    """Which and how many indexes are enough."""

    succeeded_indexes: str | None = None
    succeeded_count: Int32 | None = None


class SuccessPolicy(Object, kw_only=True):
    """When an indexed Job has succeeded before all of its indexes have."""

    rules: list[SuccessPolicyRule] | None = None


class JobSpec(Object, kw_only=True):
    """How often, how many at once, and how many failures are too many."""

    parallelism: Int32 | None = None
    completions: Int32 | None = None
    active_deadline_seconds: Int64 | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    backoff_limit: Int32 | None = None
    backoff_limit_per_index: Int32 | None = None
    max_failed_indexes: Int32 | None = None
    selector: LabelSelector | None = None
    manual_selector: bool | None = None
    template: PodTemplateSpec | None = None
    ttl_seconds_after_finished: Int32 | None = None
    completion_mode: str | None = None
    suspend: bool | None = None
    pod_replacement_policy: str | None = None
    managed_by: str | None = None


class JobCondition(Object, kw_only=True):
    """One statement about a Job."""

    type: str | None = None
    status: str | None = None
    last_probe_time: Time | None = None
    last_transition_time: Time | None = None
    reason: str | None = None
    message: str | None = None


class UncountedTerminatedPods(Object, kw_only=True):
    """Pods (uids) that have ended and are not in the sums yet."""

    succeeded: list[str] | None = None
    failed: list[str] | None = None


class JobStatus(Object, kw_only=True):
    """How far the Job is."""

    conditions: list[JobCondition] | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    active: Int32 | None = None
    terminating: Int32 | None = None
    succeeded: Int32 | None = None
    failed: Int32 | None = None
    completed_indexes: str | None = None
    failed_indexes: str | None = None
    uncounted_terminated_pods: UncountedTerminatedPods | None = None
    ready: Int32 | None = None


class Job(Resource, kw_only=True):
    """Runs pods until enough of them have succeeded."""

    API_VERSION: ClassVar[str] = "batch/v1"

    spec: JobSpec | None = None
    status: JobStatus | None = None
