"""What the API server fills in for the kinds that make pods (apis/apps/v1/defaults.go, apis/batch/v1)."""

from __future__ import annotations

from minikubelet.v1.apps import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    RollingUpdateDeployment,
)
from minikubelet.v1.batch import Job, JobSpec
from minikubelet.v1.pod import PodTemplate
from minikubelet.v1.pod_defaults import template_defaults

MAX_INT32 = 2**31 - 1


def pod_template_defaults(template: PodTemplate) -> None:
    template.template = template_defaults(template.template)


def replica_set_defaults(replica_set: ReplicaSet) -> None:
    spec = replica_set.spec = replica_set.spec or ReplicaSetSpec()
    spec.replicas = 1 if spec.replicas is None else spec.replicas
    spec.template = template_defaults(spec.template)


def deployment_defaults(deployment: Deployment) -> None:
    spec = deployment.spec = deployment.spec or DeploymentSpec()
    spec.replicas = 1 if spec.replicas is None else spec.replicas
    spec.revision_history_limit = 10 if spec.revision_history_limit is None else spec.revision_history_limit
    if spec.progress_deadline_seconds is None:
        spec.progress_deadline_seconds = 600
    strategy = spec.strategy = spec.strategy or DeploymentStrategy()
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        rolling = strategy.rolling_update = strategy.rolling_update or RollingUpdateDeployment()
        rolling.max_unavailable = "25%" if rolling.max_unavailable is None else rolling.max_unavailable
        rolling.max_surge = "25%" if rolling.max_surge is None else rolling.max_surge
    spec.template = template_defaults(spec.template)


def job_defaults(job: Job) -> None:
    spec = job.spec = job.spec or JobSpec()
    if spec.completions is None and spec.parallelism is None:
        spec.completions = 1
    spec.parallelism = 1 if spec.parallelism is None else spec.parallelism
    if spec.backoff_limit is None:
        spec.backoff_limit = 6 if spec.backoff_limit_per_index is None else MAX_INT32
    spec.template = template_defaults(spec.template)
    labels = spec.template.metadata.labels if spec.template.metadata else None
    if labels and job.metadata is not None and not job.metadata.labels:
        job.metadata.labels = dict(labels)
    spec.completion_mode = spec.completion_mode or "NonIndexed"
    spec.suspend = bool(spec.suspend)
    spec.manual_selector = bool(spec.manual_selector)
    for rule in (spec.pod_failure_policy.rules if spec.pod_failure_policy else None) or ():
        for pattern in rule.on_pod_conditions or ():
            pattern.status = pattern.status or "True"
    replacement = "Failed" if spec.pod_failure_policy else "TerminatingOrFailed"
    spec.pod_replacement_policy = spec.pod_replacement_policy or replacement
