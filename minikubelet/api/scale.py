"""The subresource `scale`: how many pods, of whatever keeps pods, as an object of its own.

`kubectl scale` writes nothing else. What is read or written here is a view: the number is stored in the
Deployment or ReplicaSet, and a write passes through the same steps as one to the whole object.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from minikubelet.api import respond
from minikubelet.api.bodies import read_object, read_patch
from minikubelet.api.options import write_options
from minikubelet.api.request import Call
from minikubelet.errors import BadRequest, Invalid
from minikubelet.v1 import from_dict
from minikubelet.v1.decode import FieldValidation
from minikubelet.v1.decode import decode as decode_struct
from minikubelet.v1.label_selectors import to_text
from minikubelet.v1.meta import LabelSelector, ObjectMeta
from minikubelet.v1.scale import Scale, ScaleSpec
from minikubelet.v1.validation.field import not_negative

Object = dict[str, Any]

SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Object) -> Object:
    """The Scale of a Deployment or ReplicaSet."""
    spec, metadata = obj["spec"], obj["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": Scale.API_VERSION,
        "metadata": {field: metadata[field] for field in SHOWN if field in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": to_text(from_dict(LabelSelector, spec.get("selector") or {})),
        },
    }


async def get_scale(call: Call) -> web.StreamResponse:
    return respond.json_response(scale_of(call.objects.get(call.resource, call.namespace, call.name)))


async def replace_scale(call: Call) -> web.StreamResponse:
    body = await read_object(call)
    return _write(call, lambda _: body)


async def patch_scale(call: Call) -> web.StreamResponse:
    return _write(call, await read_patch(call))


def _write(call: Call, change: Any) -> web.StreamResponse:
    options = write_options(call)
    options.recorded_as = "scale"

    def scaled(obj: Object) -> Object:
        wanted = change(scale_of(obj))
        if not isinstance(wanted, dict) or not isinstance(wanted.get("metadata", {}), dict):
            raise BadRequest("the patched object is no object any more")
        validation: FieldValidation = options.validation  # type: ignore[assignment]
        scale, warnings = decode_struct(wanted, Scale, validation)
        options.warnings.extend(warnings)
        meta, replicas = scale.metadata or ObjectMeta(), (scale.spec or ScaleSpec()).replicas or 0
        if meta.name not in (None, call.name):
            raise BadRequest(
                f"the name of the object ({meta.name}) does not match the name on the URL ({call.name})"
            )
        errors = list(not_negative("spec.replicas", replicas))
        if errors:
            raise Invalid.of("Scale", call.name, errors, group="autoscaling")
        revision = meta.resource_version or obj["metadata"]["resourceVersion"]
        metadata = {**obj["metadata"], "resourceVersion": revision}
        return {**obj, "metadata": metadata, "spec": {**obj["spec"], "replicas": replicas}}

    updated = call.objects.update(call.resource, call.namespace, call.name, scaled, options)
    return respond.json_response(scale_of(updated), warnings=call.warnings)
