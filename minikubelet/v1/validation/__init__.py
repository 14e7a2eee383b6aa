"""Validation: every mistake in an object, in the API server's words and order (kubelet-behaviour section 8).

`validate` takes any object with its defaults filled in and gives the list of its field errors; an empty list
means it may be stored. `validate_update` compares with what is stored. The rules are generators, one module
for each part of the pod, that yield what is wrong as they meet it: the order of the code is the order of the
errors.
"""

from __future__ import annotations

from minikubelet.errors import FieldError
from minikubelet.v1.meta import Resource
from minikubelet.v1.pod import Pod
from minikubelet.v1.validation.objects import errors_of, update_errors_of
from minikubelet.v1.validation.pod import pod_errors
from minikubelet.v1.validation.update import pod_update_errors

__all__ = ["validate", "validate_pod", "validate_pod_update", "validate_update"]


def validate(object_: Resource) -> list[FieldError]:
    """Every mistake in a new object."""
    return list(errors_of(object_))


def validate_update(new: Resource, old: Resource) -> list[FieldError]:
    """Every mistake in a changed object."""
    return list(dict.fromkeys(update_errors_of(new, old)))


def validate_pod(pod: Pod) -> list[FieldError]:
    """Every mistake in a new pod."""
    return list(pod_errors(pod))


def validate_pod_update(new: Pod, old: Pod) -> list[FieldError]:
    """Every mistake in a changed pod."""
    return list(dict.fromkeys(pod_update_errors(new, old)))
