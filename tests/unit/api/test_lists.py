"""Lists and watches, rule by rule: revisions, parts, initial events, and in which form they are answered."""

from __future__ import annotations

import gzip
import json

import pytest

from minikubelet.api.respond import GZIP_BYTES
from tests.unit.api.conftest import Answer
from tests.unit.api.test_reading import MERGE, TABLE, Watch

CM = "/api/v1/namespaces/default/configmaps"
AS_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
AS_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def make(api, *names, **labels):
    for name in names:
        assert api.post(CM, {"metadata": {"name": name, "labels": labels}}).code == 201
    return api.get(CM).json["metadata"]["resourceVersion"]


def names(answer):
    return [item["metadata"]["name"] for item in answer.json["items"]]


# Which revision.


def test_a_list_is_of_the_newest_revision_or_of_exactly_the_one_asked_for(api):
    before = make(api, "a")
    make(api, "b")
    assert names(api.get(CM)) == names(api.get(CM, resourceVersion="0")) == ["a", "b"]
    assert names(api.get(CM, resourceVersion=before)) == ["a", "b"]  # not older
    for query in ({"resourceVersionMatch": "Exact"}, {"limit": "5"}):
        answer = api.get(CM, resourceVersion=before, **query)
        assert (names(answer), answer.json["metadata"]["resourceVersion"]) == (["a"], before)
    assert names(api.get(CM, resourceVersion=before, resourceVersionMatch="NotOlderThan")) == ["a", "b"]


def test_a_revision_that_is_still_to_come_is_a_timeout(api):
    far = str(int(make(api, "a")) + 1000)
    for path, query in ((CM, {}), (CM, {"resourceVersionMatch": "Exact"}), (f"{CM}/a", {})):
        answer = api.get(path, resourceVersion=far, **query)
        assert (answer.code, answer.json["reason"]) == (504, "Timeout")
        assert answer.json["message"].startswith(f"Timeout: Too large resource version: {far}, current: ")
        assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def test_exactly_a_revision_that_is_forgotten_is_expired(api):
    before = make(api, "a")
    make(api, "b")
    api.inside(lambda: api.node.store.compact(api.node.store.revision))
    answer = api.get(CM, resourceVersion=before, resourceVersionMatch="Exact")
    assert (answer.code, answer.json["reason"]) == (410, "Expired")
    assert answer.json["message"] == "The resourceVersion for the provided list is too old."


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            {"resourceVersionMatch": "Exact"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
            "provided",
        ),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion '
            '"0"',
        ),
        (
            {"resourceVersionMatch": "Newest", "resourceVersion": "1"},
            'resourceVersionMatch: Unsupported value: "Newest": supported values: "Exact", '
            '"NotOlderThan", ""',
        ),
        (
            {"sendInitialEvents": "true"},
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ),
        (
            {"watch": "1", "sendInitialEvents": "true"},
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
            "NotOlderThan",
        ),
        (
            {"watch": "1", "resourceVersionMatch": "NotOlderThan"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
            "sendInitialEvents is provided",
        ),
    ],
)
def test_combinations_that_make_no_sense_are_refused(api, query, message):
    answer = api.get(CM, **query)
    assert answer.code == 422
    assert answer.json["message"] == f'ListOptions.meta.k8s.io "" is invalid: {message}'


def test_what_is_no_revision_is_a_bad_request(api):
    for query in ({}, {"watch": "1"}):
        answer = api.get(CM, resourceVersion="x", **query)
        assert answer.code == 400
        assert answer.json["message"] == (
            'invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": '
            "invalid syntax"
        )
    assert api.get(CM, resourceVersion=str(2**64)).code == 400
    assert api.get(CM, resourceVersion=str(2**63)).code == 504
    assert api.get(CM, resourceVersion="9" * 5000).code == 400, "more digits than Python reads at once"


# Parts.


