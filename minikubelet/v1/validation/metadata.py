"""Metadata: names, namespaces, labels, annotations, owners (V1–V5), for every kind."""

from __future__ import annotations

from collections.abc import Callable

from minikubelet.v1.meta import LabelSelector, LabelSelectorRequirement, ObjectMeta, OwnerReference
from minikubelet.v1.validation.field import (
    IMMUTABLE,
    Errors,
    each_invalid,
    forbidden,
    invalid,
    not_negative,
    required,
    too_long,
)
from minikubelet.v1.validation.names import (
    dns_label,
    dns_subdomain,
    label_value,
    name_prefix,
    qualified_name,
)

MAX_ANNOTATIONS = 256 * 1024  # bytes of keys and values together
NameRule = Callable[[str], list[str]]


def metadata_errors(
    meta: ObjectMeta, *, namespaced: bool = True, name_rule: NameRule = dns_subdomain
) -> Errors:
    """What is wrong with the metadata of a new object."""
    if meta.generate_name:
        yield from each_invalid("metadata.generateName", meta.generate_name, name_prefix(meta.generate_name))
    if not meta.name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from each_invalid("metadata.name", meta.name, name_rule(meta.name))
    yield from _namespace(meta, namespaced)
    yield from not_negative("metadata.generation", meta.generation)
    yield from label_errors("metadata.labels", meta.labels)
    yield from annotation_errors("metadata.annotations", meta.annotations)
    for index, owner in enumerate(meta.owner_references or ()):
        yield from _owner(f"metadata.ownerReferences[{index}]", owner)
    yield from _single_controller(meta)
    for finalizer in meta.finalizers or ():
        yield from each_invalid("metadata.finalizers", finalizer, qualified_name(finalizer))


def _namespace(meta: ObjectMeta, namespaced: bool) -> Errors:
    if not namespaced:
        if meta.namespace:
            yield forbidden("metadata.namespace", "not allowed on this type")
    elif not meta.namespace:
        yield required("metadata.namespace")
    else:
        yield from each_invalid("metadata.namespace", meta.namespace, dns_label(meta.namespace))


def label_errors(path: str, labels: dict[str, str] | None) -> Errors:
    """Labels, and everything that is matched with labels."""
    for key, value in (labels or {}).items():
        yield from each_invalid(path, key, qualified_name(key))
        yield from each_invalid(path, value, label_value(value))


def annotation_errors(path: str, annotations: dict[str, str] | None) -> Errors:
    """Annotations: their keys, and how much they are together."""
    annotations = annotations or {}
    for key in annotations:
        yield from each_invalid(path, key, qualified_name(key.lower()))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > MAX_ANNOTATIONS:
        yield too_long(path, MAX_ANNOTATIONS)


def _owner(path: str, owner: OwnerReference) -> Errors:
    for name, value in (
        ("apiVersion", owner.api_version),
        ("kind", owner.kind),
        ("name", owner.name),
        ("uid", owner.uid),
    ):
        if not value:
            yield invalid(
                f"{path}.{name}", "", f"{'version' if name == 'apiVersion' else name} must not be empty"
            )


def _single_controller(meta: ObjectMeta) -> Errors:
    controllers = [owner for owner in meta.owner_references or () if owner.controller]
    if len(controllers) > 1:
        yield invalid(
            "metadata.ownerReferences",
            controllers[-1],
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {controllers[0].name} and {controllers[-1].name}',
        )


def metadata_update_errors(new: ObjectMeta, old: ObjectMeta) -> Errors:
    """What an update must leave alone."""
    for name, before, after in (
        ("name", old.name, new.name),
        ("namespace", old.namespace, new.namespace),
        ("uid", old.uid, new.uid),
        ("creationTimestamp", old.creation_timestamp, new.creation_timestamp),
        ("deletionTimestamp", old.deletion_timestamp, new.deletion_timestamp),
        ("deletionGracePeriodSeconds", old.deletion_grace_period_seconds, new.deletion_grace_period_seconds),
    ):
        if before != after:
            yield invalid(f"metadata.{name}", after, IMMUTABLE)
    added = [one for one in new.finalizers or () if one not in (old.finalizers or ())]
    if old.deletion_timestamp is not None and added:
        listed = ", ".join(f'"{finalizer}"' for finalizer in added)
        yield forbidden(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{listed}}}",
        )


def label_selector_errors(path: str, selector: LabelSelector | None) -> Errors:
    """A selector over labels."""
    if selector is None:
        return
    yield from label_errors(f"{path}.matchLabels", selector.match_labels)
    for index, expression in enumerate(selector.match_expressions or ()):
        yield from _expression(f"{path}.matchExpressions[{index}]", expression)


def _expression(path: str, expression: LabelSelectorRequirement) -> Errors:
    values = expression.values or []
    if expression.operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif expression.operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(
                f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            )
    else:
        yield invalid(f"{path}.operator", expression.operator or "", "not a valid selector operator")
    yield from each_invalid(f"{path}.key", expression.key or "", qualified_name(expression.key or ""))
    for index, value in enumerate(values):
        yield from each_invalid(f"{path}.values[{index}]", value, label_value(value))
