"""The tables of list types speak of fields that exist, and of keys that their items have."""

from __future__ import annotations

import pytest

from minikubelet.v1 import topology
from minikubelet.v1.resources import RESOURCES
from minikubelet.v1.schema import Shape, fields_of, walk


def structs():
    """Name → struct, of everything that can be in an object; of two Events the core one."""
    found = {}
    for info in RESOURCES:
        found.setdefault(info.type.__name__, info.type)
        for _, struct, field in walk(info.type):
            found.setdefault(struct.__name__, struct)
            inner = field.type
            while inner.item is not None:
                inner = inner.item
            if inner.struct is not None:
                found[inner.struct.__name__] = inner.struct
    return found


KNOWN = structs()


def field_of(place):
    """The field at `STRUCT.FIELD`; None if this node does not know the struct."""
    struct, _, name = place.partition(".")
    return fields_of(KNOWN[struct])[name] if struct in KNOWN else None


@pytest.mark.parametrize("place", sorted(topology.KEYS))
def test_lists_have_items_with_these_keys(place):
    field = field_of(place)
    if field is not None:
        assert field.type.shape is Shape.LIST
        assert set(topology.KEYS[place]) <= set(fields_of(field.type.item.struct))


def test_the_other_tables_speak_of_fields_that_exist():
    lists = topology.SETS | topology.PATCHED_AS_SETS | set(topology.PATCH_KEYS)
    for place in lists:
        assert field_of(place) is None or field_of(place).type.shape is Shape.LIST, place
    for place in topology.ATOMIC_MAPS:
        assert field_of(place).type.shape is Shape.MAP, place
    for place in topology.RETAINS_KEYS | topology.REPLACED_BY_PATCH:
        field_of(place)
    for struct, blanks in topology.ALWAYS_PRESENT.items():
        assert struct not in KNOWN or set(blanks) <= set(fields_of(KNOWN[struct])), struct


@pytest.mark.parametrize(
    ("place", "strategy", "key"),
    [
        ("PodSpec.containers", "merge", "name"),
        ("PodSpec.volumes", "merge,retainKeys", "name"),
        ("Container.ports", "merge", "containerPort"),
        ("ObjectMeta.finalizers", "merge", None),
        ("DeploymentSpec.strategy", "retainKeys", None),
        ("JobStatus.conditions", "merge", "type"),
        ("PodDisruptionBudgetSpec.selector", "replace", None),
        ("ResourceRequirements.claims", "", None),
        ("ServiceAccount.imagePullSecrets", "", None),
    ],
)
def test_how_a_strategic_merge_treats_a_field(place, strategy, key):
    assert (topology.patch_strategy(place), topology.patch_key(place)) == (strategy, key)