def test_a_list_comes_in_parts_that_are_true_for_one_revision(api):
    make(api, *"abcde")
    first = api.get(CM, limit="2").json
    assert first["metadata"]["remainingItemCount"] == 3
    make(api, "b2", "f")
    second = api.get(CM, limit="2", **{"continue": first["metadata"]["continue"]})
    assert names(second) == ["c", "d"]
    assert second.json["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = api.get(CM, **{"continue": second.json["metadata"]["continue"]})
    assert names(third) == ["e"]
    assert not {"continue", "remainingItemCount"} & third.json["metadata"].keys()


def test_what_remains_is_not_counted_for_a_selection(api):
    make(api, *"abc", x="y")
    metadata = api.get(CM, limit="1", labelSelector="x=y").json["metadata"]
    assert metadata["continue"]
    assert "remainingItemCount" not in metadata


def test_after_the_first_part_is_forgotten_the_client_may_go_on_at_the_present(api):
    make(api, *"abc")
    token = api.get(CM, limit="1").json["metadata"]["continue"]
    make(api, "b2")
    api.inside(lambda: api.node.store.compact(api.node.store.revision))
    answer = api.get(CM, limit="1", **{"continue": token})
    assert (answer.code, answer.json["reason"]) == (410, "Expired")
    assert "inconsistent list" in answer.json["message"]
    again = api.get(CM, **{"continue": answer.json["metadata"]["continue"]})
    assert names(again) == ["b", "b2", "c"]


def test_a_token_is_the_servers_own_and_knows_its_revision(api):
    revision = make(api, *"ab")
    token = api.get(CM, limit="1").json["metadata"]["continue"]
    for wrong in ("x", "e30", "WzAsIiIsIiJd", "!!!!"):
        answer = api.get(CM, **{"continue": wrong})
        assert (answer.code, answer.json["message"][:22]) == (400, "invalid continue token"), wrong
    answer = api.get(CM, resourceVersion=revision, **{"continue": token})
    assert answer.json["message"] == "specifying resource version is not allowed when using continue"
    assert names(api.get(CM, resourceVersion="0", **{"continue": token})) == ["b"]
    assert api.get(CM, limit="-1").code == 200


# Watches.


def test_a_watch_list_ends_its_beginning_with_a_bookmark(api):
    make(api, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    watch = Watch(api, CM, allowWatchBookmarks="true", **query)
    assert watch.name() == ("ADDED", "a")
    kind, obj = watch.next()
    assert kind == "BOOKMARK"
    assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert obj["metadata"]["resourceVersion"] == api.get(CM).json["metadata"]["resourceVersion"]
    make(api, "b")
    assert watch.name() == ("ADDED", "b")
    watch.close()
    watch = Watch(api, CM, **query)
    make(api, "c")
    assert [watch.name() for _ in range(3)] == [("ADDED", name) for name in "abc"]
    watch.close()


def test_a_watch_may_do_without_its_beginning(api):
    make(api, "a")
    watch = Watch(api, CM, sendInitialEvents="false", resourceVersionMatch="NotOlderThan")
    make(api, "b")
    assert watch.name() == ("ADDED", "b")
    watch.close()


def test_a_watch_on_one_object_takes_selectors_too(api):
    make(api, "a", x="y")
    watch = Watch(api, f"{CM}/a", labelSelector="x%3Dz")
    api.request("PATCH", f"{CM}/a", {"metadata": {"labels": {"x": "z"}}}, MERGE)
    assert watch.name() == ("ADDED", "a")
    watch.close()


# Forms.


def test_metadata_alone_for_lists_objects_and_watches(api):
    api.post(CM, {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}})
    listed = api.request("GET", CM, accept=f"{AS_METADATA_LIST},application/json").json
    assert (listed["kind"], listed["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    (item,) = listed["items"]
    assert item.keys() == {"kind", "apiVersion", "metadata"}
    one = api.request("GET", f"{CM}/a", accept=AS_METADATA).json
    assert (one["kind"], one["metadata"]["labels"]) == ("PartialObjectMetadata", {"x": "y"})
    assert "data" not in one
    watch = Watch(api, CM, accept=AS_METADATA)
    kind, obj = watch.next()
    assert (kind, obj["kind"], "data" in obj) == ("ADDED", "PartialObjectMetadata", False)
    watch.close()


def test_what_cannot_be_spoken_is_not_acceptable(api):
    make(api, "a")
    for accept in ("application/vnd.kubernetes.protobuf", "text/html", AS_METADATA):
        answer = api.request("GET", CM, accept=accept)
        assert (answer.code, answer.json["reason"]) == (406, "NotAcceptable"), accept
    for accept in ("", "*/*", "application/vnd.kubernetes.protobuf, application/json;q=0.9", "application/*"):
        assert names(api.request("GET", CM, accept=accept)) == ["a"], accept
    answer = api.request("GET", f"{CM}/a", accept="application/yaml")
    assert answer.headers["Content-Type"] == "application/yaml"


def test_a_watch_of_tables_has_bookmarks_without_rows(api):
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    watch = Watch(api, CM, accept=TABLE, allowWatchBookmarks="true", **query)
    kind, obj = watch.next()
    assert (kind, obj["kind"], obj["rows"]) == ("BOOKMARK", "Table", [])
    watch.close()


def ask(api, method, path, **headers):
    connection = api.connect()
    connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def test_long_answers_are_packed_for_those_who_can_read_that(api):
    api.post(CM, {"metadata": {"name": "a"}, "data": {"k": "x" * GZIP_BYTES}})
    plain = ask(api, "GET", CM)
    packed = ask(api, "GET", CM, Accept_Encoding="gzip, deflate")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "Content-Encoding" not in ask(api, "GET", "/version", Accept_Encoding="gzip").headers


def test_people_get_their_answers_laid_out(api):
    make(api, "a")
    for path, headers in ((f"{CM}/a?pretty=true", {}), (f"{CM}/a", {"User_Agent": "curl/8.0"})):
        answer = ask(api, "GET", path, **headers)
        assert answer.body.startswith(b'{\n  "')
        assert json.loads(answer.body)["metadata"]["name"] == "a"
    assert b"\n" not in ask(api, "GET", f"{CM}/a?pretty=false", User_Agent="curl/8.0").body
    assert ask(api, "GET", f"{CM}/nobody", User_Agent="curl/8.0").body.startswith(b"{\n")


def test_head_is_a_get_without_a_body_and_slashes_do_not_matter(api):
    make(api, "a")
    for path in (CM, f"{CM}/a", f"{CM}?watch=true", "/api/v1", "/version"):
        answer = ask(api, "HEAD", path)
        assert (answer.code, answer.body) == (200, b""), path
    assert ask(api, "HEAD", f"{CM}/nobody").code == 404
    for path in (f"{CM}/", f"{CM}/a/", "/apis/", "/api/v1/", "/openapi/v3/"):
        assert ask(api, "GET", path).code == 200, path
