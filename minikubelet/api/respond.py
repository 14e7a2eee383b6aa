"""Answers: JSON with the headers every client expects, and errors as Status objects."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from minikubelet.api.negotiation import JSON, YAML, Form
from minikubelet.errors import ApiError

WARNINGS_LIMIT, WARNING_LIMIT = 4096, 256  # characters: of all, and of each if all are more
GZIP_BYTES, GZIP_LEVEL = 128 << 10, 1  # as the API server: long answers, at the least effort

# Without it, kubectl's caching transport would answer /version and discovery from its disk.
NO_CACHE = "no-cache, private"


def headers(warnings: Sequence[str] = (), content_type: str = JSON) -> CIMultiDict[str]:
    """One `Warning` header per warning: kubectl prints each on stderr."""
    result: CIMultiDict[str] = CIMultiDict({"Content-Type": content_type, "Cache-Control": NO_CACHE})
    for warning in bounded(list(dict.fromkeys(warnings))):
        shown = "".join(
            char if char.isprintable() else repr(char)[1:-1] for char in " ".join(warning.split())
        )
        escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
        result.add("Warning", f'299 - "{escaped}"')
    return result


def bounded(warnings: list[str]) -> list[str]:
    """As the API server: if all are too much for the headers of an answer each is cut, and the last are left
    out.
    """
    if sum(map(len, warnings)) <= WARNINGS_LIMIT:
        return warnings
    cut = [warning[:WARNING_LIMIT] for warning in warnings]
    written = accumulate(map(len, cut))
    return [warning for warning, so_far in zip(cut, written, strict=True) if so_far <= WARNINGS_LIMIT]


def encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


def json_response(
    value: Any, *, code: int = 200, warnings: Sequence[str] = (), content_type: str = JSON
) -> web.Response:
    return web.Response(body=encode(value), status=code, headers=headers(warnings, content_type))


def object_response(value: Any, form: Form, *, code: int = 200, warnings: Sequence[str] = ()) -> web.Response:
    """An object in the form that was negotiated. JSON is YAML, too, and costs a hundredth of it."""
    return json_response(value, code=code, warnings=warnings, content_type=form.media_type)


def finished(http: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """The answer as it goes out: laid out for people who ask for that, and packed when it is long."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    if response.content_type in (JSON, YAML) and response.body and _is_for_people(http):
        response.body = msgspec.json.format(response.body, indent=2) + b"\n"
    if (
        len(response.body) >= GZIP_BYTES
        and _accepts_gzip(http)
        and "Content-Encoding" not in response.headers
    ):
        response.body = gzip.compress(response.body, GZIP_LEVEL)
        response.headers["Content-Encoding"] = "gzip"
    return response


def _is_for_people(http: web.BaseRequest) -> bool:
    """`pretty` in the query decides; without it, the programs with which people look at an API."""
    pretty = http.query.get("pretty")
    if pretty is not None:
        return pretty not in ("0", "f", "F", "false", "FALSE", "False")
    return http.headers.get("User-Agent", "").startswith(("curl", "Wget", "Mozilla/5.0"))


def _accepts_gzip(http: web.BaseRequest) -> bool:
    return any(
        part.partition(";")[0].strip() == "gzip"
        for part in http.headers.get("Accept-Encoding", "").split(",")
    )


def text_response(text: str, *, code: int = 200) -> web.Response:
    plain = headers(content_type="text/plain; charset=utf-8")
    return web.Response(body=text.encode(), status=code, headers=plain)


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
