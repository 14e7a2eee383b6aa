"""Answers: JSON with the headers every client expects, and errors as Status objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from minikubelet.errors import ApiError

JSON = "application/json"

# Without it, kubectl's caching transport would answer /version and discovery from its disk.
NO_CACHE = "no-cache, private"


def headers(warnings: Sequence[str] = (), content_type: str = JSON) -> CIMultiDict[str]:
    """One `Warning` header per warning: kubectl prints each on stderr."""
    result: CIMultiDict[str] = CIMultiDict({"Content-Type": content_type, "Cache-Control": NO_CACHE})
    for warning in dict.fromkeys(warnings):
        escaped = " ".join(warning.split()).replace("\\", "\\\\").replace('"', '\\"')
        result.add("Warning", f'299 - "{escaped}"')
    return result


def encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


def json_response(
    value: Any, *, code: int = 200, warnings: Sequence[str] = (), content_type: str = JSON
) -> web.Response:
    return web.Response(body=encode(value), status=code, headers=headers(warnings, content_type))


def text_response(text: str) -> web.Response:
    return web.Response(body=text.encode(), headers=headers(content_type="text/plain; charset=utf-8"))


def status_response(error: ApiError, warnings: Sequence[str] = ()) -> web.Response:
    """The one place where an error becomes HTTP."""
    response = json_response(error.status(), code=error.code, warnings=warnings)
    if error.code == 429:
        response.headers["Retry-After"] = "1"
    if error.code == 413:
        response.force_close()
    return response


def success(**details: Any) -> dict[str, Any]:
    """A Status that says it went well: the answer to a deletion."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
