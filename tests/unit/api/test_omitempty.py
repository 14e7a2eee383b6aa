"""What is nothing to Go is not stored, and so nobody finds it again."""

from __future__ import annotations

import copy

import pytest

from minikubelet.api.bodies import JSON_PATCH
from minikubelet.api.omitempty import omit_empty
from minikubelet.api.protobuf.messages import by_name, message_name, table
from minikubelet.v1.resources import RESOURCES
from minikubelet.v1.schema import Shape, walk
from tests.unit.api.conftest import PODS, pod


@pytest.mark.parametrize(
    ("given", "left"),
    [
        pytest.param({"hostNetwork": False, "hostname": ""}, {}, id="scalars"),
        pytest.param(
            {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0, "priority": 0},
            {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0, "priority": 0},
            id="pointers",
        ),
        pytest.param({"nodeSelector": {}, "tolerations": [], "overhead": {}}, {}, id="maps and lists"),
        pytest.param({"securityContext": {}}, {"securityContext": {}}, id="a struct"),
        pytest.param(
            {"securityContext": {"supplementalGroups": [], "fsGroup": 0}},
            {"securityContext": {"fsGroup": 0}},
            id="in a struct",
        ),
        pytest.param(
            {
                "volumes": [
                    {"name": "a", "emptyDir": {"medium": ""}},
                    {"name": "b", "configMap": {"items": []}},
                ]
            },
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {}}]},
            id="in a list",
        ),
        pytest.param(
            {"containers": [{"name": "", "stdin": False, "env": [{"name": "A", "value": ""}]}]},
            {"containers": [{"name": "", "env": [{"name": "A"}]}]},
            id="what must be there",
        ),
        pytest.param({"containers": []}, {"containers": []}, id="a list that must be there"),
        pytest.param({"nodeSelector": {"a": ""}}, {"nodeSelector": {"a": ""}}, id="the values of a map"),
        pytest.param(
            {"containers": [{"name": "c", "envFrom": [{"prefix": "", "configMapRef": {"name": ""}}]}]},
            {"containers": [{"name": "c", "envFrom": [{"configMapRef": {}}]}]},
            id="a field lent by another struct",
        ),
    ],
)
def test_nothing_is_left_out(given, left):
    identity = {"apiVersion": "v1", "kind": "Pod"}
    assert omit_empty({**identity, "spec": copy.deepcopy(given)}) == {**identity, "spec": left}


# They came after the table; they, and what is in them, stay as they are sent.
NEWER = {
    "Container.restartPolicyRules",
    "EnvVarSource.fileKeyRef",
    "EphemeralContainer.restartPolicyRules",
    "NodeStatus.declaredFeatures",
    "PodSpec.hostnameOverride",
    "PodSpec.schedulingGroup",
    "PodStatus.allocatedResources",
    "PodStatus.extendedResourceClaimStatus",
    "PodStatus.nodeAllocatableResourceClaimStatuses",
    "PodStatus.resources",
    "ResourceHealth.message",
    "VolumeMountStatus.volumeStatus",
    "VolumeProjection.podCertificate",
}


def test_every_field_that_may_be_stored_is_known_as_what_it_is():
    unknown = set()
    for info in RESOURCES:
        name = message_name(info.type.API_VERSION, info.kind)
        if name is None:
            assert "create" not in info.verbs
            continue
        for path, struct, field in walk(info.type):
            owner = name if struct is info.type else struct.__name__
            if path in ("apiVersion", "kind") or owner not in table():
                continue
            known = by_name(owner).get(field.name)
            if known is None:
                unknown.add(f"{owner}.{field.name}")
            elif field.name != "fieldsV1":
                type = field.type
                assert known.is_list == (type.shape is Shape.LIST)
                assert known.is_map == (type.shape is Shape.MAP)
                assert (known.type in table()) == ((type.item or type).shape is Shape.STRUCT)
    assert unknown == NEWER


def test_an_object_is_found_without_it(api):
    made = api.post(PODS, {**pod("a"), "metadata": {"name": "a", "labels": {"x": "1"}, "annotations": {}}})
    assert made.code == 201
    assert "annotations" not in made.json["metadata"]
    remove = [{"op": "remove", "path": "/metadata/labels/x"}]
    assert "labels" not in api.request("PATCH", f"{PODS}/a", remove, JSON_PATCH).json["metadata"]
    add = [{"op": "add", "path": "/metadata/labels/y", "value": "2"}]
    assert api.request("PATCH", f"{PODS}/a", add, JSON_PATCH).code == 422  # as on a cluster: there is no map


def test_a_map_of_data_keeps_its_empty_texts(api):
    body = {"metadata": {"name": "c"}, "data": {"a": ""}, "binaryData": {}}
    made = api.post("/api/v1/namespaces/default/configmaps", body).json
    assert made["data"] == {"a": ""}
    assert "binaryData" not in made
