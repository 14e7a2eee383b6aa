"""kubelet-behaviour 8.2: every decoding mistake at once, in the API server's words."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.errors import BadRequest
from minikubelet.v1 import ConfigMap, Pod, PodSpec, Secret, to_dict
from minikubelet.v1.decode import decode, parse_json
from minikubelet.v1.schema import Shape, fields_of, walk
from tests.unit.v1.pods import manifest

PREFIX = 'Pod in version "v1" cannot be handled as a Pod: '
JSON = PREFIX + "json: cannot unmarshal "
QUOTE = "put it in quotes to make it a text (bare yes, no, on, off are booleans in YAML)"
STRICT = PREFIX + "strict decoding error: "
QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def refusal(data: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        decode(data, Pod)
    return caught.value.message


def test_half_a_surrogate_pair_becomes_the_replacement_character_as_in_go() -> None:
    assert parse_json(rb'{"\ud800": ["a\udfffb", "\ud83d\ude00", "\\ud800"]}') == {
        "\ufffd": ["a\ufffdb", "\U0001f600", r"\ud800"]
    }
    assert parse_json(b'"\xed\xa0\x80"') == "\ufffd"
    twice: Any = parse_json(rb'{"\ud800": 1, "\ud800": 2}')
    assert (twice, twice.duplicates) == ({"\ufffd": 2}, ("\ufffd",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"container": {"imagee": "x"}},
            STRICT + 'unknown field "spec.containers[0].imagee" (did you mean "spec.containers[0].image"?)',
            id="unknown, with a likely name",
        ),
        pytest.param({"qqq": 1}, STRICT + 'unknown field "spec.qqq"', id="unknown, without"),
        pytest.param(
            {"zzzz": 1, "metadata": {"qqq": 2}},
            STRICT + 'unknown field "metadata.qqq", unknown field "spec.zzzz"',
            id="several",
        ),
        pytest.param(
            {"Containers": []},
            STRICT + 'unknown field "spec.Containers" (did you mean "spec.containers"?)',
            id="names are case-sensitive",
        ),
        pytest.param(
            {"container": {"ports": [{"containerPort": "80"}]}},
            JSON + "string into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32 "
            '(at spec.containers[0].ports[0].containerPort: "80")',
            id="text for a number",
        ),
        pytest.param(
            {"container": {"ports": "80"}},
            JSON + "string into Go struct field Container.spec.containers.ports of type "
            '[]v1.ContainerPort (at spec.containers[0].ports: "80")',
            id="text for a list",
        ),
        pytest.param(
            {"volumes": [{"name": "a", "emptyDir": []}]},
            JSON + "array into Go struct field Volume.spec.volumes.emptyDir of type "
            "v1.EmptyDirVolumeSource (at spec.volumes[0].emptyDir: [])",
            id="list for an object",
        ),
        pytest.param(
            {"restartPolicy": 3},
            JSON + "number into Go struct field PodSpec.spec.restartPolicy of type "
            "v1.RestartPolicy (at spec.restartPolicy: 3)",
            id="number for a named text",
        ),
        pytest.param(
            {"container": {"env": [{"name": "A", "value": True}]}},
            JSON + "bool into Go struct field EnvVar.spec.containers.env.value of type string "
            f"(at spec.containers[0].env[0].value: true, {QUOTE})",
            id="the boolean everybody meets",
        ),
        pytest.param(
            {"container": {"ports": [{"containerPort": 2**31}]}},
            JSON + "number 2147483648 into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32 "
            "(at spec.containers[0].ports[0].containerPort: 2147483648)",
            id="too large for int32",
        ),
        pytest.param(
            {"priority": 1.5},
            JSON + "number 1.5 into Go struct field PodSpec.spec.priority of type int32 "
            "(at spec.priority: 1.5)",
            id="a fraction for an integer",
        ),
        pytest.param(
            {"container": {"resources": {"limits": {"cpu": "1Xi"}}}},
            PREFIX + QUANTITY + ' (at spec.containers[0].resources.limits[cpu]: "1Xi")',
            id="bad quantity",
        ),
        pytest.param(
            {"metadata": {"creationTimestamp": "yesterday"}},
            PREFIX + 'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": '
            'cannot parse "yesterday" as "2006" '
            '(at metadata.creationTimestamp: "yesterday")',
            id="bad time",
        ),
        pytest.param(
            {"metadata": {"labels": {"a": 1}}},
            JSON + "number into Go struct field ObjectMeta.metadata.labels of type string "
            f"(at metadata.labels[a]: 1, {QUOTE})",
            id="number as label",
        ),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_api_server(changes: dict[str, Any], message: str) -> None:
    assert refusal(manifest(**changes)) == message


def test_wrong_types_and_unknown_fields_are_told_together() -> None:
    message = refusal(manifest(qqq=1, priority="x", hostNetwork="y", container={"stdin": 1}))
    assert message.count("cannot unmarshal") == 3
    assert 'strict decoding error: unknown field "spec.qqq"' in message


def test_duplicate_names_in_json_are_told_with_their_path() -> None:
    body = parse_json('{"spec":{"containers":[{"name":"a","name":"b"}],"hostname":"a","hostname":"b"}}')
    assert (
        refusal(body) == STRICT + 'duplicate field "spec.hostname", duplicate field "spec.containers[0].name"'
    )


def test_warn_reports_and_drops_and_ignore_drops() -> None:
    made, warnings = decode(manifest(qqq=1), Pod, "Warn")
    assert warnings == ['unknown field "spec.qqq"']
    assert "qqq" not in to_dict(made)["spec"]
    assert decode(manifest(qqq=1), Pod, "Ignore")[1] == []


def test_wrong_types_are_refused_in_every_mode() -> None:
    for mode in ("Strict", "Warn", "Ignore"):
        with pytest.raises(BadRequest, match="cannot unmarshal"):
            decode(manifest(priority="x"), Pod, mode)  # type: ignore[arg-type]


def test_null_is_absent_and_a_number_is_a_quantity() -> None:
    made, _ = decode(
        manifest(
            nodeSelector=None,
            metadata={"creationTimestamp": None, "labels": {"a": None}},
            container={"resources": {"limits": {"cpu": 0.5, "memory": 1024}}, "args": [None]},
        ),
        Pod,
    )
    data = to_dict(made)
    assert "nodeSelector" not in data["spec"]
    assert data["metadata"] == {"name": "web", "namespace": "default", "labels": {"a": ""}}
    assert data["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "0.5", "memory": "1024"}}
    assert data["spec"]["containers"][0]["args"] == [""]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "json: cannot unmarshal array into Go value of type v1.Pod"),
        (
            {"apiVersion": "v2", "kind": "Pod"},
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        ({"apiVersion": "v1", "kind": "Secret"}, 'Secret in version "v1" cannot be handled as a Pod'),
    ],
)
def test_another_kind_is_refused(data: Any, message: str) -> None:
    assert refusal(data) == message


def test_bytes_must_be_base64() -> None:
    with pytest.raises(BadRequest, match="illegal base64 data at input byte 3"):
        decode({"data": {"a": "YWJ$"}}, Secret)
    assert decode({"data": {"a": "YWJj\n"}}, Secret)[0].data == {"a": "YWJj\n"}
    assert decode({"binaryData": {"a": ""}}, ConfigMap)[0].binary_data == {"a": ""}


@pytest.mark.parametrize("body", [b"{", b"nope", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_json(body)


def test_the_whole_pod_survives_decoding_unchanged() -> None:
    data = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "full"}, "spec": filled(PodSpec)}
    made, warnings = decode(data, Pod)
    assert warnings == []
    assert to_dict(made) == data


def filled(struct: Any) -> dict[str, Any]:
    """A value for every field there is."""
    scalars = {
        Shape.STRING: "text", Shape.INT32: 7, Shape.INT64: 2**40, Shape.BOOL: True, Shape.QUANTITY: "1Gi",
        Shape.INT_OR_STRING: "http", Shape.TIME: "2026-01-02T03:04:05Z", Shape.BYTES: "YQ==",
        Shape.ANY: {"f:a": {}}, Shape.MICRO_TIME: "2026-01-02T03:04:05.000006Z",
    }  # fmt: skip

    def of(type_: Any) -> Any:
        match type_.shape:
            case Shape.STRUCT:
                return filled(type_.struct)
            case Shape.LIST:
                return [of(type_.item)]
            case Shape.MAP:
                return {"key": of(type_.item)}
            case shape:
                return scalars[shape]

    return {name: of(field.type) for name, field in fields_of(struct).items()}


def test_the_schema_knows_the_whole_pod() -> None:
    paths = {path for path, _, _ in walk(Pod)}
    assert {
        "spec.containers[*].restartPolicyRules[*].exitCodes.values",
        "spec.volumes[*].projected.sources[*].podCertificate.userAnnotations",
        "spec.hostnameOverride",
        "status.podIPs[*].ip",
        "spec.setHostnameAsFQDN",
    } <= paths
    assert len(paths) > 1300
