"""GET, POST, PUT, PATCH and DELETE of objects: decode, ask `Objects`, encode. One path for every kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from minikubelet.api import deletion, intake, kinds, listing, negotiation, respond, virtual
from minikubelet.api.bodies import APPLY, read_configuration, read_object, read_patch
from minikubelet.api.listing import ListOptions, Page
from minikubelet.api.options import delete_options, write_options
from minikubelet.api.patches import Change
from minikubelet.api.request import Call
from minikubelet.api.selectors import both, field_selector
from minikubelet.api.table import metadata_list, object_list, only_metadata, table
from minikubelet.api.watch import watch
from minikubelet.errors import MethodNotAllowed

Object = dict[str, Any]

# Reading.


async def list_objects(call: Call) -> web.StreamResponse:
    """A list or, with `watch=true`, what happens from now on."""
    options = ListOptions.read(call)
    if options.watch and "watch" not in call.resource.verbs:
        raise MethodNotAllowed.of_resource()
    made = virtual.VIRTUAL.get(call.resource.key)
    if made is not None:
        return _answer_list(call, await virtual.read(made, call, options))
    if options.watch:
        return await watch(call, options)
    return _answer_list(call, listing.part(call.objects, call.resource, call.namespace, options))


async def get_object(call: Call) -> web.StreamResponse:
    """One object; `watch=true` on a single object is a watch on its name."""
    options = ListOptions.read(call)
    made = virtual.VIRTUAL.get(call.resource.key)
    if made is not None:
        return _answer(call, await virtual.get(made, call))
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
    """A few kinds are made by a PUT, too."""
    body, subresource = await read_object(call), call.params.get("subresource", "")
    new = not call.objects.exists(call.resource, call.namespace, call.name)
    if new and not subresource and call.resource.key in kinds.CREATED_BY_PUT:
        body = intake.identified(call.resource, call.namespace, body, call.name)
        created = call.objects.create(call.resource, call.namespace, body, write_options(call))
        return _answer(call, created, 201)
    return await _update(call, lambda _: body)


async def patch_object(call: Call) -> web.StreamResponse:
    """A patch is validated as the merged object."""
    if call.content_type == APPLY:
        return await _apply_object(call)
    return await _update(call, await read_patch(call))


async def _apply_object(call: Call) -> web.StreamResponse:
    """Server-side apply: what is in the body is merged, and created if there is nothing to merge with."""
    options = write_options(call)
    config = await read_configuration(call)
    obj, created = call.objects.apply(
        call.resource,
        call.namespace,
        call.name,
        config,
        options,
        call.params.get("subresource", ""),
        force=call.flag("force"),
    )
    return _answer(call, obj, 201 if created else 200)


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


# Deleting.


async def delete_object(call: Call) -> web.StreamResponse:
    options = await delete_options(call)
    obj, gone = call.objects.delete(call.resource, call.namespace, call.name, options)
    if gone and call.resource.key not in deletion.RETURNED:
        metadata = obj["metadata"]
        details = {"name": metadata["name"], "kind": call.resource.plural, "uid": metadata["uid"]}
        if call.resource.group:
            details["group"] = call.resource.group
        return respond.json_response(respond.success(**details), warnings=call.warnings)
    return _answer(call, obj)


async def delete_collection(call: Call) -> web.StreamResponse:
    """Each of the matching objects, as if deleted by name."""
    options = await delete_options(call)
    asked = ListOptions.read(call)
    page = call.objects.list(call.resource, call.namespace, asked.matches)
    page.items = page.items[: asked.limit or None]
    for obj in page.items:
        metadata = obj["metadata"]
        call.objects.delete(call.resource, metadata.get("namespace", ""), metadata["name"], options)
    return _answer_list(call, Page(page.items, call.backend.store.revision))
