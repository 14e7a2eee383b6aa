"""CreateOptions, UpdateOptions, PatchOptions and DeleteOptions: how a write is meant.

They come in the query, those of a deletion in the body, where kubectl puts its `dryRun`. What they must not
say is answered as the API server does: 422, `PatchOptions.meta.k8s.io "" is invalid: …`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minikubelet.api import protobuf
from minikubelet.api.bodies import APPLY, parse_object
from minikubelet.api.deletion import PROPAGATIONS, DeleteOptions
from minikubelet.api.objects import WriteOptions
from minikubelet.api.request import Call
from minikubelet.errors import BadRequest, FieldError, Invalid
from minikubelet.v1.managed_fields import NAME_LIMIT, manager_name
from minikubelet.v1.validation.field import Errors, forbidden, invalid, required, too_long, unsupported

Object = dict[str, Any]

KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def write_options(call: Call) -> WriteOptions:
    """Of a POST, PUT or PATCH. Raises Invalid."""
    given, validation = call.text("fieldManager"), call.text("fieldValidation")
    errors: list[FieldError] = []
    if call.http.method == "PATCH":
        errors += _patch_errors(call, given)
    errors += manager_errors("fieldManager", given)
    errors += _dry_run_errors(call.http.query.getall("dryRun", []))
    if validation not in VALIDATIONS:
        errors.append(unsupported("fieldValidation", validation, VALIDATIONS))
    _refuse(KINDS.get(call.http.method, "UpdateOptions"), errors)
    return WriteOptions(
        dry_run="dryRun" in call.http.query,
        validation=validation or "Warn",
        manager=manager_name(given, call.http.headers.get("User-Agent", "")) or "unknown",
        warnings=call.warnings,
    )


def _patch_errors(call: Call, manager: str) -> Errors:
    if call.content_type != APPLY:
        if "force" in call.http.query:
            yield forbidden("force", "may not be specified for non-apply patch")
    elif not manager:
        yield required("fieldManager", "is required for apply patch")


def manager_errors(path: str, manager: str) -> Errors:
    """The name of a field manager: short, and nothing that cannot be printed."""
    if len(manager.encode()) > NAME_LIMIT:
        yield too_long(path, NAME_LIMIT)
    for at, letter in enumerate(manager):
        if not letter.isprintable():
            yield invalid(path, manager, f"invalid character U+{ord(letter):04X} (at position {at})")


def _dry_run_errors(values: list[str]) -> Errors:
    if any(value != "All" for value in values):
        listed = ", ".join(f'"{value}"' for value in values)
        yield FieldError(
            "dryRun", "Unsupported", f'Unsupported value: []string{{{listed}}}: supported values: "All"'
        )


async def delete_options(call: Call) -> DeleteOptions:
    """Of a DELETE: the body, else the query; a dry run is one wherever it is said. BadRequest, Invalid."""
    body = await call.body()
    if body.strip():
        given = protobuf.decode(body) if call.content_type == protobuf.CONTENT_TYPE else parse_object(body)
    else:
        given = dict(_query(call))
    if "dryRun" in call.http.query:
        given["dryRun"] = call.http.query.getall("dryRun")
    return read_delete_options(given)


def _query(call: Call) -> Iterator[tuple[str, Any]]:
    grace = call.number("gracePeriodSeconds")
    if grace is not None:
        yield "gracePeriodSeconds", grace
    if "orphanDependents" in call.http.query:
        yield "orphanDependents", call.flag("orphanDependents")
    if call.text("propagationPolicy"):
        yield "propagationPolicy", call.text("propagationPolicy")


def read_delete_options(given: Object) -> DeleteOptions:
    """From a decoded body; also the `deleteOptions` of an eviction. Raises BadRequest, Invalid."""
    kind = given.get("kind")
    if kind not in (None, "", "DeleteOptions"):
        version = str(given.get("apiVersion", "v1")).rpartition("/")[2]
        raise BadRequest(f'{kind} in version "{version}" cannot be handled as a DeleteOptions')
    dry_run = _typed(given, "dryRun", list, "[]string") or []
    if not all(isinstance(value, str) for value in dry_run):
        raise _wrong_type("dryRun", "[]string")
    preconditions = _typed(given, "preconditions", dict, "v1.Preconditions") or {}
    propagation = _typed(given, "propagationPolicy", str, "v1.DeletionPropagation")
    orphan = _typed(given, "orphanDependents", bool, "bool")
    errors: list[FieldError] = []
    if orphan is not None and propagation is not None:
        errors.append(
            invalid(
                "propagationPolicy",
                propagation,
                "orphanDependents and deletionPropagation cannot be both set",
            )
        )
    if propagation is not None and propagation not in PROPAGATIONS:
        errors.append(unsupported("propagationPolicy", propagation, (*PROPAGATIONS, "nil")))
    errors += _dry_run_errors(dry_run)
    _refuse("DeleteOptions", errors)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    return DeleteOptions(
        grace=_typed(given, "gracePeriodSeconds", int, "int64"),
        dry_run=bool(dry_run),
        uid=_typed(preconditions, "uid", str, "types.UID"),
        resource_version=_typed(preconditions, "resourceVersion", str, "string"),
        propagation=propagation or "",
    )


def _typed(given: Object, name: str, type_: type, go: str) -> Any:
    value = given.get(name)
    if value is not None and (not isinstance(value, type_) or (type_ is int and isinstance(value, bool))):
        raise _wrong_type(name, go)
    return value


def _wrong_type(name: str, go: str) -> BadRequest:
    return BadRequest(
        'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal '
        f"into Go struct field DeleteOptions.{name} of type {go}"
    )


def _refuse(kind: str, errors: list[FieldError]) -> None:
    if errors:
        raise Invalid.of(kind, "", errors, group="meta.k8s.io")
