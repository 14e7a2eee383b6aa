"""One request, read: where it goes, its query in Go's way, its body as an object.

Rules that every client relies on: booleans are Go's (`1 t T true TRUE True`), unknown parameters are
ignored, a body without `kind` takes it from the URL.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from minikubelet.api.access.user import NOBODY, User
from minikubelet.errors import BadRequest, RequestEntityTooLarge
from minikubelet.v1.resources import ResourceInfo

if TYPE_CHECKING:
    from minikubelet.api.access.gate import Gate
    from minikubelet.api.backend import Backend
    from minikubelet.api.objects import Objects

Object = dict[str, Any]

BODY_LIMIT = 3 << 20  # bytes of a manifest, as kube-apiserver
BODY_TIME = 60.0  # seconds until a body must have arrived
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})


@dataclass(slots=True)
class Call:
    """A request on its way through the API. `warnings` are sent as headers of the answer."""

    http: web.BaseRequest
    backend: Backend
    objects: Objects
    access: Gate
    params: dict[str, str] = field(default_factory=dict)  # named parts of the path
    user: User = NOBODY
    warnings: list[str] = field(default_factory=list)
    info: ResourceInfo | None = None  # the kind in the path

    @property
    def resource(self) -> ResourceInfo:
        """The kind in the path; only for endpoints whose route has one."""
        assert self.info is not None
        return self.info

    @property
    def namespace(self) -> str:
        """Empty for cluster-wide resources and for requests over all namespaces."""
        return self.params.get("namespace", "")

    @property
    def name(self) -> str:
        return self.params.get("name", "")

    def text(self, parameter: str) -> str:
        return self.http.query.get(parameter, "")

    def flag(self, parameter: str) -> bool:
        value = self.text(parameter)
        if value not in TRUE and value not in _FALSE:
            raise BadRequest(f'strconv.ParseBool: parsing "{value}": invalid syntax')
        return value in TRUE

    def number(self, parameter: str) -> int | None:
        value = self.text(parameter)
        if not value:
            return None
        if not re.fullmatch(r"[-+]?\d{1,18}", value):
            raise BadRequest(f'strconv.ParseInt: parsing "{value}": invalid syntax')
        return int(value)

    def time(self, parameter: str) -> datetime | None:
        value = self.text(parameter)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadRequest(f'parsing time "{value}": cannot parse it as RFC 3339') from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    @property
    def content_type(self) -> str:
        """Without parameters; a body that does not say is JSON."""
        return self.http.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()

    async def body(self) -> bytes:
        """The whole body, within limits of size and time; and then the turn to write."""
        if (self.http.content_length or 0) > BODY_LIMIT:  # rather now than after waiting for it
            raise RequestEntityTooLarge(f"Request entity too large: limit is {BODY_LIMIT}")
        try:
            async with asyncio.timeout(BODY_TIME):
                body = await self.http.read()
        except web.HTTPRequestEntityTooLarge:
            # The rest of the body is not read: the connection cannot be used again.
            raise RequestEntityTooLarge(f"Request entity too large: limit is {BODY_LIMIT}") from None
        except TimeoutError:
            raise BadRequest("the body of the request did not arrive in time") from None
        await self.objects.turns.take()
        return body
