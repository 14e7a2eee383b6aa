"""Label and field selectors, as the API server reads them.

A selector becomes a function over an object; what cannot be parsed or is not supported is a BadRequest in
the server's words (kubectl adds its own context).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from minikubelet.errors import BadRequest

Object = dict[str, Any]
Matcher = Callable[[Object], bool]

_KEY = r"(?:[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALITY = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>==|!=|=|<|>)\s*(?P<value>[-A-Za-z0-9_.]*)")
_EXISTS = re.compile(rf"(?P<not>!?)\s*(?P<key>{_KEY})")

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

# What may be selected on, beside metadata.name and metadata.namespace.
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
    "namespaces": frozenset({"status.phase"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "secrets": frozenset({"type"}),
}


def label_selector(text: str) -> Matcher | None:
    """`app=web,tier!=db,env in (a, b),!canary`; None when there is nothing to select by."""
    terms = [_label_term(term.strip(), text) for term in _split(text) if term.strip()]
    if not terms:
        return None
    return lambda obj: _all(terms, obj["metadata"].get("labels") or {})


def field_selector(resource: str, text: str) -> Matcher | None:
    """`metadata.name=web,status.phase!=Running`; only equality, only the fields the API server offers."""
    terms = [_field_term(resource, term) for term in re.split(r"(?<!\\),", text) if term]
    if not terms:
        return None
    return lambda obj: all((_text(obj, path) == value) is equal for path, equal, value in terms)


def both(first: Matcher | None, second: Matcher | None) -> Matcher | None:
    """What both accept; None accepts everything."""
    if first is None or second is None:
        return first or second
    one, other = first, second
    return lambda obj: one(obj) and other(obj)


def _all(terms: list[Callable[[dict[str, str]], bool]], labels: dict[str, str]) -> bool:
    return all(term(labels) for term in terms)


def _split(text: str) -> list[str]:
    """At the commas outside of parentheses."""
    return re.split(r",(?![^(]*\))", text)


def _label_term(term: str, whole: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.fullmatch(term):
        key = found["key"]
        values = {value.strip() for value in found["values"].split(",")}
        if found["operator"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUALITY.fullmatch(term):
        return _comparison(found["key"], found["operator"], found["value"], whole)
    if found := _EXISTS.fullmatch(term):
        key, wanted = found["key"], not found["not"]
        return lambda labels: (key in labels) is wanted
    raise BadRequest(
        f"unable to parse requirement: found '{term}' in '{whole}', expected: a label requirement"
    )


def _comparison(key: str, operator: str, value: str, whole: str) -> Callable[[dict[str, str]], bool]:
    if operator in ("=", "=="):
        return lambda labels: labels.get(key) == value
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if not value.isdecimal():
        raise BadRequest(f"unable to parse requirement: '{value}' in '{whole}': for 'Gt', 'Lt' operators, "
                         "the value must be an integer")  # fmt: skip
    bound, greater = int(value), operator == ">"

    def compare(labels: dict[str, str]) -> bool:
        number = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", number):
            return False
        return int(number) > bound if greater else int(number) < bound

    return compare


def _field_term(resource: str, term: str) -> tuple[str, bool, str]:
    found = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", term)
    if found is None:
        raise BadRequest(f"invalid selector: '{term}'; can't understand '{term}'")
    path, operator, value = found[1], found[2], re.sub(r"\\(.)", r"\1", found[3])
    if path not in ("metadata.name", "metadata.namespace") and path not in FIELDS.get(resource, ()):
        raise BadRequest(f"field label not supported: {path}")
    return path, operator != "!=", value


def _text(obj: Object, path: str) -> str:
    """The field as the selector compares it: absent is empty, booleans are lower case."""
    value: Any = obj
    if path == "source":  # of an Event
        path = "source.component"
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(value)
