"""Lists and tables: how objects are put together for an answer.

`kubectl get` asks for a Table and prints the cells the server made; with `-o yaml` and friends, and from
every library, plain objects are asked for; who only wants to know what there is, asks for metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from minikubelet.api import negotiation
from minikubelet.api.columns import COLUMNS, DEFAULT_COLUMNS
from minikubelet.api.columns.texts import TEXTS
from minikubelet.errors import BadRequest
from minikubelet.v1.resources import ResourceInfo

Object = dict[str, Any]

INCLUDE = ("", "None", "Metadata", "Object")


def object_list(info: ResourceInfo, items: Sequence[Object], metadata: Object) -> Object:
    return {
        "kind": f"{info.kind}List",
        "apiVersion": info.api_version,
        "metadata": metadata,
        "items": [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items],
    }


def metadata_list(items: Sequence[Object], metadata: Object, version: str) -> Object:
    """Only what the objects are called."""
    return {
        "kind": negotiation.METADATA_LIST,
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "items": [only_metadata(item, version) for item in items],
    }


def only_metadata(item: Object, version: str) -> Object:
    return {
        "kind": negotiation.METADATA,
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": item["metadata"],
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
                "description": TEXTS.get(column.name, ""),
                "priority": column.priority,
            }
            for column in columns.definitions
        ]
    return result


def _included(item: Object, version: str, include: str) -> Object | None:
    if include == "None":
        return None
    return item if include == "Object" else only_metadata(item, version)
