"""Which objects are meant: field selectors, and how they go together with label selectors.

A selector becomes a function over an object; what cannot be parsed or is not supported is a BadRequest in
the server's words (kubectl adds its own context).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from minikubelet.api.label_selectors import label_selector
from minikubelet.errors import BadRequest

Object = dict[str, Any]
Matcher = Callable[[Object], bool]

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

__all__ = ["Matcher", "both", "field_selector", "label_selector"]

COMMON = ("metadata.name", "metadata.namespace")
# What else may be selected on, by key of the resource.
FIELDS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        }
    ),
    "events": frozenset(
        {f"involvedObject.{field}" for field in _REFERENCE}
        | {"reason", "reportingComponent", "source", "type"}
    ),
    "events.events.k8s.io": frozenset(
        {f"regarding.{field}" for field in _REFERENCE} | {"reason", "reportingController", "type"}
    ),
    "jobs.batch": frozenset({"status.successful"}),
    "namespaces": frozenset({"status.phase"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "secrets": frozenset({"type"}),
}


def field_selector(resource: str, text: str) -> Matcher | None:
    """`metadata.name=web,status.phase!=Running`; only equality, only the fields the API server offers."""
    terms = [_field_term(resource, term, text) for term in sorted(_terms(text)) if term]
    if not terms:
        return None
    return lambda obj: all((_text(obj, path) == value) is equal for path, equal, value in terms)


def both(first: Matcher | None, second: Matcher | None) -> Matcher | None:
    """What both accept; None accepts everything."""
    if first is None or second is None:
        return first or second
    one, other = first, second
    return lambda obj: one(obj) and other(obj)


def _terms(text: str) -> list[str]:
    """At the commas; a backslash takes the meaning from what is behind it."""
    return re.findall(r"(?:\\.|[^,\\]|\\$)+", text)


def _field_term(resource: str, term: str, whole: str) -> tuple[str, bool, str]:
    found = re.fullmatch(r"([^=!]*)(==|!=|=)(.*)", term, re.DOTALL)
    if found is None:
        raise BadRequest(f"invalid selector: '{whole}'; can't understand '{term}'")
    path, operator, value = found[1], found[2], _unescaped(found[3])
    if path not in COMMON and path not in FIELDS.get(resource, ()):
        raise BadRequest(_unknown(resource, path))
    return path, operator != "!=", value


def _unescaped(value: str) -> str:
    """Backslash, comma and equals sign are written behind a backslash."""
    plain = []
    letters = iter(value)
    for letter in letters:
        if letter == "\\":
            letter = next(letters, "")
            if letter not in ("\\", ",", "="):
                raise BadRequest(f"invalid field selector: invalid escape sequence: \\{letter}")
        elif letter in ",=":
            raise BadRequest(f"invalid field selector: unescaped character in value: {ord(letter)}")
        plain.append(letter)
    return "".join(plain)


def _unknown(resource: str, path: str) -> str:
    if resource == "jobs.batch":
        return f'field label "{path}" not supported for Job'
    if resource in FIELDS:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _text(obj: Object, path: str) -> str:
    """The field as the selector compares it: absent is empty, booleans are lower case."""
    if path == "source":  # of an Event
        path = "source.component"
    elif path == "status.successful":  # of a Job
        path = "status.succeeded"
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return _ABSENT.get(path, "")
    if isinstance(value, list):  # the addresses of a pod
        return ",".join(str(item.get("ip", "")) for item in value)
    return str(value)


_ABSENT = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.succeeded": "0"}
