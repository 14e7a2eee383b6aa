"""What selectors select."""

from __future__ import annotations

import pytest

from minikubelet.api.selectors import both, field_selector, label_selector
from minikubelet.errors import BadRequest

POD = {
    "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web", "n": "5", "x.io/y": ""}},
    "spec": {"nodeName": "n1", "hostNetwork": True},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=db", False),
        ("app!=db", True),
        ("tier!=db", True),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db)", True),
        ("tier notin (db)", True),
        ("app,n", True),
        ("tier", False),
        ("!tier", True),
        ("! app", False),
        ("n>4", True),
        ("n<5", False),
        ("app>4", False),
        ("x.io/y", True),
        ("x.io/y=", True),
        ("app=web,n in (1,5),!tier", True),
        ("app=web,tier", False),
    ],
)
def test_labels(selector, selected):
    assert label_selector(selector)(POD) is selected


@pytest.mark.parametrize("selector", ["a b", "a in b", "=x", "a=b=c", "a in (b", "-a", "a>x", "a=!b", "(a)"])
def test_label_selectors_that_cannot_be_read_are_refused(selector):
    with pytest.raises(BadRequest, match="unable to parse requirement"):
        label_selector(selector)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("metadata.name=web", True),
        ("metadata.name==web,metadata.namespace=default", True),
        ("status.phase!=Running", False),
        ("status.phase!=Succeeded,status.phase!=Failed", True),
        ("spec.nodeName=n1", True),
        ("status.podIP=", True),
        ("spec.hostNetwork=true", True),
        ("metadata.name=we\\,b", False),
    ],
)
def test_fields(selector, selected):
    assert field_selector("pods", selector)(POD) is selected


def test_events_are_found_by_what_they_are_about():
    event = {"metadata": {"name": "e"}, "involvedObject": {"name": "n1"}, "source": {"component": "kubelet"}}
    assert field_selector("events", "involvedObject.name=n1,involvedObject.namespace=,source=kubelet")(event)


@pytest.mark.parametrize(
    ("selector", "message"),
    [("spec.bogus=1", "field label not supported: spec.bogus"), ("metadata.name", "invalid selector")],
)
def test_field_selectors_that_are_not_offered_are_refused(selector, message):
    with pytest.raises(BadRequest, match=message):
        field_selector("pods", selector)


def test_no_selector_selects_everything():
    assert label_selector("") is None
    assert field_selector("pods", "") is None
    assert both(None, None) is None
    assert both(label_selector("app=web"), field_selector("pods", "metadata.name=x"))(POD) is False
