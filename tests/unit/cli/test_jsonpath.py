"""JSONPath templates, checked against what kubectl prints for the same data."""

from __future__ import annotations

import pytest

from minikubelet.cli.errors import CliError
from minikubelet.cli.jsonpath import find, render

DATA = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "a", "labels": {"app.io/x": "1"}},
            "n": 3,
            "ready": True,
            "ports": [80, 81, 82],
        },
        {"metadata": {"name": "b"}, "n": 7, "ready": False, "ports": []},
    ],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        pytest.param("{.kind}", "List", id="a field"),
        pytest.param("{$.kind}", "List", id="from the root"),
        pytest.param("{.items[*].metadata.name}", "a b", id="every item"),
        pytest.param("{.items[0].n}-{.items[-1].n}", "3-7", id="indices, with text between"),
        pytest.param("{.items[0].ports[1:]}", "81 82", id="a slice"),
        pytest.param("{.items[0].ports[0,2]}", "80 82", id="a union"),
        pytest.param("{.items[0].metadata.labels.app\\.io/x}", "1", id="an escaped dot"),
        pytest.param("{.items[0].metadata.labels['app.io/x']}", "1", id="a quoted key"),
        pytest.param("{.items[?(@.n>5)].metadata.name}", "b", id="a filter by number"),
        pytest.param('{.items[?(@.metadata.name=="a")].n}', "3", id="a filter by text"),
        pytest.param("{.items[?(@.ready==true)].n}", "3", id="a filter by boolean"),
        pytest.param("{.items[?(@.metadata.labels)].n}", "3", id="a filter by existence"),
        pytest.param("{..name}", "a b", id="at any depth"),
        pytest.param("{.missing}{.items[0].none.at.all}", "", id="missing fields are nothing"),
        pytest.param('{range .items[*]}{.metadata.name}={.n}{"\\n"}{end}', "a=3\nb=7\n", id="a range"),
        pytest.param(
            "{range .items[*]}{range .ports[*]}<{@}>{end}{end}", "<80><81><82>", id="a range in a range"
        ),
        pytest.param(
            "{.items[0].metadata}", '{"labels":{"app.io/x":"1"},"name":"a"}', id="an object as JSON"
        ),
        pytest.param("{.items[*].ready}", "true false", id="booleans"),
    ],
)
def test_a_template_gives(template, text):
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    "template", ["{.items", "{range .items[*]}{.n}", "{.items[}", "{.items[9]}", "{.items[x]}"]
)
def test_a_broken_template_is_one_error(template):
    with pytest.raises(CliError):
        render(template, DATA)


def test_an_expression_needs_no_braces():
    assert find(".items[1].n", DATA) == find("{.items[1].n}", DATA) == [7]
