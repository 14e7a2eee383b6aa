"""What the client would like to read: an object as it is, a Table of cells, or its metadata only.

`Accept` lists media types in the order they are liked; `as`, `g` and `v` name another form of the answer.
JSON and YAML are written here; protobuf, which kubectl and informers put first, is passed over, as the API
server does for kinds that have none.
"""

from __future__ import annotations

from dataclasses import dataclass

from minikubelet.errors import ApiError

JSON, YAML = "application/json", "application/yaml"
SPOKEN = {JSON: JSON, "application/*": JSON, "*/*": JSON, YAML: YAML}

TABLE = "Table"
METADATA = "PartialObjectMetadata"
METADATA_LIST = "PartialObjectMetadataList"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


@dataclass(frozen=True, slots=True)
class Form:
    """`kind` empty: the object itself; else a kind of meta.k8s.io/`version`."""

    kind: str = ""
    version: str = ""
    media_type: str = JSON


def wanted(accept: str, *, several: bool = False) -> Form:
    """The first choice that can be had; `several`: of a list. NotAcceptable."""
    if not accept.strip():
        return Form()
    kinds = (TABLE, METADATA_LIST) if several else (TABLE, METADATA)
    for choice in accept.split(","):
        media_type, *parameters = (part.strip() for part in choice.split(";"))
        if media_type not in SPOKEN:
            continue
        given = dict(part.partition("=")[::2] for part in parameters)
        if "as" not in given:
            return Form(media_type=SPOKEN[media_type])
        known = given.get("g") == "meta.k8s.io" and given.get("v") in ("v1", "v1beta1")
        if known and given["as"] in kinds and media_type != YAML:
            return Form(given["as"], given["v"])
    raise NotAcceptable(f"only the following media types are accepted: {JSON}, {YAML}")
