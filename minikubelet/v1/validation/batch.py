"""Jobs (apis/batch/validation)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minikubelet.errors import FieldError
from minikubelet.v1.batch import Job, JobSpec
from minikubelet.v1.label_selectors import matches
from minikubelet.v1.meta import ObjectMeta
from minikubelet.v1.pod import PodSpec, PodTemplateSpec
from minikubelet.v1.templates import pod_of
from minikubelet.v1.validation.field import Errors, invalid, not_negative, required, unsupported
from minikubelet.v1.validation.job_policies import failure_policy_errors, success_policy_errors
from minikubelet.v1.validation.metadata import label_selector_errors
from minikubelet.v1.validation.templates import MISMATCH, immutable, template_errors
from minikubelet.v1.wire import from_dict, to_dict

JOB_NAME = "batch.kubernetes.io/job-name"
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
LEGACY = {JOB_NAME: "job-name", CONTROLLER_UID: "controller-uid"}
MAX_INDEXES = 100_000  # of an indexed Job, at once and (here) in all
# What may still change in the template of a Job that is suspended and has not begun.
SCHEDULING = ("node_selector", "affinity", "tolerations", "scheduling_gates")


def job_errors(job: Job) -> Errors:
    spec = job.spec or JobSpec()
    yield from _generated_selector(job, spec)
    yield from _numbers(spec)
    yield from _modes(spec)
    selector, labels = spec.selector, (pod_of(spec.template).metadata or ObjectMeta()).labels or {}
    if selector is None:
        yield required("spec.selector")
    else:
        yield from label_selector_errors("spec.selector", selector)
        if not matches(selector, labels):
            yield invalid("spec.template.metadata.labels", labels, MISMATCH)
    yield from template_errors("spec.template", spec.template)
    yield from _restart_policy(spec)
    yield from _not_honoured(spec)


def job_update_errors(new: Job, old: Job) -> Errors:
    spec, before = new.spec or JobSpec(), old.spec or JobSpec()
    yield from _completions(spec, before)
    yield from immutable("spec.selector", spec.selector, before.selector)
    yield from immutable("spec.template", spec.template, _template_to_keep(spec, old))
    yield from immutable("spec.completionMode", spec.completion_mode, before.completion_mode)
    failures, successes = spec.pod_failure_policy, spec.success_policy
    yield from immutable("spec.podFailurePolicy", failures, before.pod_failure_policy)
    yield from immutable("spec.successPolicy", successes, before.success_policy)


def _numbers(spec: JobSpec) -> Errors:
    for name, value in (
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
    ):
        yield from not_negative(f"spec.{name}", value)


def _modes(spec: JobSpec) -> Errors:
    mode, replacement = spec.completion_mode, spec.pod_replacement_policy
    if mode not in ("NonIndexed", "Indexed"):
        yield unsupported("spec.completionMode", mode, ("Indexed", "NonIndexed"))
    if mode == "Indexed":
        if spec.completions is None:
            yield required("spec.completions", "when completion mode is Indexed")
        for name, number in (("parallelism", spec.parallelism), ("completions", spec.completions)):
            if (number or 0) > MAX_INDEXES:
                detail = f"must be less than or equal to {MAX_INDEXES} when completion mode is Indexed"
                yield invalid(f"spec.{name}", number, detail)
    choices = ("Failed",) if spec.pod_failure_policy else ("Failed", "TerminatingOrFailed")
    if replacement not in choices:
        yield unsupported("spec.podReplacementPolicy", replacement, choices)
    pod = pod_of(spec.template).spec or PodSpec()
    if spec.pod_failure_policy is not None:
        yield from failure_policy_errors("spec.podFailurePolicy", spec.pod_failure_policy, pod)
    if spec.success_policy is not None:
        yield from success_policy_errors("spec.successPolicy", spec.success_policy, spec)


def _restart_policy(spec: JobSpec) -> Errors:
    """The default of pods, Always, is no choice: then no Job would ever end."""
    path, policy = (
        "spec.template.spec.restartPolicy",
        (pod_of(spec.template).spec or PodSpec()).restart_policy,
    )
    if policy in (None, "", "Always"):
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield unsupported(path, policy, ("OnFailure", "Never"))
    elif spec.pod_failure_policy is not None and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _generated_selector(job: Job, spec: JobSpec) -> Errors:
    """Made by the server unless `manualSelector` says otherwise; a client's own labels may contradict it."""
    if spec.manual_selector or spec.selector is None:
        return
    meta = job.metadata or ObjectMeta()
    labels = (pod_of(spec.template).metadata or ObjectMeta()).labels or {}
    expected = dict(generated_labels(meta.name or "", meta.uid or ""))
    for key, value in expected.items():
        here = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            yield required(here, f"must be '{value}'")
        elif labels[key] != value:
            yield invalid(here, labels[key], f"must be '{value}'")
    if not matches(spec.selector, expected):
        yield invalid("spec.selector", spec.selector, "`selector` not auto-generated")


def generated_labels(name: str, uid: str) -> Iterator[tuple[str, str]]:
    """What the pods of a Job are known by, under the old names and the new."""
    for key, value in ((CONTROLLER_UID, uid), (JOB_NAME, name)):
        yield LEGACY[key], value
        yield key, value


def generate_selector(job: dict[str, Any]) -> None:
    """Give a new Job (which has its uid already) its labels and its selector; what is there stays."""
    spec, metadata = job.get("spec"), job["metadata"]
    if not spec or spec.get("manualSelector"):
        return
    template = spec.setdefault("template", {})
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    for key, value in generated_labels(metadata.get("name") or "", metadata["uid"]):
        labels.setdefault(key, value)
    wanted = spec.setdefault("selector", {}).setdefault("matchLabels", {})
    wanted.setdefault(CONTROLLER_UID, metadata["uid"])


def _not_honoured(spec: JobSpec) -> Errors:
    """What this node does not know: without it a Job would go on, or end, where it should not."""
    for name, value in (
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
        ("managedBy", None if spec.managed_by == "kubernetes.io/job-controller" else spec.managed_by),
    ):
        if value is not None:
            detail = "Forbidden: not supported by this node: the Job would end by other rules than these"
            yield FieldError(f"spec.{name}", "Forbidden", detail)


def _completions(new: JobSpec, old: JobSpec) -> Errors:
    """An indexed Job may grow and shrink, if parallelism does so too."""
    if new.completions == old.completions:
        return
    if new.completion_mode != "Indexed" or new.completions is None or old.completions is None:
        yield from immutable("spec.completions", new.completions, old.completions)
    elif new.completions != new.parallelism:
        detail = "can only be modified in tandem with spec.parallelism"
        yield invalid("spec.completions", new.completions, detail)


def _template_to_keep(new: JobSpec, old: Job) -> PodTemplateSpec | None:
    """The stored template, with the new one's directives for scheduling where they may change."""
    before = old.spec or JobSpec()
    begun = old.status is not None and old.status.start_time is not None
    if not before.suspend or begun or before.template is None or new.template is None:
        return before.template
    kept = from_dict(PodTemplateSpec, to_dict(before.template))
    if kept.spec is not None and new.template.spec is not None:
        for name in SCHEDULING:
            setattr(kept.spec, name, getattr(new.template.spec, name))
    if kept.metadata is not None and new.template.metadata is not None:
        kept.metadata.labels = new.template.metadata.labels
        kept.metadata.annotations = new.template.metadata.annotations
    return kept
