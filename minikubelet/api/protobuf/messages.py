"""Which messages there are, and what their field numbers mean: `messages.txt`, read when one is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# What a body may be. Of most kinds there is one message; what two groups have carries its group.
KINDS = frozenset(
    {
        "Binding",
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "DeleteOptions",
        "Deployment",
        "EndpointSlice",
        "Endpoints",
        "Event",
        "Eviction",
        "Job",
        "Lease",
        "LimitRange",
        "LocalSubjectAccessReview",
        "Namespace",
        "Node",
        "PersistentVolumeClaim",
        "Pod",
        "PodDisruptionBudget",
        "PodTemplate",
        "PriorityClass",
        "ReplicaSet",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Scale",
        "Secret",
        "SelfSubjectAccessReview",
        "SelfSubjectReview",
        "SelfSubjectRulesReview",
        "Service",
        "ServiceAccount",
        "SubjectAccessReview",
        "TokenRequest",
        "TokenReview",
    }
)
QUALIFIED = {("events.k8s.io/v1", "Event"): "events.Event"}

_FIELD = re.compile(r"(?P<name>\w*)=(?P<number>\d+)(?P<type>[\w.]+)(?P<mark>[*%?]?)")


@dataclass(frozen=True, slots=True)
class Field:
    """`type` is a letter of the table or a message's name. Without a name it lends its parent its own."""

    name: str
    type: str
    is_list: bool
    is_map: bool
    is_pointer: bool


Message = dict[int, Field]


def message_of(api_version: str, kind: str) -> Message | None:
    """Of a body; None if there is none of this kind."""
    name = message_name(api_version, kind)
    return None if name is None else message(name)


def message_name(api_version: str, kind: str) -> str | None:
    """In the table; None if no body may be of this kind."""
    return QUALIFIED.get((api_version, kind), kind) if kind in KINDS else None


@cache
def message(name: str) -> Message:
    """By its name in the table."""
    return {
        int(found["number"]): Field(
            found["name"], found["type"], found["mark"] == "*", found["mark"] == "%", found["mark"] == "?"
        )
        for found in _FIELD.finditer(table()[name])
    }


@cache
def by_name(name: str) -> dict[str, Field]:
    """The fields of a message as JSON has them: with those that others lend it."""
    found: dict[str, Field] = {}
    for field in message(name).values():
        found |= {field.name: field} if field.name else by_name(field.type)
    return found


@cache
def table() -> dict[str, str]:
    """Every message's line."""
    text = Path(__file__).with_name("messages.txt").read_text()
    lines = re.sub(r"\n  ", " ", text).splitlines()
    return dict(line.partition(":")[::2] for line in lines if not line.startswith("#"))
