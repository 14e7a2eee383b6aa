"""GET, POST, PUT, PATCH and DELETE of objects: decode, ask `Objects`, encode. One path for every kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from minikubelet.api import deletion, listing, negotiation, protobuf, respond
from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.listing import ListOptions, Page
from minikubelet.api.objects import Change, WriteOptions
from minikubelet.api.patch import json_patch, merge_patch, strategic_merge
from minikubelet.api.request import Call, decode_json
from minikubelet.api.selectors import both, field_selector
from minikubelet.api.table import metadata_list, object_list, only_metadata, table
from minikubelet.api.watch import watch
from minikubelet.errors import BadRequest, ManifestError, UnsupportedMediaType
from minikubelet.v1.decode import parse_json
from minikubelet.v1.manifest import parse

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
PATCHES = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge_patch,
    "application/strategic-merge-patch+json": strategic_merge,
}


# Reading.


async def list_objects(call: Call) -> web.StreamResponse:
    """A list or, with `watch=true`, what happens from now on."""
    options = ListOptions.read(call)
    if options.watch:
        return await watch(call, options)
    return _answer_list(call, listing.part(call.objects, call.resource, call.namespace, options))


async def get_object(call: Call) -> web.StreamResponse:
    """One object; `watch=true` on a single object is a watch on its name."""
    options = ListOptions.read(call)
    if options.watch:
        named = field_selector(call.resource.key, f"metadata.name={call.name}")
        return await watch(call, replace(options, matches=both(options.matches, named)))
    listing.check_reached(options.revision, call.backend.store.revision)
    return _answer(call, call.objects.get(call.resource, call.namespace, call.name))


def _answer_list(call: Call, page: Page) -> web.Response:
    metadata: Object = {"resourceVersion": str(page.revision)}
    if page.proceed:
        metadata["continue"] = page.proceed
    if page.remaining:
        metadata["remainingItemCount"] = page.remaining
    form = negotiation.wanted(call.http.headers.get("Accept", ""), several=True)
    if form.kind == negotiation.TABLE:
        shown = _table(call, page.items, metadata, form.version)
    elif form.kind == negotiation.METADATA_LIST:
        shown = metadata_list(page.items, metadata, form.version)
    else:
        shown = object_list(call.resource, page.items, metadata)
    return respond.object_response(shown, form)


def _answer(call: Call, obj: Object, code: int = 200) -> web.Response:
    """The object, as a Table or its metadata only if the client likes that better."""
    form = negotiation.wanted(call.http.headers.get("Accept", ""))
    if form.kind == negotiation.TABLE:
        metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        obj = _table(call, [obj], metadata, form.version)
    elif form.kind == negotiation.METADATA:
        obj = only_metadata(obj, form.version)
    return respond.object_response(obj, form, code=code, warnings=call.warnings)


def _table(call: Call, items: list[Object], metadata: Object, version: str) -> Object:
    return table(
        call.resource,
        items,
        metadata,
        datetime.now(UTC),
        version=version,
        include=call.text("includeObject"),
    )


# Writing.


async def create_object(call: Call) -> web.StreamResponse:
    body = await read_object(call)
    created = call.objects.create(call.resource, call.namespace, body, write_options(call))
    return _answer(call, created, 201)


async def replace_object(call: Call) -> web.StreamResponse:
    body = await read_object(call)
    return await _update(call, lambda _: body)


async def patch_object(call: Call) -> web.StreamResponse:
    """A patch is validated as the merged object."""
    if call.content_type == APPLY:
        return await _apply_object(call)
    return await _update(call, await patch_from(call))


async def patch_from(call: Call) -> Change:
    """The patch in the body, as what it does to an object."""
    apply = PATCHES.get(call.content_type)
    if apply is None:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - "
            f"accepted media types include: {', '.join([*PATCHES, APPLY])}"
        )
    patch = parse_json(await call.body())

    def change(obj: Object) -> Object:
        changed = apply(obj, patch)
        if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
            raise BadRequest("the patched object is no object any more")
        return changed

    return change


async def _apply_object(call: Call) -> web.StreamResponse:
    """Server-side apply: what is in the body is merged, and created if there is nothing to merge with.

    Without managedFields: nobody owns a field, so there are no conflicts, and what was left out of the file
    since the last time stays.
    """
    if not call.text("fieldManager"):
        raise BadRequest("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: "
                         "is required for apply patch")  # fmt: skip
    body = _from_yaml(await call.body())
    if not call.objects.exists(call.resource, call.namespace, call.name):
        metadata = body.setdefault("metadata", {})
        if isinstance(metadata, dict):  # else decoding has the words for it
            metadata.setdefault("name", call.name)
        created = call.objects.create(call.resource, call.namespace, body, write_options(call))
        return _answer(call, created, 201)
    return await _update(call, lambda obj: strategic_merge(obj, body))


async def _update(call: Call, change: Change) -> web.Response:
    updated = call.objects.update(
        call.resource,
        call.namespace,
        call.name,
        change,
        write_options(call),
        call.params.get("subresource", ""),
    )
    return _answer(call, updated)


def write_options(call: Call) -> WriteOptions:
    validation = call.text("fieldValidation") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        raise BadRequest(
            f'fieldValidation: Unsupported value: "{validation}": '
            'supported values: "Ignore", "Strict", "Warn"'
        )
    return WriteOptions(call.dry_run, validation, call.text("fieldManager"), call.warnings)


async def read_object(call: Call) -> Object:
    """The object in the body: JSON, YAML or (from kubectl 1.32 on) protobuf."""
    body, kind = await call.body(), call.content_type
    if kind == protobuf.CONTENT_TYPE:
        return protobuf.decode(body)
    if kind == "application/yaml":
        return _from_yaml(body)
    if kind not in ("application/json", "text/json", "application/octet-stream", ""):
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            f"application/json, application/yaml, {protobuf.CONTENT_TYPE}"
        )
    return decode_json(body)


def _from_yaml(body: bytes) -> Object:
    """With the manifest reader's rules: no tags, no alias bombs, no duplicate keys."""
    try:
        (document,) = parse(body, "the body")
    except ManifestError as error:
        raise BadRequest(str(error)) from None
    except ValueError:
        raise BadRequest("the body of the request must be one object") from None
    return document.data


