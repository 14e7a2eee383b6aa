"""Deployments and ReplicaSets (apis/apps/validation)."""

from __future__ import annotations

from minikubelet.v1.apps import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    RollingUpdateDeployment,
)
from minikubelet.v1.meta import LabelSelector
from minikubelet.v1.validation.field import Errors, forbidden, invalid, not_negative, required, unsupported
from minikubelet.v1.validation.templates import (
    immutable,
    number_or_percent_errors,
    percent,
    running_template_errors,
    selector_errors,
)


def replica_set_errors(replica_set: ReplicaSet) -> Errors:
    spec = replica_set.spec or ReplicaSetSpec()
    yield from not_negative("spec.replicas", spec.replicas)
    yield from not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    yield from selector_errors("spec.selector", spec.selector)
    yield from running_template_errors("spec.template", spec.template, spec.selector or LabelSelector())


def replica_set_update_errors(new: ReplicaSet, old: ReplicaSet) -> Errors:
    yield from immutable("spec.selector", new.spec and new.spec.selector, old.spec and old.spec.selector)


def deployment_errors(deployment: Deployment) -> Errors:
    spec = deployment.spec or DeploymentSpec()
    yield from not_negative("spec.replicas", spec.replicas)
    yield from selector_errors("spec.selector", spec.selector)
    yield from running_template_errors("spec.template", spec.template, spec.selector or LabelSelector())
    yield from _strategy("spec.strategy", spec.strategy or DeploymentStrategy())
    yield from not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    yield from not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    yield from not_negative("spec.progressDeadlineSeconds", spec.progress_deadline_seconds)
    deadline = spec.progress_deadline_seconds
    if deadline is not None and deadline <= (spec.min_ready_seconds or 0):
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def deployment_update_errors(new: Deployment, old: Deployment) -> Errors:
    yield from immutable("spec.selector", new.spec and new.spec.selector, old.spec and old.spec.selector)


def _strategy(path: str, strategy: DeploymentStrategy) -> Errors:
    if strategy.type == "Recreate":
        if strategy.rolling_update is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            yield forbidden(f"{path}.rollingUpdate", detail)
    elif strategy.type == "RollingUpdate":
        if strategy.rolling_update is None:
            yield required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
        else:
            yield from _rolling_update(f"{path}.rollingUpdate", strategy.rolling_update)
    else:
        yield unsupported(path, strategy, ("Recreate", "RollingUpdate"))


def _rolling_update(path: str, rolling: RollingUpdateDeployment) -> Errors:
    unavailable, surge = rolling.max_unavailable, rolling.max_surge
    yield from number_or_percent_errors(f"{path}.maxUnavailable", unavailable)
    yield from number_or_percent_errors(f"{path}.maxSurge", surge)
    if _is_zero(unavailable) and _is_zero(surge):
        yield invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    if (percent(unavailable) or 0) > 100:
        yield invalid(f"{path}.maxUnavailable", unavailable, "must not be greater than 100%")


def _is_zero(value: int | str | None) -> bool:
    return value == 0 if isinstance(value, int) else percent(value) == 0
