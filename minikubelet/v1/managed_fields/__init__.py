"""Server-side apply: who owns which field of an object (KEP-555).

Every write says who makes it, the field manager. `tracked` notes who set what in a create, an update or a
patch; `apply` merges a configuration into an object, takes away what its manager no longer lists, and refuses
what somebody else owns and would be changed. The result is `metadata.managedFields`, as the API server
writes it.

    paths      sets of field paths, and FieldsV1
    values     which fields are set, which changed; merge; take away
    managers   the entries
    ownership  update and apply: how the sets of all managers change (structured-merge-diff's Updater)

Pure, on the dicts of the store.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minikubelet.errors import ApiError, BadRequest, Conflict
from minikubelet.v1.managed_fields import managers, ownership, paths, values
from minikubelet.v1.managed_fields.managers import Manager, Managers
from minikubelet.v1.managed_fields.ownership import Conflicting, Conflicts
from minikubelet.v1.managed_fields.paths import FieldSet
from minikubelet.v1.meta import Resource
from minikubelet.v1.topology import root

Object = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"  # the manager for whom what it applied from the client's side is its own
BEFORE_FIRST_APPLY = "before-first-apply"
NAME_LIMIT = 128  # characters of a manager's name

# The server's own stamps have no owners.
STAMPS = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields",
          "resourceVersion")  # fmt: skip
# What a write to this part of the API cannot set, and so does not own.
NOT_SET_BY = {"": ("status",), "status": ("spec",)}


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes an object of `kind`, through which subresource, at what time (RFC 3339)."""

    kind: type[Resource]
    name: str
    subresource: str
    now: str

    def settable(self, config: Object) -> Object:
        """Without the parts that this write leaves alone, whatever is said about them."""
        left_alone = NOT_SET_BY.get(self.subresource, ())
        return {key: value for key, value in config.items() if key not in left_alone}

    def tracked(self, fields: FieldSet) -> FieldSet:
        """Without what nobody owns and what this write leaves alone."""
        left_alone = NOT_SET_BY.get(self.subresource, ())
        return frozenset(
            path
            for path in fields
            if path[0] not in ("f:apiVersion", "f:kind")
            and path[0][2:] not in left_alone
            and not (path[0] == "f:metadata" and (len(path) == 1 or path[1][2:] in STAMPS))
        )


def manager_name(given: str, user_agent: str) -> str:
    """The field manager of a request: as it says, else the first word of its User-Agent."""
    if given:
        return given
    name = "".join(letter for letter in user_agent.partition("/")[0] if letter.isprintable())
    return name.encode()[:NAME_LIMIT].decode(errors="ignore")


def track(writer: Writer, old: Object | None, new: Object) -> Object:
    """`new` with the managedFields it has after this create, update or patch.

    The managedFields in `new` are the client's: left out they stay as they were, `[]` or `[{}]` ends them,
    and anything else replaces them. An object that nobody tracked (`old` without any) is left untracked.
    """
    given = new["metadata"].get("managedFields")
    before = _decoded(old)
    if writer.subresource == "" and given is not None:
        before = {} if managers.is_reset(given) else _decoded(new) or before
    if old is not None and not before:
        return _with(new, {})
    live, bare = _bare(old or {}), _bare(new)
    comparison = values.compare(live, bare, root(writer.kind))
    manager = managers.updater(writer.name, writer.subresource, writer.kind.API_VERSION)
    after = ownership.update(before, comparison, manager, writer.tracked, writer.now)
    return _restamped(_with(new, managers.capped(after)), old)


def apply(writer: Writer, old: Object | None, config: Object, *, force: bool) -> Object:
    """`old` as `config` wants it, with its managedFields. Raises BadRequest, Conflict."""
    if "managedFields" in config["metadata"]:
        raise BadRequest("metadata.managedFields must be nil")
    config = writer.settable(config)
    node = root(writer.kind)
    live, before = _bare(old or {}), _decoded(old)
    if old is not None and not before:
        untracked = managers.updater(BEFORE_FIRST_APPLY, "", writer.kind.API_VERSION)
        comparison = values.compare({}, live, node)
        before = ownership.update({}, comparison, untracked, writer.tracked, writer.now)
    try:
        values.check_distinct(config, node)
    except values.Ambiguous as error:
        described = _described(config, writer)
        raise BadRequest(f"failed to create typed patch object ({described}): {error}") from None
    fields = values.field_set(config, node)
    change = ownership.Application(
        managers.applier(writer.name, writer.subresource),
        fields,
        writer.tracked(fields),
        writer.kind.API_VERSION,
        writer.now,
    )
    merged, after = _applied(change, live, config, before, writer, force=force)
    if writer.name == KUBECTL and _last_applied(merged):
        merged = _with_last_applied(merged, config)
    return _restamped(_with(merged, after), old)