# Deleting.


async def delete_object(call: Call) -> web.StreamResponse:
    options = await _delete_options(call)
    obj, gone = call.objects.delete(call.resource, call.namespace, call.name, options)
    if gone and not deletion.is_graceful(call.resource.key):
        metadata = obj["metadata"]
        details = {"name": metadata["name"], "kind": call.resource.plural, "uid": metadata["uid"]}
        if call.resource.group:
            details["group"] = call.resource.group
        return respond.json_response(respond.success(**details), warnings=call.warnings)
    return _answer(call, obj)


async def delete_collection(call: Call) -> web.StreamResponse:
    """Each of the matching objects, as if deleted by name."""
    options = await _delete_options(call)
    page = call.objects.list(call.resource, call.namespace, ListOptions.read(call).matches)
    for obj in page.items:
        metadata = obj["metadata"]
        call.objects.delete(call.resource, metadata.get("namespace", ""), metadata["name"], options)
    return _answer_list(call, Page(page.items, call.backend.store.revision))


async def _delete_options(call: Call) -> DeleteOptions:
    """From the body (where kubectl puts dryRun!), else from the query."""
    body = await call.body()
    given = protobuf.decode(body) if call.content_type == protobuf.CONTENT_TYPE and body else None
    if given is None:
        given = decode_json(body) if body.strip() else {}
    if call.dry_run:
        given["dryRun"] = ["All"]
    grace = call.number("gracePeriodSeconds")
    if grace is not None:
        given.setdefault("gracePeriodSeconds", grace)
    if call.text("propagationPolicy"):
        given.setdefault("propagationPolicy", call.text("propagationPolicy"))
    return DeleteOptions.read(given)
