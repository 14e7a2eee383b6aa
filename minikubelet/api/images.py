"""Images on the node, for the CLI: kubectl knows nothing of them, so they have a path of their own,
`/minikubelet/v1/images`.

Long work answers with a stream of JSON lines, one per step; a failure behind the first line is a line
`{"error": Status}`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from minikubelet.api import respond
from minikubelet.api.request import Call
from minikubelet.errors import ApiError, BadRequest, InternalError, MinikubeletError

Object = dict[str, Any]

CHUNK = 256 << 10  # bytes of an archive at a time


async def list_images(call: Call) -> web.StreamResponse:
    return respond.json_response({"kind": "ImageList", "items": await call.backend.list_images()})


async def load_image(call: Call) -> web.StreamResponse:
    """The body is a tar of any size; it is read as fast as it is unpacked."""
    return await _progress(call, call.backend.load_image(call.http.content.iter_chunked(CHUNK)))


async def save_image(call: Call) -> web.StreamResponse:
    """A tar. An archive that breaks off is told by the connection: there is no room for words in it."""
    pieces = call.backend.save_image(_name(call))
    first = await anext(pieces, b"")
    response = web.StreamResponse(headers=respond.headers(content_type="application/x-tar"))
    await response.prepare(call.http)
    await response.write(first)
    async for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


async def pull_image(call: Call) -> web.StreamResponse:
    return await _progress(call, call.backend.pull_image(_name(call)))


async def remove_image(call: Call) -> web.StreamResponse:
    return respond.json_response(await call.backend.remove_image(_name(call)))


async def prune_images(call: Call) -> web.StreamResponse:
    return respond.json_response(await call.backend.prune_images())


def _name(call: Call) -> str:
    name = call.text("name")
    if not re.fullmatch(r"[\w.:/@-]{1,512}", name, re.ASCII):
        raise BadRequest(f'cannot use "{name}" as the name of an image')
    return name


async def _progress(call: Call, steps: AsyncIterator[Object]) -> web.StreamResponse:
    """Errors before the first step are HTTP errors."""
    try:
        first = await anext(steps, None)
    except ApiError:
        raise
    except MinikubeletError as error:
        raise InternalError(str(error)) from error
    response = web.StreamResponse(headers=respond.headers())
    await response.prepare(call.http)
    try:
        if first is not None:
            await response.write(respond.encode(first) + b"\n")
        async for step in steps:
            await response.write(respond.encode(step) + b"\n")
    except MinikubeletError as error:
        await response.write(respond.encode({"error": InternalError(str(error)).status()}) + b"\n")
    await response.write_eof()
    return response
