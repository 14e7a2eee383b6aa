"""The OpenAPI documents: whole, true, and what kubectl makes of them."""

from __future__ import annotations

import json

from minikubelet.api import openapi, routes
from minikubelet.api.discovery import group_versions
from minikubelet.api.openapi.names import REFERENCE
from minikubelet.v1 import descriptions, field_rules
from minikubelet.v1.resources import RESOURCES
from minikubelet.v1.schema import fields_of

METHODS = ("get", "put", "post", "patch", "delete")


def documents():
    return {version: json.loads(openapi.document(version)) for version in group_versions()}


def structs():
    """Every struct that an object of some kind may hold, with its fields."""
    found = {}
    waiting = [info.type for info in RESOURCES]
    while waiting:
        struct = waiting.pop()
        if struct in found:
            continue
        found[struct] = fields_of(struct)
        for field in found[struct].values():
            inner = field.type
            while inner.item is not None:
                inner = inner.item
            if inner.struct is not None:
                waiting.append(inner.struct)
    return found


def test_every_field_says_what_it_is_for():
    missing = [
        f"{version}: {name}.{field}"
        for version, document in documents().items()
        for name, schema in document["components"]["schemas"].items()
        if "x-kubernetes-group-version-kind" in schema or name.startswith("io.k8s.api.")
        for field, made in schema["properties"].items()
        if not made.get("description")
    ]
    assert missing == [], "write them into minikubelet/v1/descriptions"


def test_every_type_says_what_it_is():
    for document in documents().values():
        for name, schema in document["components"]["schemas"].items():
            assert schema["description"], name


def test_texts_and_rules_speak_of_fields_that_exist():
    known = {}
    for struct, fields in structs().items():
        known.setdefault(struct.__name__, set()).update(fields)
    for table in (field_rules.DEFAULTS, field_rules.ENUMS):
        wrong = [key for key in table if key[0] in known and key[1] not in known[key[0]]]
        assert wrong == []
    for struct, fields in field_rules.REQUIRED.items():
        assert set(fields) <= known.get(struct, set(fields)), struct
    for struct, texts in descriptions.read().items():
        assert set(texts) <= known.get(struct, set(texts)), struct


def test_every_reference_leads_somewhere():
    for version, document in documents().items():
        schemas = document["components"]["schemas"]
        assert [name for name in _references(document) if name not in schemas] == [], version


def _references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].removeprefix(REFERENCE)
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def test_every_path_and_method_is_answered_by_a_route():
    for version, document in documents().items():
        for path, operations in document["paths"].items():
            for method in METHODS:
                if method in operations:
                    real = path.replace("{namespace}", "default").replace("{name}", "web")
                    assert routes.find(real, method.upper()), (version, method, path)


def test_a_patch_has_no_body_so_that_kubectl_uses_its_own_merge_keys():
    for document in documents().values():
        for operations in document["paths"].values():
            if "patch" in operations:
                assert "requestBody" not in operations["patch"]


def test_a_document_is_fetched_once(api):
    index = api.get("/openapi/v3").json["paths"]
    assert set(index) == {f"apis/{v}" if "/" in v else f"api/{v}" for v in group_versions()}
    url = index["api/v1"]["serverRelativeURL"]
    first = api.get(url)
    assert (first.code, first.headers["Cache-Control"]) == (200, "public, max-age=31536000")
    connection = api.connect()
    connection.request("GET", url, headers={"If-None-Match": first.headers["Etag"]})
    again = connection.getresponse()
    assert (again.status, again.read()) == (304, b"")
    connection.close()


def test_version_2_is_empty_and_kubectl_can_read_its_type(api):
    answer = api.get("/openapi/v2")
    assert (answer.code, answer.body) == (200, b"")
    assert "@" not in answer.headers["Content-Type"]
    assert api.get("/openapi/v3/apis/nobody/v1").code == 404
