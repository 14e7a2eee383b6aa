"""ConfigMap and Secret: keys and values that pods take as environment variables or files."""

from __future__ import annotations

from minikubelet.v1.base import Base64
from minikubelet.v1.meta import Resource


class ConfigMap(Resource, kw_only=True):
    """Configuration as keys and values."""

    immutable: bool | None = None
    data: dict[str, str] | None = None
    binary_data: dict[str, Base64] | None = None


class Secret(Resource, kw_only=True):
    """Small confidential values; `data` is base64, `string_data` is plain and only written."""

    immutable: bool | None = None
    data: dict[str, Base64] | None = None
    string_data: dict[str, str] | None = None
    type: str | None = None
