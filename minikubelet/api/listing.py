"""What a list and a watch are asked for, and lists in parts.

The rules are those of the API server (`ValidateListOptions`, and the table of resourceVersion and
resourceVersionMatch in the page on API concepts): a list without a revision is the newest, `0` any, `N` one
that is not older, or exactly that one with `Exact` or a limit. A continue token holds the revision of the
first part and where the last one ended. When that revision is forgotten, the client gets 410 and a token with
which it may go on at the present state.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from minikubelet.api.selectors import Matcher, both, field_selector, label_selector
from minikubelet.errors import ApiError, BadRequest, Expired, FieldError, Invalid
from minikubelet.v1 import conversion
from minikubelet.v1.resources import ResourceInfo
from minikubelet.v1.validation.field import forbidden, unsupported

if TYPE_CHECKING:
    from minikubelet.api.objects import Objects
    from minikubelet.api.request import Call

Object = dict[str, Any]

EXACT, NOT_OLDER_THAN = "Exact", "NotOlderThan"
PRESENT = -1  # as the revision of a token: wherever the store is by then
TOO_OLD = "The resourceVersion for the provided list is too old."
INCONSISTENT = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new "
    "list without the continue parameter, or use the continue token in this response to retrieve the "
    "remainder of the results. Continuing with the provided token results in an inconsistent list - objects "
    "that were created, modified, or deleted between the time the first chunk was returned and now may show "
    "up in the list."
)


class TooLargeResourceVersion(ApiError):
    """The client has seen a revision that is still to come: it may ask again."""

    code, reason = 504, "Timeout"

    def __init__(self, wanted: int, present: int) -> None:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        super().__init__(f"Timeout: Too large resource version: {wanted}, current: {present}", causes=[cause])
        self.details["retryAfterSeconds"] = 1


class ContinueExpired(Expired):
    """With a token to go on at the present state, if the client likes."""

    def __init__(self, proceed: str) -> None:
        super().__init__(INCONSISTENT)
        self._proceed = proceed

    def status(self) -> dict[str, object]:
        return {**super().status(), "metadata": {"continue": self._proceed}}


@dataclass(slots=True)
class Page:
    """A list, or a part of one."""

    items: list[Object]
    revision: int
    proceed: str = ""  # metadata.continue
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query of a list or a watch, found valid."""

    matches: Matcher | None = None
    limit: int = 0
    proceed: str = ""
    revision: int | None = None  # None: not given
    exact: bool = False
    watch: bool = False
    bookmarks: bool = False
    initial_events: bool | None = None
    seconds: int = 0  # of a watch; 0: not given

    @classmethod
    def read(cls, call: Call) -> ListOptions:
        """Raises BadRequest, Invalid."""
        options = cls(
            both(
                label_selector(call.text("labelSelector")),
                field_selector(call.resource.key, call.text("fieldSelector")),
            ),
            max(0, call.number("limit") or 0),
            call.text("continue"),
            read_revision(call.text("resourceVersion")),
            call.text("resourceVersionMatch") == EXACT,
            # HEAD asks what a list would be like: a stream has no end to tell of.
            call.flag("watch") and call.http.method != "HEAD",
            call.flag("allowWatchBookmarks"),
            call.flag("sendInitialEvents") if call.text("sendInitialEvents") else None,
            call.number("timeoutSeconds") or 0,
        )
        match = call.text("resourceVersionMatch")
        errors = _watch_errors(options, match) if options.watch else _list_errors(options, match)
        if errors:
            raise Invalid.of("ListOptions", "", errors, group="meta.k8s.io")
        if options.proceed and options.revision and not options.watch:
            raise BadRequest("specifying resource version is not allowed when using continue")
        return options


def read_revision(text: str) -> int | None:
    """A resourceVersion in a query."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text.lstrip("0")) > 20 or int(text) >= 2**64:
        why = "invalid syntax" if not text.isdecimal() else "value out of range"
        raise BadRequest(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": {why}'
        )
    return int(text)


def check_reached(revision: int | None, present: int) -> None:
    """Nobody is shown a state older than one they know already."""
    if revision is not None and revision > present:
        raise TooLargeResourceVersion(revision, present)


def part(objects: Objects, info: ResourceInfo, namespace: str, options: ListOptions) -> Page:
    """At most `limit` objects; the rest by the token, true for the same revision as the first part."""
    store = objects.store
    revision, after = _start(options, store.revision)
    check_reached(revision, store.revision)
    try:
        items, at = store.list(info.stored, namespace or None, at=revision)
    except Expired:
        if options.proceed:
            raise ContinueExpired(_write_token(PRESENT, after)) from None
        raise Expired(TOO_OLD) from None
    items = [conversion.shown(info, obj) for obj in items if _place(obj) > after]
    if options.matches is not None:
        items = [obj for obj in items if options.matches(obj)]
    if not options.limit or len(items) <= options.limit:
        return Page(items, at)
    token = _write_token(at, _place(items[options.limit - 1]))
    # With a selector, the API server would have to read on to know; so nobody relies on it.
    left = len(items) - options.limit if options.matches is None else 0
    return Page(items[: options.limit], at, token, left)


def _start(options: ListOptions, present: int) -> tuple[int | None, tuple[str, str]]:
    """The revision to list (None: the present one), and behind which object."""
    if options.proceed:
        revision, after = _read_token(options.proceed)
        return (None if revision == PRESENT else revision), after
    if options.revision and (options.exact or options.limit):
        return options.revision, ("", "")
    check_reached(options.revision, present)
    return None, ("", "")


def _list_errors(options: ListOptions, match: str) -> list[FieldError]:
    errors = []
    path = "resourceVersionMatch"
    if match:
        if options.revision is None:
            errors.append(forbidden(path, f"{path} is forbidden unless resourceVersion is provided"))
        if options.proceed:
            errors.append(forbidden(path, f"{path} is forbidden when continue is provided"))
        if match not in (EXACT, NOT_OLDER_THAN):
            errors.append(unsupported(path, match, (EXACT, NOT_OLDER_THAN, "")))
        if match == EXACT and options.revision == 0:
            errors.append(forbidden(path, f'{path} "exact" is forbidden for resourceVersion "0"'))
    if options.initial_events is not None:
        errors.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def _watch_errors(options: ListOptions, match: str) -> list[FieldError]:
    errors = []
    path = "resourceVersionMatch"
    if options.initial_events is not None and match != NOT_OLDER_THAN:
        errors.append(forbidden(path, f"sendInitialEvents requires setting {path} to {NOT_OLDER_THAN}"))
    if match:
        if options.initial_events is None:
            detail = f"{path} is forbidden for watch unless sendInitialEvents is provided"
            errors.append(forbidden(path, detail))
        if match != NOT_OLDER_THAN:
            errors.append(unsupported(path, match, (NOT_OLDER_THAN,)))
        if options.proceed:
            errors.append(forbidden(path, f"{path} is forbidden when continue is provided"))
    return errors


def _place(obj: Object) -> tuple[str, str]:
    """Where an object stands in a list."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _write_token(revision: int, after: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([revision, *after])).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        revision, namespace, name = msgspec.json.decode(plain, type=tuple[int, str, str])
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise BadRequest("invalid continue token: continue key is not valid") from None
    if not PRESENT <= revision < 2**63 or revision == 0:
        raise BadRequest("invalid continue token: continue key is not valid: incorrect encoded start "
                         "resourceVersion")  # fmt: skip
    return revision, (namespace, name)
