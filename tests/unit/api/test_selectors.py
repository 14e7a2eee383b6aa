"""What selectors select."""

from __future__ import annotations

import re

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
        ("app in (,db)", False),
        ("x.io/y in ()", True),
        ("in", False),
        ("!notin", True),
    ],
)
def test_labels(selector, selected):
    assert label_selector(selector)(POD) is selected


NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', or identifier"),
        ("a=!b", "unable to parse requirement: found '!', expected: identifier"),
        ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("-a", f'unable to parse requirement: <nil>: Invalid value: "-a": {NAME}'),
        (
            "a>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ],
)
def test_label_selectors_that_cannot_be_read_are_refused_in_the_servers_words(selector, message):
    with pytest.raises(BadRequest) as caught:
        label_selector(selector)
    assert str(caught.value) == message


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
        (r"metadata.name!=a\\x", True),
    ],
)
def test_fields(selector, selected):
    assert field_selector("pods", selector)(POD) is selected


def test_events_are_found_by_what_they_are_about():
    event = {"metadata": {"name": "e"}, "involvedObject": {"name": "n1"}, "source": {"component": "kubelet"}}
    assert field_selector("events", "involvedObject.name=n1,involvedObject.namespace=,source=kubelet")(event)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("spec.bogus=1", "field label not supported: spec.bogus"),
        ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ("metadata.name=a=b", "invalid field selector: unescaped character in value: 61"),
        (r"metadata.name=a\x", r"invalid field selector: invalid escape sequence: \x"),
    ],
)
def test_field_selectors_that_are_not_offered_are_refused(selector, message):
    with pytest.raises(BadRequest, match=re.escape(message)):
        field_selector("pods", selector)


def test_no_selector_selects_everything():
    assert label_selector("") is None
    assert field_selector("pods", "") is None
    assert both(None, None) is None
    assert both(label_selector("app=web"), field_selector("pods", "metadata.name=x"))(POD) is False


def test_kinds_without_fields_of_their_own_say_which_they_have():
    with pytest.raises(BadRequest, match="is not a known field selector: only"):
        field_selector("configmaps", "data=x")
    with pytest.raises(BadRequest, match=re.escape('field label "spec.x" not supported for Job')):
        field_selector("jobs.batch", "spec.x=1")
