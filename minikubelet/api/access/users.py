"""A kubeconfig for somebody: a key, and a certificate of our CA with a name and groups in it."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from minikubelet.api import respond
from minikubelet.api.bodies import parse_object
from minikubelet.api.request import Call
from minikubelet.errors import BadRequest, ServiceUnavailable

Object = dict[str, Any]

NAME_LIMIT = 64  # characters of a common name (RFC 5280)
DAYS_LIMIT = 3650
GROUPS_LIMIT = 32


async def create_kubeconfig(call: Call) -> web.StreamResponse:
    """`{"user", "groups": […], "days"}` → `{"kubeconfig": text}`. The key is kept nowhere here."""
    body = parse_object(await call.body())
    user, groups, days = body.get("user"), body.get("groups", []), body.get("days", 365)
    _check_word("user", user)
    if not isinstance(groups, list) or len(groups) > GROUPS_LIMIT:
        raise BadRequest(f"groups: must be at most {GROUPS_LIMIT} names")
    for group in groups:
        _check_word("groups", group)
    if not isinstance(days, int) or isinstance(days, bool) or not 0 < days <= DAYS_LIMIT:
        raise BadRequest(f"days: must be a number from 1 to {DAYS_LIMIT}")
    if call.access.pki is None:
        raise ServiceUnavailable("this agent has no port for kubectl: start it with --listen")
    text = await call.access.pki.kubeconfig_of(call.access.https, str(user), groups, days)
    return respond.json_response({"kubeconfig": text}, code=201)


def _check_word(field: str, word: object) -> None:
    """What may stand in a certificate, and cannot be anything but a name on openssl's command line."""
    good = isinstance(word, str) and 0 < len(word) <= NAME_LIMIT and word.isprintable()
    if not good or set(str(word)) & set('/+"\\,='):
        raise BadRequest(
            f'{field}: {word!r}: must be 1 to {NAME_LIMIT} printable characters, none of them / + , = " \\'
        )