def _applied(
    change: ownership.Application,
    live: Object,
    config: Object,
    before: Managers,
    writer: Writer,
    *,
    force: bool,
) -> tuple[Object, Managers]:
    """What `kubectl apply` wrote from the client's side is no conflict for `kubectl apply --server-side`."""
    node = root(writer.kind)
    try:
        return ownership.apply(change, live, config, before, node, force=force)
    except Conflicting as error:
        own = _client_applied(live, writer) if writer.name == KUBECTL else paths.EMPTY
        others = {manager: left for manager, fields in error.conflicts.items() if (left := fields - own)}
        if others:
            raise conflict_error(others) from None
        return ownership.apply(change, live, config, before, node, force=True)


def conflict_error(conflicts: Conflicts) -> ApiError:
    """409 with a cause for every field."""
    found = [
        (manager, paths.text(path))
        for manager in sorted(conflicts, key=_identity)
        for path in paths.sorted_paths(conflicts[manager])
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(_listed(found))
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in found
    ]
    return Conflict(message, causes=causes)


def _listed(found: list[tuple[Manager, str]]) -> Iterator[str]:
    for manager, group in itertools.groupby(found, lambda one: one[0]):
        yield f"conflicts with {manager}:"
        yield from (f"- {path}" for _, path in group)


def _identity(manager: Manager) -> str:
    return json.dumps(manager)


def _described(config: Object, writer: Writer) -> str:
    """`default/web; /v1, Kind=Pod`"""
    metadata, version = config["metadata"], writer.kind.API_VERSION
    place = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    return f"{place}; {version if '/' in version else f'/{version}'}, Kind={writer.kind.__name__}"


def _decoded(obj: Object | None) -> Managers:
    """The object's entries; none when they cannot be read."""
    try:
        return managers.decode(obj["metadata"].get("managedFields")) if obj is not None else {}
    except (ValueError, AttributeError):
        return {}


def _bare(obj: Object) -> Object:
    """The object without its managedFields."""
    metadata = obj.get("metadata") or {}
    return {**obj, "metadata": {key: metadata[key] for key in metadata if key != "managedFields"}}


def _with(obj: Object, after: Managers) -> Object:
    obj = _bare(obj)
    if after:
        obj["metadata"]["managedFields"] = managers.encode(after)
    return obj


def _restamped(new: Object, old: Object | None) -> Object:
    """Times only move when something else does: a write that changes nothing must be none."""
    if old is None or "managedFields" not in old["metadata"] or _unversioned(new) != _unversioned(old):
        return new
    entries = new["metadata"].get("managedFields", [])
    if managers.same_but_for_time(entries, old["metadata"]["managedFields"]):
        new["metadata"]["managedFields"] = old["metadata"]["managedFields"]
    return new


def _unversioned(obj: Object) -> Object:
    bare = _bare(obj)
    bare["metadata"].pop("resourceVersion", None)
    return bare


# The annotation of client-side apply.


def _last_applied(obj: Object) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(LAST_APPLIED, ""))


def _client_applied(live: Object, writer: Writer) -> FieldSet:
    """What the last client-side apply set and what is still so."""
    try:
        config = json.loads(_last_applied(live))
        if config["apiVersion"] != writer.kind.API_VERSION:
            return paths.EMPTY
        node = root(writer.kind)
        comparison = values.compare(config, live, node)
        changed = comparison.modified | comparison.added | comparison.removed
        return values.field_set(config, node) - changed
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return paths.EMPTY  # not what kubectl wrote


def _with_last_applied(obj: Object, config: Object) -> Object:
    """With the annotation as the configuration, so that a client-side apply finds what this one did."""
    metadata = dict(config["metadata"])
    metadata["annotations"] = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED
    }
    written = json.dumps(
        {**config, "metadata": metadata}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    annotations = {**obj["metadata"]["annotations"], LAST_APPLIED: written + "\n"}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
