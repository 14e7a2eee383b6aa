"""Templates of pods, and the numbers and selectors around them (apis/core/validation, apis/apps)."""

from __future__ import annotations

import re

from minikubelet.v1.base import Object
from minikubelet.v1.label_selectors import matches
from minikubelet.v1.meta import LabelSelector, ObjectMeta
from minikubelet.v1.pod import PodSpec, PodTemplate, PodTemplateSpec
from minikubelet.v1.templates import below, pod_of
from minikubelet.v1.validation.field import (
    IMMUTABLE,
    Errors,
    forbidden,
    invalid,
    not_negative,
    required,
    unsupported,
)
from minikubelet.v1.validation.metadata import annotation_errors, label_errors, label_selector_errors
from minikubelet.v1.validation.pod import pod_spec_errors

PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
    "used for validation is '[0-9]+%')"
)
MISMATCH = "`selector` does not match template `labels`"


def template_errors(path: str, template: PodTemplateSpec | None) -> Errors:
    """The rules of a pod, without those of a name."""
    pod = pod_of(template)
    meta, spec = pod.metadata or ObjectMeta(), pod.spec or PodSpec()
    yield from label_errors(f"{path}.labels", meta.labels)
    yield from annotation_errors(f"{path}.annotations", meta.annotations)
    yield from (below(path, error) for error in pod_spec_errors(pod))
    if spec.ephemeral_containers:
        yield forbidden(
            f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"
        )


def pod_template_errors(template: PodTemplate) -> Errors:
    """A stored template."""
    yield from template_errors("template", template.template)


def running_template_errors(path: str, template: PodTemplateSpec | None, selector: LabelSelector) -> Errors:
    """The template of something that keeps pods running, and finds them by a selector."""
    pod = pod_of(template)
    labels, spec = (pod.metadata or ObjectMeta()).labels or {}, pod.spec or PodSpec()
    if not_empty(selector) and not matches(selector, labels):
        yield invalid(f"{path}.metadata.labels", labels, MISMATCH)
    yield from template_errors(path, template)
    if spec.restart_policy != "Always":
        yield unsupported(f"{path}.spec.restartPolicy", spec.restart_policy or "", ("Always",))
    if spec.active_deadline_seconds is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield forbidden(f"{path}.spec.activeDeadlineSeconds", detail)


def selector_errors(path: str, selector: LabelSelector | None) -> Errors:
    """A selector must be there, and select."""
    if selector is None:
        yield required(path)
        return
    yield from label_selector_errors(path, selector)
    if not not_empty(selector):
        yield invalid(path, selector, "empty selector is invalid for deployment")


def not_empty(selector: LabelSelector) -> bool:
    return bool(selector.match_labels or selector.match_expressions)


def number_or_percent_errors(path: str, value: int | str | None) -> Errors:
    """`3` or `25%`."""
    if isinstance(value, str):
        if not re.fullmatch("[0-9]+%", value):
            yield invalid(path, value, PERCENT)
    else:
        yield from not_negative(path, value)


def percent(value: int | str | None) -> int | None:
    """25 of `25%`; None for a number, or what is neither."""
    found = re.fullmatch("([0-9]+)%", value) if isinstance(value, str) else None
    return int(found[1]) if found else None


def immutable(path: str, new: Object | str | int | None, old: Object | str | int | None) -> Errors:
    """What must stay as it was."""
    if new != old:
        yield invalid(path, new, IMMUTABLE)
