"""authentication.k8s.io/v1: who somebody is, and tokens that say so.

None of these is kept: a request is answered with itself, its status filled in.
"""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Int64, Object, Time
from minikubelet.v1.meta import Resource


class BoundObjectReference(Object, kw_only=True):
    """An object with which a token ends."""

    kind: str | None = None
    api_version: str | None = None
    name: str | None = None
    uid: str | None = None


class TokenRequestSpec(Object, kw_only=True):
    """What token is asked for."""

    audiences: list[str] | None = None
    expiration_seconds: Int64 | None = None
    bound_object_ref: BoundObjectReference | None = None


class TokenRequestStatus(Object, kw_only=True):
    """The token."""

    token: str | None = None
    expiration_timestamp: Time | None = None


class TokenRequest(Resource, kw_only=True):
    """Asks for a token of a ServiceAccount."""

    API_VERSION: ClassVar[str] = "authentication.k8s.io/v1"

    spec: TokenRequestSpec | None = None
    status: TokenRequestStatus | None = None


class UserInfo(Object, kw_only=True):
    """A user, as the API knows them."""

    username: str | None = None
    uid: str | None = None
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class TokenReviewSpec(Object, kw_only=True):
    """The token in question."""

    token: str | None = None
    audiences: list[str] | None = None


class TokenReviewStatus(Object, kw_only=True):
    """Whose a token is."""

    authenticated: bool | None = None
    user: UserInfo | None = None
    audiences: list[str] | None = None
    error: str | None = None


class TokenReview(Resource, kw_only=True):
    """Asks whose a token is."""

    API_VERSION: ClassVar[str] = "authentication.k8s.io/v1"

    spec: TokenReviewSpec | None = None
    status: TokenReviewStatus | None = None


class SelfSubjectReviewStatus(Object, kw_only=True):
    """Who the asking user is."""

    user_info: UserInfo | None = None


class SelfSubjectReview(Resource, kw_only=True):
    """Asks who one is oneself."""

    API_VERSION: ClassVar[str] = "authentication.k8s.io/v1"

    status: SelfSubjectReviewStatus | None = None
