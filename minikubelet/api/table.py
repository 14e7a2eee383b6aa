"""Lists and tables: how objects are put together for an answer.

`kubectl get` asks for `as=Table` and prints the cells the server made; with `-o yaml` and friends, and from
every library, plain objects are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from minikubelet.api.columns import COLUMNS, DEFAULT_COLUMNS
from minikubelet.errors import BadRequest
from minikubelet.v1.resources import ResourceInfo

Object = dict[str, Any]

INCLUDE = ("", "None", "Metadata", "Object")


def wants_table(accept: str) -> str | None:
    """The version of meta.k8s.io Tables the client would like best, if its first choice is a Table."""
    for choice in accept.split(","):
        parameters = {part.strip() for part in choice.split(";")}
        if "application/json" not in parameters:
            continue
        if not {"as=Table", "g=meta.k8s.io"} <= parameters:
            return None
        if "v=v1" in parameters:
            return "v1"
        if "v=v1beta1" in parameters:
            return "v1beta1"
    return None


def object_list(info: ResourceInfo, items: Sequence[Object], metadata: Object) -> Object:
    return {
        "kind": f"{info.kind}List",
        "apiVersion": info.api_version,
        "metadata": metadata,
        "items": [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items],
    }


def table(
    info: ResourceInfo,
    items: Sequence[Object],
    metadata: Object,
    now: datetime,
    *,
    version: str = "v1",
    include: str = "",
    definitions: bool = True,
) -> Object:
    """Cells for people, and per row so much of the object as `includeObject` asks for."""
    if include not in INCLUDE:
        raise BadRequest(f'invalid includeObject: Unsupported value: "{include}"')
    columns = COLUMNS.get(info.key, DEFAULT_COLUMNS)
    result: Object = {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": None,
        "rows": [
            {"cells": columns.cells(item, now), "object": _included(item, version, include)} for item in items
        ],
    }
    if definitions:
        result["columnDefinitions"] = [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "description": f"{column.name} of the {info.singular}",
                "priority": column.priority,
            }
            for column in columns.definitions
        ]
    return result


def _included(item: Object, version: str, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return item
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": item["metadata"],
    }
