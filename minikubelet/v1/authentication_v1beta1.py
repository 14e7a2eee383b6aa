"""authentication.k8s.io/v1beta1: the SelfSubjectReview that `kubectl auth whoami` 1.27 asks for."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.authentication import SelfSubjectReviewStatus
from minikubelet.v1.meta import Resource


class SelfSubjectReview(Resource, kw_only=True):
    """Asks who one is oneself."""

    API_VERSION: ClassVar[str] = "authentication.k8s.io/v1beta1"

    status: SelfSubjectReviewStatus | None = None
