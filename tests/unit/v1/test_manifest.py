"""Manifests: what is read, what is refused, and with which words (threat A43)."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.errors import ManifestError
from minikubelet.v1.manifest import MAX_BYTES, parse, read

POD = b"apiVersion: v1\nkind: Pod\n"
INVALID = 'error validating "f.yaml": error validating data: '
YAML = "error parsing f.yaml: error converting YAML to JSON: yaml: "


def one(text: bytes) -> dict[str, Any]:
    (document,) = parse(POD + text, "f.yaml")
    return document.data


def refusal(data: bytes) -> str:
    with pytest.raises(ManifestError) as caught:
        parse(data, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", True), ("no", False), ("On", True), ("off", False), ("y", True), ("N", False), ("true", True),
        ("~", None), ("null", None), ("", None), ('"yes"', "yes"), ("'5'", "5"),
        ("0644", 420), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("-5", -5), ("+5", 5),
        ("08", 8),
        ("1e3", 1000), ("3.0", 3), (".5", 0.5), ("1.5", 1.5),
        ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("10.0.0.1", "10.0.0.1"), ("100m", "100m"),
        ("1Gi", "1Gi"), ("0x", "0x"), ("_1", "_1"),
    ],
)  # fmt: skip
def test_bare_words_mean_what_kubectl_makes_of_them(text: str, expected: Any) -> None:
    assert one(f"value: {text}".encode())["value"] == expected


def test_several_documents_are_several_objects_with_their_lines() -> None:
    documents = parse(POD + b"---\n# nothing\n---\n" + POD, "f.yaml")
    assert [(document.data["kind"], document.line) for document in documents] == [("Pod", 1), ("Pod", 6)]


def test_json_documents_may_follow_each_other() -> None:
    documents = parse(b'{"apiVersion":"v1","kind":"Pod"}\n{"apiVersion":"v1","kind":"Secret"}', "f.json")
    assert [document.data["kind"] for document in documents] == ["Pod", "Secret"]
    assert documents[1].line == 2


def test_a_yaml_flow_mapping_is_not_mistaken_for_json() -> None:
    assert parse(b"{apiVersion: v1, kind: Pod}", "f")[0].data == {"apiVersion": "v1", "kind": "Pod"}


def test_lists_are_taken_apart_and_typed_lists_lend_their_kind() -> None:
    text = b"""
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret}
- {apiVersion: v1, kind: PodList, items: [{metadata: {name: a}}, {metadata: {name: b}}]}
"""
    assert [document.data["kind"] for document in parse(text, "f")] == ["Secret", "Pod", "Pod"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only a comment\n", b"---\n---\n"])
def test_an_empty_file_holds_no_objects(data: bytes) -> None:
    assert parse(data, "f.yaml") == []


def test_merge_keys_fill_in_what_is_not_there() -> None:
    text = b"base: &b {x: 1, z: 2}\nmore: &m {z: 9, w: 4}\nmerged:\n  <<: [*b, *m]\n  x: 3\n"
    assert one(text)["merged"] == {"x": 3, "z": 2, "w": 4}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(
            POD + b"a: 1\na: 2", YAML + 'line 4: key "a" already set in map; remove one', id="duplicate key"
        ),
        pytest.param(
            POD + b"a: {b: 1, b: 2}",
            YAML + 'line 3: key "b" already set in map; remove one',
            id="in flow style",
        ),
        pytest.param(
            POD + b"a: !!python/object:os.system x",
            YAML + "line 3: tags are not allowed; remove !!python/object:os.system",
            id="python tag",
        ),
        pytest.param(POD + b"a: !!str 1", YAML + "line 3: tags are not allowed; remove !!str", id="any tag"),
        pytest.param(
            POD + b"a: &x [*x]", YAML + "line 3: anchor 'x' value contains itself", id="recursive alias"
        ),
        pytest.param(POD + b"a: *x", YAML + "line 3: unknown anchor 'x' referenced", id="unknown alias"),
        pytest.param(
            POD + b"a: b: c", YAML + "line 3: mapping values are not allowed in this context", id="syntax"
        ),
        pytest.param(
            POD + b"\ta: 1", YAML + "line 3: found a tab character that violates indentation", id="a tab"
        ),
        pytest.param(
            POD + b"a: .inf",
            YAML + "line 3: .inf has no place in JSON; quote it to make it a text",
            id="infinity",
        ),
        pytest.param(
            POD + b"? [a]\n: 1", YAML + "line 3: a key must be a text, not a list", id="a list as key"
        ),
        pytest.param(
            b"hello",
            "error parsing f.yaml: line 1: expected an object with apiVersion and kind, found a text",
            id="a text",
        ),
        pytest.param(b"kind: Pod", INVALID + "apiVersion not set (line 1)", id="no version"),
        pytest.param(b"a: 1", INVALID + "[apiVersion not set, kind not set] (line 1)", id="neither"),
        pytest.param(
            b"\x7fELF\0\1", "cannot read f.yaml: it is a binary file, not YAML or JSON", id="binary"
        ),
        pytest.param(
            POD + b'a: "\xff"', "cannot read f.yaml: line 3: not UTF-8 text; save it as UTF-8", id="latin-1"
        ),
        pytest.param(
            b'{"apiVersion":"v1","kind":"Pod","kind":"x"}',
            'error parsing f.yaml: json: key "kind" is set twice; remove one',
            id="duplicate in JSON",
        ),
        pytest.param(
            b'{"apiVersion":"v1","kind":"Pod","a":NaN}',
            "error parsing f.yaml: json: NaN is not a JSON value",
            id="NaN in JSON",
        ),
    ],
)
def test_bad_files_give_one_clear_error(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_an_alias_bomb_is_stopped_before_it_goes_off() -> None:
    lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    for level in range(1, 12):
        lines.append(b"a%d: &a%d [%s]" % (level, level, b",".join([b"*a%d" % (level - 1)] * 10)))
    assert "document contains excessive aliasing" in refusal(POD + b"\n".join(lines))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(POD + b"a: " + b"[" * 500 + b"]" * 500, id="YAML"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, id="JSON"),
        pytest.param(
            b'{"apiVersion":"v1","kind":"Pod","a":' + b"[" * 200 + b"]" * 200 + b"}", id="JSON, less deep"
        ),
    ],
)
def test_deep_nesting_is_refused(data: bytes) -> None:
    assert "nested deeper than 100 levels" in refusal(data)


def test_nesting_that_the_scanner_itself_refuses_is_told_as_well() -> None:
    """libyaml looks ahead, and since PyYAML 6.0.4 it stops at 1000 levels of its own accord."""
    assert "nest" in refusal(POD + b"a: " + b"[" * 5000 + b"]" * 5000)


class Counting(io.RawIOBase):
    """An endless file that knows how much was read of it."""

    def __init__(self) -> None:
        self.total = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "read to the end"
        self.total += size
        return b"x" * size


def test_a_huge_file_is_refused_without_reading_it_all() -> None:
    stream = Counting()
    with pytest.raises(ManifestError, match="larger than 10 MiB; is this a manifest"):
        read(stream, "big.yaml")  # type: ignore[arg-type]
    assert stream.total <= MAX_BYTES + 1


@given(st.binary(max_size=200))
def test_no_bytes_do_more_harm_than_a_manifest_error(data: bytes) -> None:
    with suppress(ManifestError):
        parse(data, "f.yaml")
