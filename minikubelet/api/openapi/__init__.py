"""OpenAPI version 3: what there is, in a form that programs read (`kubectl explain`, client generators).

Everything comes from what the server itself works with: the schemas from the structs of `minikubelet.v1`, so
that they can never disagree with the decoder, the paths from discovery. A document is made when it is first
asked for and kept as bytes; its hash is in its URL, so that clients fetch it once.

Version 2 is not made: its empty answer (`about.openapi_v2`) tells kubectl that the server validates, which
it does.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import msgspec

from minikubelet.api.discovery import group_versions
from minikubelet.api.openapi.paths import paths_of
from minikubelet.api.openapi.schemas import Schemas

Object = dict[str, Any]

TITLE = "minikubelet"


def index() -> Object:
    """`/openapi/v3`: where the documents are."""
    return {"paths": {_place(version): {"serverRelativeURL": _url(version)} for version in group_versions()}}


@cache
def document(group_version: str) -> bytes | None:
    """One group version as JSON; None if there is none."""
    infos = group_versions().get(group_version)
    if infos is None:
        return None
    schemas = Schemas()
    paths: Object = {}
    for info in infos:
        schemas.add_kind(info)
        paths |= paths_of(info, _place(group_version))
    return msgspec.json.encode(
        {
            "openapi": "3.0.0",
            "info": {"title": TITLE, "version": "v1"},
            "paths": paths,
            "components": {"schemas": dict(sorted(schemas.made.items()))},
        }
    )


@cache
def etag(group_version: str) -> str:
    """The hash of a document."""
    return hashlib.sha256(document(group_version) or b"").hexdigest()[:32]


def _place(group_version: str) -> str:
    return f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"


def _url(group_version: str) -> str:
    return f"/openapi/v3/{_place(group_version)}?hash={etag(group_version)}"
