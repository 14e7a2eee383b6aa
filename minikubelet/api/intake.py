"""What a body goes through before it may be stored: whose is it, is it readable, is it complete, is it right.

The knowledge is in `minikubelet.v1` (decode, defaults, validation, support); this module puts the steps in
the order that gives the API server's texts, and moves between the dicts of the store and the structs of v1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from minikubelet.errors import BadRequest, FieldError, Invalid
from minikubelet.v1 import Pod, from_dict, support, to_dict
from minikubelet.v1.decode import FieldValidation
from minikubelet.v1.decode import decode as decode_struct
from minikubelet.v1.defaults import admit_pod, set_defaults
from minikubelet.v1.match_label_keys import merge_match_label_keys
from minikubelet.v1.meta import Resource
from minikubelet.v1.resources import ResourceInfo
from minikubelet.v1.service import Service
from minikubelet.v1.service_cautions import service_warnings
from minikubelet.v1.templates import below, described_pod
from minikubelet.v1.validation import validate, validate_update
from minikubelet.v1.zero_values import complete_status

if TYPE_CHECKING:
    from minikubelet.api.objects import WriteOptions

Object = dict[str, Any]
Refuse = Callable[[Pod], list[FieldError]]


def identified(info: ResourceInfo, namespace: str, body: Object, name: str = "") -> Object:
    """The body with kind, namespace and (for a write to a named object) name as the URL has them."""
    body.setdefault("kind", info.kind)
    body.setdefault("apiVersion", info.api_version)
    metadata = body.get("metadata")
    if metadata is None:
        metadata = body["metadata"] = {}
    if not isinstance(metadata, dict):
        return body  # decode has the words for it
    if not info.namespaced:
        metadata.pop("namespace", None)
    elif (metadata.get("namespace") or namespace) != namespace:
        raise BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    else:
        metadata["namespace"] = namespace
    if name and (metadata.get("name") or name) != name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    if name:
        metadata["name"] = name
    return body


def decode(info: ResourceInfo, body: Object, options: WriteOptions) -> Object:
    """Only known fields, each of the right type, no nulls. Raises BadRequest."""
    struct, warnings = decode_struct(body, info.type, cast("FieldValidation", options.validation))
    options.warnings.extend(warnings)
    obj = to_dict(struct)
    complete_status(obj, info.type)
    return obj


def with_defaults(info: ResourceInfo, obj: Object) -> Object:
    """As the client would have written it, had it written everything."""
    struct = from_dict(info.type, obj)
    set_defaults(struct)
    return to_dict(struct)


def refuse_nothing(pod: Pod) -> list[FieldError]:
    """For a node that can do everything."""
    return []


def complete(
    info: ResourceInfo,
    obj: Object,
    options: WriteOptions,
    old: Object | None = None,
    *,
    refuse: Refuse = refuse_nothing,
) -> Object:
    """With defaults, found valid (over `old`, if there is one), and all of it honoured by this node.

    Raises Invalid with every mistake at once.
    """
    struct = from_dict(info.type, obj)
    set_defaults(struct)
    if isinstance(struct, Pod):
        _admit(struct, new=old is None)
    before = None if old is None else from_dict(info.type, old)
    errors = validate(struct) if before is None else validate_update(struct, before)
    errors += _not_honoured(struct, before, options, refuse)
    if errors:
        raise Invalid.of(info.kind, obj["metadata"].get("name", ""), errors, group=info.group)
    return to_dict(struct)


def _not_honoured(
    struct: Resource, old: Resource | None, options: WriteOptions, refuse: Refuse
) -> list[FieldError]:
    """What a new pod, a new template or a Service asks for in vain: told as a warning, or refused."""
    if isinstance(struct, Service) and (not isinstance(old, Service) or struct.spec != old.spec):
        options.warnings.extend(service_warnings(struct))
    described = described_pod(struct)
    if described is None or (
        old is not None and (isinstance(struct, Pod) or described == described_pod(old))
    ):
        return []
    path, pod = described
    warnings, errors = support.check(pod)
    options.warnings.extend(f"{path}.{text}" if path else text for text in warnings)
    return [below(path, error) for error in (*errors, *refuse(pod))]


def _admit(pod: Pod, *, new: bool) -> None:
    """What admission fills in; a pod that exists keeps its status."""
    status = pod.status
    admit_pod(pod)
    if new:
        merge_match_label_keys(pod)
    else:
        pod.status = status
