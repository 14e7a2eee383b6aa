"""One Event, two groups: core/v1 and events.k8s.io show and take the same objects."""

from __future__ import annotations

from tests.unit.api.test_reading import TABLE, Watch

CORE = "/api/v1/namespaces/default/events"
NEW = "/apis/events.k8s.io/v1/namespaces/default/events"
ABOUT = {"kind": "Pod", "namespace": "default", "name": "web", "uid": "1"}


def core_event(name="web.1", **more):
    return {
        "metadata": {"name": name},
        "involvedObject": ABOUT,
        "reason": "Started",
        "message": "Container started",
        "source": {"component": "kubelet", "host": "node"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:01:00Z",
        "count": 3,
        "type": "Normal",
        "reportingComponent": "kubelet",
        **more,
    }


def new_event(name="web.2", **more):
    return {
        "metadata": {"name": name},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/tool",
        "reportingInstance": "tool-1",
        "action": "Looking",
        "reason": "Looked",
        "regarding": ABOUT,
        "note": "all is well",
        "type": "Normal",
        **more,
    }


def test_a_core_event_is_shown_in_the_new_shape(api):
    assert api.post(CORE, core_event()).code == 201
    event = api.get(f"{NEW}/web.1").json
    assert (event["apiVersion"], event["kind"]) == ("events.k8s.io/v1", "Event")
    assert event["note"] == "Container started"
    assert event["regarding"] == ABOUT
    assert event["deprecatedCount"] == 3
    assert event["deprecatedSource"] == {"component": "kubelet", "host": "node"}
    assert event["reportingController"] == "kubelet"
    assert not {"message", "involvedObject", "count", "source"} & event.keys()
    assert api.get(NEW).json["apiVersion"] == "events.k8s.io/v1"


def test_a_new_event_is_shown_in_the_core_shape_and_in_the_same_columns(api):
    answer = api.post(NEW, new_event())
    assert (answer.code, answer.json["note"]) == (201, "all is well")
    event = api.get(f"{CORE}/web.2").json
    assert (event["message"], event["involvedObject"]) == ("all is well", ABOUT)
    assert event["apiVersion"] == "v1"
    rows = [api.request("GET", path, accept=TABLE).json["rows"] for path in (CORE, NEW)]
    assert rows[0][0]["cells"] == rows[1][0]["cells"]


def test_new_events_must_say_everything(api):
    answer = api.post(NEW, {"metadata": {"name": "x"}, "regarding": ABOUT, "deprecatedCount": 1})
    assert answer.code == 422
    causes = {(cause["field"], cause["reason"]) for cause in answer.json["details"]["causes"]}
    assert causes == {
        ("eventTime", "FieldValueRequired"),
        ("reportingController", "FieldValueRequired"),
        ("reportingInstance", "FieldValueRequired"),
        ("action", "FieldValueRequired"),
        ("reason", "FieldValueRequired"),
        ("type", "FieldValueNotSupported"),
        ("deprecatedCount", "FieldValueForbidden"),
    }


def test_of_an_event_only_how_it_goes_on_may_change(api):
    api.post(NEW, new_event())
    merge = "application/merge-patch+json"
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:09.000000Z"}
    assert api.request("PATCH", f"{NEW}/web.2", {"series": series}, merge).json["series"]["count"] == 2
    answer = api.request("PATCH", f"{NEW}/web.2", {"note": "something else"}, merge)
    assert (answer.code, answer.json["details"]["causes"][0]["field"]) == (422, "note")
    assert api.request("PATCH", f"{NEW}/web.2", {"series": {"count": 1}}, merge).code == 422
    # core/v1 lets everything be changed, as ever
    assert api.request("PATCH", f"{CORE}/web.2", {"message": "something else"}, merge).code == 200


def test_a_watch_in_the_new_shape_selects_by_its_own_fields(api):
    watch = Watch(api, NEW, fieldSelector="regarding.name=web")
    api.post(CORE, core_event("other", involvedObject={**ABOUT, "name": "other"}))
    api.post(CORE, core_event())
    kind, event = watch.next()
    assert (kind, event["metadata"]["name"], event["note"]) == ("ADDED", "web.1", "Container started")
    watch.close()
    assert api.get(NEW, fieldSelector="involvedObject.name=web").code == 400
    assert len(api.get(NEW, fieldSelector="type=Normal").json["items"]) == 2


def test_deleting_in_one_group_deletes_in_both(api):
    api.post(CORE, core_event())
    assert api.request("DELETE", f"{NEW}/web.1").json["status"] == "Success"
    assert api.get(f"{CORE}/web.1").code == 404
