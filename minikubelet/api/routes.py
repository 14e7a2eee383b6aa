"""The whole API as one table: path, and what answers each verb.

`{name}` in a path is one segment. Rows are tried from top to bottom, so the special ones stand above the
general ones that would also match. A trailing slash never matters. Who may come in is not said here:
`attributes` is what a request means to do, and `access.roles` who may.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache

from aiohttp import web

from minikubelet.api import about, images, pods, scale, verbs
from minikubelet.api.access import reviews, token_request, users
from minikubelet.api.access.authorization import Attributes
from minikubelet.api.proxy import proxy
from minikubelet.api.request import Call
from minikubelet.errors import MethodNotAllowed, NotFound
from minikubelet.v1.resources import ResourceInfo, served

Endpoint = Callable[[Call], Awaitable[web.StreamResponse]]

BASE = "/{group_version}"  # `api/v1` or `apis/GROUP/VERSION`; see _pattern
IN_NAMESPACE = BASE + "/namespaces/{namespace}"


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `resource` fixes the kind where the path does not name it by a parameter."""

    path: str
    verbs: dict[str, Endpoint]
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a request leads to."""

    route: Route
    endpoint: Endpoint
    params: dict[str, str]  # the named parts of the path
    info: ResourceInfo | None

    @property
    def subresource(self) -> str:
        """`log` of a pod: a parameter, or a word of the path behind `{name}`."""
        _, _, rest = self.route.path.partition("/{name}/")
        return self.params.get("subresource") or rest.partition("/")[0]

    @property
    def lasting(self) -> bool:
        """A stream, which is no request at once."""
        return self.info is not None and self.subresource in STREAMS


COLLECTION: dict[str, Endpoint] = {
    "GET": verbs.list_objects,
    "POST": verbs.create_object,
    "DELETE": verbs.delete_collection,
}
OBJECT: dict[str, Endpoint] = {
    "GET": verbs.get_object,
    "PUT": verbs.replace_object,
    "PATCH": verbs.patch_object,
    "DELETE": verbs.delete_object,
}
PART: dict[str, Endpoint] = {
    "GET": verbs.get_object,
    "PUT": verbs.replace_object,
    "PATCH": verbs.patch_object,
}
SCALE: dict[str, Endpoint] = {
    "GET": scale.get_scale,
    "PUT": scale.replace_scale,
    "PATCH": scale.patch_scale,
}
FINALIZE: dict[str, Endpoint] = {"PUT": verbs.replace_object}
EXEC: dict[str, Endpoint] = {"GET": pods.exec_command, "POST": pods.exec_command}
ATTACH: dict[str, Endpoint] = {"GET": pods.attach, "POST": pods.attach}
PROXY: dict[str, Endpoint] = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), proxy)
FORWARD: dict[str, Endpoint] = {"GET": pods.port_forward, "POST": pods.port_forward}
REVIEWS = "tokenreviews|subjectaccessreviews|selfsubject(?:access|rules)?reviews"
REVIEW: dict[str, Endpoint] = {"POST": reviews.review}
POD = IN_NAMESPACE + "/pods/{name}"

STREAMS = frozenset({"log", "exec", "attach", "portforward", "proxy"})
COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
OBJECT_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}

ROUTES: tuple[Route, ...] = (
    # About this server.
    Route("/version", {"GET": about.version}),
    Route("/{check:healthz|livez|readyz}", {"GET": about.healthy}),
    Route("/{check:livez|readyz}/{part}", {"GET": about.healthy}),
    Route("/openapi/v2", {"GET": about.openapi_v2}),
    Route("/openapi/v3", {"GET": about.openapi_v3_index}),
    Route("/openapi/v3" + BASE, {"GET": about.openapi_v3}),
    Route("/metrics/probes", {"GET": about.probe_metrics}),
    # Discovery.
    Route("/api", {"GET": about.core_group}),
    Route("/apis", {"GET": about.named_groups}),
    Route("/apis/{group}", {"GET": about.one_group}),
    Route(BASE, {"GET": about.group_version}),
    # What only pods have.
    Route(POD + "/log", {"GET": pods.log}, resource="pods"),
    Route(POD + "/exec", EXEC, resource="pods"),
    Route(POD + "/attach", ATTACH, resource="pods"),
    Route(POD + "/portforward", FORWARD, resource="pods"),
    Route(POD + "/proxy", PROXY, resource="pods"),
    Route(POD + "/proxy/{path:.*}", PROXY, resource="pods"),
    Route(POD + "/binding", {"POST": pods.bind}, resource="pods"),
    Route(POD + "/eviction", {"POST": pods.evict}, resource="pods"),
    Route(POD + "/{subresource:ephemeralcontainers|resize}", PART, resource="pods"),
    # Questions about access, and tokens.
    Route(BASE + f"/{{resource:{REVIEWS}}}", REVIEW),
    Route(IN_NAMESPACE + "/localsubjectaccessreviews", REVIEW, resource="localsubjectaccessreviews"),
    Route(
        IN_NAMESPACE + "/serviceaccounts/{name}/token",
        {"POST": token_request.create_token},
        resource="serviceaccounts",
    ),
    # Objects of every kind.
    Route(BASE + "/namespaces/{name}/{subresource:status}", PART, resource="namespaces"),
    Route(BASE + "/namespaces/{name}/{subresource:finalize}", FINALIZE, resource="namespaces"),
    Route(IN_NAMESPACE + "/{resource}", COLLECTION),
    Route(IN_NAMESPACE + "/{resource}/{name}", OBJECT),
    Route(IN_NAMESPACE + "/{resource}/{name}/{subresource:status}", PART),
    Route(IN_NAMESPACE + "/{resource}/{name}/{subresource:scale}", SCALE),
    Route(BASE + "/{resource}", COLLECTION),
    Route(BASE + "/{resource}/{name}", OBJECT),
    Route(BASE + "/{resource}/{name}/{subresource:status}", PART),
    # This node's own.
    Route("/minikubelet/v1/kubeconfig", {"POST": users.create_kubeconfig}),
    Route(
        "/minikubelet/v1/images",
        {"GET": images.list_images, "POST": images.load_image, "DELETE": images.remove_image},
    ),
    Route("/minikubelet/v1/images/archive", {"GET": images.save_image}),
    Route("/minikubelet/v1/images/pull", {"POST": images.pull_image}),
    Route("/minikubelet/v1/images/prune", {"POST": images.prune_images}),
)


def find(path: str, method: str) -> Found:
    """The row for a request. NotFound, MethodNotAllowed."""
    bare = path.rstrip("/")
    if {".", ".."} & set(bare.split("/")):
        raise NotFound("the server could not find the requested resource")
    for route in ROUTES:
        found = _pattern(route.path).fullmatch(bare)
        if found is None:
            continue
        params = {key: _group_version(value) if key == "group_version" else value
                  for key, value in found.groupdict().items()}  # fmt: skip
        info = _resource(route, params)
        if info is None and (route.resource or "resource" in params):
            continue
        endpoint = route.verbs.get("GET" if method == "HEAD" else method)
        if endpoint is None or not _is_offered(endpoint, info, params):
            if info is not None and info.unmade:
                raise MethodNotAllowed(f"{info.key} cannot be made or changed: {info.unmade}")
            raise MethodNotAllowed.of_resource()
        return Found(route, endpoint, params, info)
    raise NotFound("the server could not find the requested resource")


# What a kind may leave out of its verbs.
_VERBS: dict[Endpoint, str] = {
    verbs.list_objects: "list",
    verbs.create_object: "create",
    verbs.delete_collection: "deletecollection",
    verbs.get_object: "get",
    verbs.replace_object: "update",
    verbs.patch_object: "patch",
    verbs.delete_object: "delete",
}


def _is_offered(endpoint: Endpoint, info: ResourceInfo | None, params: dict[str, str]) -> bool:
    """Whether the kind can do that at all. (A subresource has verbs of its own.)"""
    if info is None or "subresource" in params or endpoint not in _VERBS:
        return True
    return _VERBS[endpoint] in info.verbs


def attributes(found: Found, method: str, path: str, *, watching: bool) -> Attributes:
    """What the request means to do, as the API server's rules name it."""
    if found.info is None:
        return Attributes("get" if method == "HEAD" else method.lower(), path=path)
    name = found.params.get("name", "")
    namespace = name if found.info.key == "namespaces" else found.params.get("namespace", "")
    if name or method not in COLLECTION_VERBS:
        verb = OBJECT_VERBS.get(method, "")
    else:
        verb = "watch" if method == "GET" and watching else COLLECTION_VERBS[method]
    return Attributes(verb, found.info.group, found.info.plural, found.subresource, namespace, name)


def _resource(route: Route, params: dict[str, str]) -> ResourceInfo | None:
    """The kind in the path, if this group version has it, at this place, with this subresource."""
    info = served(params.get("group_version", ""), route.resource or params.get("resource", ""))
    if info is None:
        return None
    if "namespace" in params and not info.namespaced:
        return None
    if "namespace" not in params and info.namespaced and "name" in params:
        return None
    if "subresource" in params and params["subresource"] not in info.subresources:
        return None
    return info


def _group_version(prefix: str) -> str:
    """`api/v1` → `v1`, `apis/apps/v1` → `apps/v1`."""
    return prefix.partition("/")[2]


@cache
def _pattern(path: str) -> re.Pattern[str]:
    """`{x}` is one segment, `{x:REGEX}` what that matches, `{group_version}` two or three segments."""

    def part(found: re.Match[str]) -> str:
        name, _, choice = found[1].partition(":")
        if name == "group_version":
            return r"(?P<group_version>api/[^/]+|apis/[^/]+/[^/]+)"
        return f"(?P<{name}>{choice or '[^/]+'})"

    return re.compile(re.sub(r"\{([^}]+)\}", part, path))
