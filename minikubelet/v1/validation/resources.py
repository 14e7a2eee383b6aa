"""Requests and limits (V71–V77)."""

from __future__ import annotations

from minikubelet.v1.container import ResourceRequirements
from minikubelet.v1.pod import PodSpec
from minikubelet.v1.qos import HUGE_PAGES, aggregate_containers, is_pod_level, requested
from minikubelet.v1.quantity import Quantity, QuantityError, parse
from minikubelet.v1.validation.field import (
    NOT_NEGATIVE,
    Errors,
    each_invalid,
    forbidden,
    invalid,
    not_found,
    required,
)
from minikubelet.v1.validation.names import qualified_name

COMPUTE = ("cpu", "memory")
CONTAINER_RESOURCES = ("cpu", "memory", "ephemeral-storage")
# Standard names that are fine for quotas and nodes but not for containers.
OTHER_RESOURCES = frozenset(
    {
        "storage", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
        "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage",
        "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    }
)  # fmt: skip


def resource_errors(
    path: str, resources: ResourceRequirements | None, claims: frozenset[str] = frozenset()
) -> Errors:
    """Requests and limits of a container; `claims` are the names of the pod's resource claims."""
    if resources is None:
        return
    limits, requests = resources.limits or {}, resources.requests or {}
    for name, text in limits.items():
        yield from _entry(f"{path}.limits[{name}]", name, text)
    for name, text in requests.items():
        yield from _entry(f"{path}.requests[{name}]", name, text)
        yield from _request_against_limit(path, name, parse(text), limits)
    names = {*limits, *requests}
    if any(name.startswith(HUGE_PAGES) for name in names) and not names.intersection(COMPUTE):
        yield forbidden(path, "HugePages require cpu or memory")
    for index, claim in enumerate(resources.claims or ()):
        if not claim.name:
            yield required(f"{path}.claims[{index}]")
        elif claim.name not in claims:
            yield not_found(f"{path}.claims[{index}]", claim.name)


def _entry(path: str, name: str, text: str) -> Errors:
    """One line of a resource list: the name, the sign, whole numbers where they are counted in pieces."""
    yield from _name(path, name)
    amount = parse(text)
    if amount.nanos < 0:
        yield invalid(path, str(amount), NOT_NEGATIVE)
    if is_extended(name) and amount.milli_value() % 1000:
        yield invalid(path, str(amount), "must be an integer")
    if name.startswith(HUGE_PAGES):
        yield from _huge_pages(path, name, amount)


def _name(path: str, name: str) -> Errors:
    problems = qualified_name(name)
    if problems:
        yield from each_invalid(path, name, problems)
        return
    container_resource = name in CONTAINER_RESOURCES or name.startswith(HUGE_PAGES)
    if "/" not in name and not container_resource:
        if name not in OTHER_RESOURCES:
            yield invalid(path, name, "must be a standard resource type or fully qualified")
        yield invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def is_native(name: str) -> bool:
    """Kubernetes' own resources."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Somebody's own resource, with a domain: example.com/gpu."""
    return not is_native(name) and not name.startswith("requests.") and not qualified_name(f"requests.{name}")


def may_overcommit(name: str) -> bool:
    """May the request be smaller than the limit?"""
    return is_native(name) and not name.startswith(HUGE_PAGES)


def _huge_pages(path: str, name: str, amount: Quantity) -> Errors:
    try:
        page = parse(name.removeprefix(HUGE_PAGES))
    except QuantityError as error:
        yield invalid(path, str(amount), str(error))
        return
    if page.nanos <= 0 or amount.nanos <= 0 or amount.nanos % page.nanos:
        yield invalid(path, str(amount), f"{amount} is not positive integer multiple of {name}")


def _request_against_limit(path: str, name: str, request: Quantity, limits: dict[str, str]) -> Errors:
    if name not in limits:
        if not may_overcommit(name):
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    limit = parse(limits[name])
    if request.nanos != limit.nanos and not may_overcommit(name):
        yield invalid(f"{path}.requests", str(request), f"must be equal to {name} limit of {limit}")
    elif request.nanos > limit.nanos:
        yield invalid(
            f"{path}.requests", str(request), f"must be less than or equal to {name} limit of {limit}"
        )


def pod_resource_errors(spec: PodSpec) -> Errors:
    """Pod-level requests and limits, against themselves and against the containers'."""
    if spec.resources is None:
        return
    path = "spec.resources"
    if spec.resources.claims is not None:
        yield forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level")
    yield from _pod_level_names(path, spec.resources)
    yield from resource_errors(
        path, ResourceRequirements(limits=spec.resources.limits, requests=spec.resources.requests)
    )
    requests = spec.resources.requests or {}
    for name, needed in aggregate_containers(spec, requested).items():
        if name in requests and needed.nanos > parse(requests[name]).nanos:
            detail = f"must be greater than or equal to aggregate container requests of {needed}"
            yield invalid(f"{path}.requests[{name}]", str(parse(requests[name])), detail)
    yield from _container_limits(spec, spec.resources.limits or {})


def _pod_level_names(path: str, resources: ResourceRequirements) -> Errors:
    for which, given in (("limits", resources.limits), ("requests", resources.requests)):
        for name in given or ():
            if not is_pod_level(name):
                yield invalid(f"{path}.{which}[{name}]", name, "must be a standard resource for pods")


def _container_limits(spec: PodSpec, pod_limits: dict[str, str]) -> Errors:
    """No container may have more than the pod. The path is odd in the API server too."""
    for index, container in enumerate(spec.containers or ()):
        limits = (container.resources.limits if container.resources else None) or {}
        for name, text in limits.items():
            if name in pod_limits and parse(text).nanos > parse(pod_limits[name]).nanos:
                detail = f"must be less than or equal to pod limits of {parse(pod_limits[name])}"
                yield invalid(f"spec.resources.containers[{index}][{name}].limits", str(parse(text)), detail)
