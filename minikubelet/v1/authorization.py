"""authorization.k8s.io/v1: who may do what, as questions. None is kept: each is answered with itself."""

from __future__ import annotations

from typing import ClassVar

from minikubelet.v1.base import Object
from minikubelet.v1.meta import LabelSelectorRequirement, Resource


class FieldSelectorAttributes(Object, kw_only=True):
    """Restricts a question to some fields."""

    raw_selector: str | None = None
    requirements: list[LabelSelectorRequirement] | None = None


class LabelSelectorAttributes(Object, kw_only=True):
    """Restricts a question to some labels."""

    raw_selector: str | None = None
    requirements: list[LabelSelectorRequirement] | None = None


class ResourceAttributes(Object, kw_only=True):
    """Something done to objects."""

    namespace: str | None = None
    verb: str | None = None
    group: str | None = None
    version: str | None = None
    resource: str | None = None
    subresource: str | None = None
    name: str | None = None
    field_selector: FieldSelectorAttributes | None = None
    label_selector: LabelSelectorAttributes | None = None


class NonResourceAttributes(Object, kw_only=True):
    """A path that is no object."""

    path: str | None = None
    verb: str | None = None


class SubjectAccessReviewStatus(Object, kw_only=True):
    """The answer."""

    allowed: bool | None = None
    denied: bool | None = None
    reason: str | None = None
    evaluation_error: str | None = None


class SelfSubjectAccessReviewSpec(Object, kw_only=True):
    """What the asking user would like to do."""

    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None


class SelfSubjectAccessReview(Resource, kw_only=True):
    """Asks whether one may do something oneself."""

    API_VERSION: ClassVar[str] = "authorization.k8s.io/v1"

    spec: SelfSubjectAccessReviewSpec | None = None
    status: SubjectAccessReviewStatus | None = None


class SubjectAccessReviewSpec(Object, kw_only=True):
    """Who would like to do what."""

    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None
    user: str | None = None
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None
    uid: str | None = None


class SubjectAccessReview(Resource, kw_only=True):
    """Asks whether somebody may do something."""

    API_VERSION: ClassVar[str] = "authorization.k8s.io/v1"

    spec: SubjectAccessReviewSpec | None = None
    status: SubjectAccessReviewStatus | None = None


class LocalSubjectAccessReview(Resource, kw_only=True):
    """Asks whether somebody may do something in one namespace."""

    API_VERSION: ClassVar[str] = "authorization.k8s.io/v1"

    spec: SubjectAccessReviewSpec | None = None
    status: SubjectAccessReviewStatus | None = None


class ResourceRule(Object, kw_only=True):
    """What may be done to some objects."""

    verbs: list[str] | None = None
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None


class NonResourceRule(Object, kw_only=True):
    """What may be done with some paths."""

    verbs: list[str] | None = None
    non_resource_urls: list[str] | None = None


class SubjectRulesReviewStatus(Object, kw_only=True):
    """All that is allowed."""

    resource_rules: list[ResourceRule] | None = None
    non_resource_rules: list[NonResourceRule] | None = None
    incomplete: bool | None = None
    evaluation_error: str | None = None


class SelfSubjectRulesReviewSpec(Object, kw_only=True):
    """Where."""

    namespace: str | None = None


class SelfSubjectRulesReview(Resource, kw_only=True):
    """Asks for all that one may do in a namespace."""

    API_VERSION: ClassVar[str] = "authorization.k8s.io/v1"

    spec: SelfSubjectRulesReviewSpec | None = None
    status: SubjectRulesReviewStatus | None = None
