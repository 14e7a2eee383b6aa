"""Which password goes to which registry: docker's config.json by the kubelet's rules."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.runtime.images.credentials import (
    Credentials,
    Entry,
    entries,
    entries_of_secret,
    matching,
)
from minikubelet.runtime.images.reference import Reference


def auth(user: str = "ann", password: str = "pw") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def config(**auths: Any) -> bytes:
    return json.dumps({"auths": auths}).encode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(auth(), Credentials("ann", "pw"), id="auth"),
        pytest.param(auth(password="a:b"), Credentials("ann", "a:b"), id="a colon in the password"),
        pytest.param({"username": "u", "password": "p"}, Credentials("u", "p"), id="in the clear"),
        pytest.param({"identitytoken": "t"}, Credentials(identity_token="t"), id="identity token"),
        pytest.param({"auth": "not base64!"}, None, id="no base64"),
        pytest.param({"auth": base64.b64encode(b"nocolon").decode()}, None, id="no colon"),
        pytest.param({"username": 5}, None, id="a number"),
        pytest.param({}, None, id="nothing"),
        pytest.param("text", None, id="no object"),
    ],
)
def test_an_entry(given: Any, expected: Credentials | None) -> None:
    assert entries(config(x=given)) == ([Entry("x", expected)] if expected else [])


def test_the_older_form_has_no_auths_around_it() -> None:
    assert entries(json.dumps({"x.io": auth()}).encode()) == [Entry("x.io", Credentials("ann", "pw"))]


@pytest.mark.parametrize(
    ("registry", "image", "fits"),
    [
        ("registry.io", "registry.io/a:1", True),
        ("https://registry.io/v2/", "registry.io/a", True),
        ("registry.io", "other.io/a", False),
        ("registry.io", "registry.io:5000/a", False),
        ("registry.io:5000", "registry.io:5000/a", True),
        ("registry.io/team", "registry.io/team/a", True),
        ("registry.io/team", "registry.io/other/a", False),
        ("*.registry.io", "eu.registry.io/a", True),
        ("*.registry.io", "registry.io/a", False),
        ("*.io", "eu.registry.io/a", False),
        ("*.*.io", "eu.registry.io/a", True),
        ("*.registry.io/team", "eu.registry.io/team/a", True),
        ("https://index.docker.io/v1/", "busybox", True),
        ("docker.io", "busybox", True),
        ("registry-1.docker.io", "ann/app", True),
    ],
)
def test_which_images_an_entry_fits(registry: str, image: str, fits: bool) -> None:
    known = Credentials("ann", "pw")
    assert matching(Reference.parse(image), [Entry(registry, known)]) == ([known] if fits else [])


def test_the_most_specific_comes_first_and_equal_ones_once() -> None:
    team, other, whole = Credentials("team"), Credentials("other"), Credentials("whole")
    known = [Entry("x.io", whole), Entry("x.io/team", team), Entry("x.io", other), Entry("x.io", whole)]
    assert matching(Reference.parse("x.io/team/app"), known) == [team, whole, other]


def test_secrets_of_dockers_types_count_and_no_others() -> None:
    data = base64.b64encode(config(x=auth())).decode()
    secret = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": data}}
    assert entries_of_secret(secret) == [Entry("x", Credentials("ann", "pw"))]
    assert entries_of_secret(secret | {"type": "Opaque"}) == []
    assert entries_of_secret(secret | {"data": {".dockerconfigjson": "!"}}) == []
    deep = base64.b64encode(b"[" * 100_000).decode()
    assert entries_of_secret(secret | {"data": {".dockerconfigjson": deep}}) == []
    older = {
        "type": "kubernetes.io/dockercfg",
        "data": {".dockercfg": base64.b64encode(b'{"x": 1}').decode()},
    }
    assert entries_of_secret(older) == []


def test_credentials_do_not_print_their_password() -> None:
    assert "pw" not in repr(Entry("x", Credentials("ann", "pw", "t0ken")))
    assert "t0ken" not in repr(Credentials("ann", "pw", "t0ken"))


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)))  # fmt: skip  # noqa: E501
def test_a_strange_configuration_is_read_or_refused(document: Any) -> None:
    try:
        found = entries(json.dumps({"auths": document}).encode())
    except ValueError:
        return
    assert all(isinstance(entry, Entry) for entry in found)
