"""What is in configMap, secret, downwardAPI and projected volumes (kubelet-behaviour 9.3, 10.3)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minikubelet.runtime.environment import Facts
from minikubelet.runtime.volumes.atomic_writer import File
from minikubelet.runtime.volumes.payload import PayloadError, Sources, payload, references
from minikubelet.v1 import Pod, Volume, from_dict

OBJECTS = {
    ("configmaps", "conf"): {
        "data": {"a": "1", "nested.ini": "x=ü\n"},
        "binaryData": {"raw": base64.b64encode(b"\xff\0").decode()},
    },
    ("configmaps", "empty"): {},
    ("secrets", "keys"): {"data": {"token": base64.b64encode(b"s3cret").decode(), "a": ""}},
}
POD = {
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "u-1",
        "labels": {"b": "2", "a": 'say "hi"\n'},
        "annotations": {"example.com/note": "ä\t\\"},
    },
    "spec": {
        "containers": [
            {
                "name": "c",
                "resources": {"limits": {"cpu": "1500m"}, "requests": {"cpu": "250m", "memory": "64Mi"}},
            }
        ],
        "initContainers": [{"name": "first", "resources": {"limits": {"memory": "100M"}}}],
    },
}
FACTS = Facts("web", allocatable={"cpu": "4", "memory": "8Gi"})


def files(source: dict[str, Any]) -> dict[str, tuple[bytes, str]]:
    """path → (content, mode in octal)"""
    volume = from_dict(Volume, {"name": "v", **source})
    sources = Sources(from_dict(Pod, POD), FACTS, lambda resource, name: OBJECTS.get((resource, name)))
    return {path: (file.content, f"{file.mode:o}") for path, file in payload(volume, sources).items()}


@pytest.mark.parametrize(
    ("users", "of_pod", "fs_group", "mode", "owner"),
    [
        ([None], None, None, 0o644, None),
        ([7, 7], None, None, 0o600, 7),
        ([7, 8], None, None, 0o644, None),
        ([7, None], None, None, 0o644, None),
        ([7, None], 7, None, 0o600, 7),
        ([None], None, 9, 0o600, None),
        ([7], None, 9, 0o600, 7),
    ],
)
def test_who_may_read_a_token(users, of_pod, fs_group, mode, owner) -> None:
    """The kubelet's rule; ownership adds the group's bits."""
    containers = [{"name": "c", "securityContext": {"runAsUser": user}} for user in users]
    spec = {"containers": containers, "securityContext": {"runAsUser": of_pod, "fsGroup": fs_group}}
    part = {"serviceAccountToken": {"path": "dir/t", "audience": "a", "expirationSeconds": 900}}
    volume = from_dict(Volume, {"name": "v", **projected(part)})
    sources = Sources(
        from_dict(Pod, {"spec": spec}),
        FACTS,
        lambda resource, name: None,
        lambda audience, seconds, present: f"{audience} {seconds} {present}",
        lambda path: f"was {path}".encode(),
    )
    assert payload(volume, sources) == {"dir/t": File(b"a 900 was dir/t", mode, owner)}


def config(**source: Any) -> dict[str, Any]:
    return {"configMap": {"name": "conf", **source}}


def secret(**source: Any) -> dict[str, Any]:
    return {"secret": {"secretName": "keys", **source}}


def downward(*items: dict[str, Any], **source: Any) -> dict[str, Any]:
    return {"downwardAPI": {"items": list(items), **source}}


def projected(*parts: dict[str, Any], **source: Any) -> dict[str, Any]:
    return {"projected": {"sources": list(parts), **source}}


def field(path: str) -> dict[str, Any]:
    return {"path": "f", "fieldRef": {"fieldPath": path}}


def resource(what: str, container: str = "c", **more: Any) -> dict[str, Any]:
    return {"path": "f", "resourceFieldRef": {"containerName": container, "resource": what, **more}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            config(),
            {"a": (b"1", "644"), "nested.ini": ("x=ü\n".encode(), "644"), "raw": (b"\xff\0", "644")},
            id="every key of a ConfigMap, binaryData too",
        ),
        pytest.param(
            config(
                items=[{"key": "a", "path": "etc/a.conf"}, {"key": "raw", "path": "raw", "mode": 0o400}],
                defaultMode=0o600,
            ),
            {"etc/a.conf": (b"1", "600"), "raw": (b"\xff\0", "400")},
            id="only the items, at their paths, with their modes",
        ),
        pytest.param(config(name="none", optional=True), {}, id="optional ConfigMap that is missing"),
        pytest.param(config(name="empty"), {}, id="ConfigMap without data"),
        pytest.param(
            config(items=[{"key": "a", "path": "a"}, {"key": "no", "path": "no"}], optional=True),
            {"a": (b"1", "644")},
            id="optional key that is missing",
        ),
        pytest.param(config(defaultMode=0), dict.fromkeys(("a", "nested.ini", "raw")), id="mode 0 is a mode"),
        pytest.param(
            secret(defaultMode=0o400),
            {"token": (b"s3cret", "400"), "a": (b"", "400")},
            id="a Secret, decoded",
        ),
        pytest.param(secret(secretName="none", optional=True), {}, id="optional Secret that is missing"),
        pytest.param(
            downward(field("metadata.labels")),
            {"f": (b'a="say \\"hi\\"\\n"\nb="2"', "644")},
            id="labels, sorted and quoted, without a newline at the end",
        ),
        pytest.param(
            downward(field("metadata.annotations"), defaultMode=0o440),
            {"f": ('example.com/note="ä\\t\\\\"'.encode(), "440")},
            id="annotations",
        ),
        pytest.param(downward(field("metadata.labels['b']")), {"f": (b"2", "644")}, id="one label"),
        pytest.param(downward(field("metadata.labels['c']")), {"f": (b"", "644")}, id="no such label"),
        pytest.param(downward(field("metadata.uid") | {"mode": 0o444}), {"f": (b"u-1", "444")}, id="uid"),
        pytest.param(downward(resource("limits.cpu")), {"f": (b"2", "644")}, id="cpu, rounded up"),
        pytest.param(downward(resource("limits.cpu", divisor="1m")), {"f": (b"1500", "644")}, id="by 1m"),
        pytest.param(
            downward(resource("requests.memory", divisor="1Mi")), {"f": (b"64", "644")}, id="by 1Mi"
        ),
        pytest.param(downward(resource("limits.memory")), {"f": (b"8589934592", "644")}, id="no limit"),
        pytest.param(
            downward(resource("limits.memory", "first", divisor="1M")),
            {"f": (b"100", "644")},
            id="of another",
        ),
        pytest.param(
            projected(
                {"secret": {"name": "keys"}},
                {"configMap": {"name": "conf", "items": [{"key": "a", "path": "a"}]}},
                {"downwardAPI": {"items": [field("metadata.name") | {"mode": 0o600}]}},
                {"configMap": {"name": "none", "optional": True}},
                defaultMode=0o444,
            ),
            {"token": (b"s3cret", "444"), "a": (b"1", "444"), "f": (b"web", "600")},
            id="projected: merged, the later wins",
        ),
        pytest.param(projected(), {}, id="projected of nothing"),
    ],
)
def test_payload(source: dict[str, Any], expected: dict[str, Any]) -> None:
    found = files(source)
    assert found == {path: value or (found[path][0], "0") for path, value in expected.items()}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (config(name="none"), 'configmap "none" not found'),
        (secret(secretName="none"), 'secret "none" not found'),
        (
            config(items=[{"key": "no", "path": "p"}]),
            "configmap references non-existent config key: no",
        ),
        (secret(items=[{"key": "no", "path": "p"}]), "references non-existent secret key: no"),
        (downward(resource("limits.cpu", "nobody")), "container nobody not found"),
        (projected({"secret": {"name": "none"}}), 'secret "none" not found'),
        (
            projected(
                {"secret": {"name": "none"}}, {"configMap": {"name": "none"}}, {"secret": {"name": "none"}}
            ),
            '[secret "none" not found, configmap "none" not found]',
        ),
    ],
)
def test_what_is_missing_is_said_in_the_kubelets_words(source: dict[str, Any], text: str) -> None:
    with pytest.raises(PayloadError) as caught:
        files(source)
    assert str(caught.value) == text


def test_references_name_every_object_a_volume_is_made_of() -> None:
    def of(source: dict[str, Any]) -> list[tuple[str, str]]:
        return references(from_dict(Volume, {"name": "v", **source}))

    assert of(config()) == [("configmaps", "conf")]
    assert of(secret()) == [("secrets", "keys")]
    assert of(downward()) == []
    assert of(projected({"secret": {"name": "a"}}, {"configMap": {"name": "b"}})) == [
        ("secrets", "a"),
        ("configmaps", "b"),
    ]
