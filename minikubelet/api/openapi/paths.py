"""The paths: what discovery names, with the verbs and query parameters each has.

The patch operations name `fieldValidation` (it tells kubectl that unknown fields are the server's business)
and have no request body: with one, kubectl would take its merge keys from this document instead of from its
own types.
"""

from __future__ import annotations

from typing import Any

from minikubelet.api import discovery
from minikubelet.api.openapi import names
from minikubelet.v1.resources import ResourceInfo

Object = dict[str, Any]

JSON = "application/json"

_TYPES = {"s": "string", "i": "integer", "b": "boolean"}


def _parameters(**given: tuple[str, str]) -> list[Object]:
    return [
        {
            "name": name,
            "in": "query",
            "description": text,
            "schema": {"type": _TYPES[kind], "uniqueItems": True},
        }
        for name, (kind, text) in given.items()
    ]


PRETTY = _parameters(pretty=("s", "true lays the answer out for people."))
SELECT = _parameters(
    labelSelector=("s", "Only objects whose labels match, such as app=web,tier in (a, b)."),
    fieldSelector=("s", "Only objects whose fields match, such as metadata.name=web."),
)
LIST = [
    *SELECT,
    *_parameters(
        allowWatchBookmarks=("b", "Send bookmarks now and then, from which a watch may begin again."),
        limit=("i", "At most so many objects; the answer says where to go on."),
        resourceVersion=("s", "How new the answer must be, or where a watch begins."),
        resourceVersionMatch=("s", "NotOlderThan or Exact."),
        sendInitialEvents=("b", "Begin a watch with what is there, and a bookmark behind it."),
        timeoutSeconds=("i", "End a watch after so many seconds."),
        watch=("b", "Send changes as they happen instead of a list."),
    ),
    {"name": "continue", "in": "query", "description": "Where to go on, as the last answer said.",
     "schema": {"type": "string"}},
]  # fmt: skip
WRITE = _parameters(
    dryRun=("s", "All does everything but store."),
    fieldManager=("s", "Who changes the object, for managedFields."),
    fieldValidation=("s", "What an unknown field is: Ignore, Warn (a warning) or Strict (an error)."),
)
FORCE = _parameters(force=("b", "With server-side apply: take over fields that others own."))
DELETE = _parameters(
    dryRun=("s", "All does everything but store."),
    gracePeriodSeconds=("i", "Seconds of grace instead of the object's own; 0 is at once."),
    propagationPolicy=("s", "What becomes of what belongs to the object: Orphan, Background or Foreground."),
)
STREAMS = _parameters(
    container=("s", "Which container; left out, the only or first one."),
    stdin=("b", "Send standard input."),
    stdout=("b", "Get standard output."),
    stderr=("b", "Get standard error."),
    tty=("b", "With a terminal."),
)
CONNECT: dict[str, list[Object]] = {
    "attach": STREAMS,
    "exec": [*STREAMS, *_parameters(command=("s", "The command; once for each word."))],
    "log": _parameters(
        container=("s", "Which container; left out, the only or first one."),
        follow=("b", "Go on with what is still to come."),
        insecureSkipTLSVerifyBackend=("b", "Without meaning here."),
        limitBytes=("i", "At most so many bytes."),
        previous=("b", "Of the run before."),
        sinceSeconds=("i", "Only the last seconds."),
        sinceTime=("s", "Only after this moment."),
        stream=("s", "Stdout, Stderr or All."),
        tailLines=("i", "Only the last lines."),
        timestamps=("b", "A time in front of each line."),
    ),
    "portforward": _parameters(ports=("i", "Which ports.")),
    "proxy": _parameters(path=("s", "The rest of the path.")),
}
# discovery's verb → HTTP's method, and the action as Kubernetes calls it
COLLECTION = {
    "list": ("get", "list"),
    "create": ("post", "post"),
    "deletecollection": ("delete", "deletecollection"),
}
OBJECT = {
    "get": ("get", "get"),
    "update": ("put", "put"),
    "patch": ("patch", "patch"),
    "delete": ("delete", "delete"),
}
PATH_PARAMETERS = {"name": "Name of the object.", "namespace": "The namespace."}


def paths_of(info: ResourceInfo, place: str) -> Object:
    """The collection, the object and the subresources of one resource; `place` is `api/v1` or so."""
    scope = "/namespaces/{namespace}" if info.namespaced else ""
    collection = f"/{place}{scope}/{info.plural}"
    one = f"{collection}/{{name}}"
    paths = {
        collection: _operations(info, COLLECTION, collection),
        one: _operations(info, OBJECT, one),
    }
    if info.namespaced and "list" in info.verbs:
        everywhere = f"/{place}/{info.plural}"
        listing = {"list": COLLECTION["list"]}
        paths[everywhere] = _operations(info, listing, everywhere)
    for name in info.subresources:
        path = f"{one}/{name}"
        paths[path] = _subresource(info, name, path)
    return {path: made for path, made in paths.items() if made.keys() - {"parameters"}}


def _operations(info: ResourceInfo, verbs: dict[str, tuple[str, str]], path: str) -> Object:
    made: Object = {"parameters": _in_path(path)}
    kind = {"group": info.group, "version": info.version, "kind": info.kind}
    for verb, (method, action) in verbs.items():
        if verb in info.verbs:
            answer = names.of_list(info) if verb == "list" else names.of_struct(info.type)
            made[method] = _operation(verb, action, kind, answer)
    return made


def _operation(verb: str, action: str, kind: Object, answer: str) -> Object:
    parameters = {
        "list": LIST,
        "get": [],
        "create": WRITE,
        "update": WRITE,
        "patch": [*WRITE, *FORCE],
        "delete": DELETE,
        "deletecollection": [*SELECT, *DELETE],
    }[verb]
    made: Object = {
        "operationId": f"{action}_{kind['version']}_{kind['kind']}",
        "parameters": [*PRETTY, *parameters],
        "responses": _responses(answer if verb not in ("delete", "deletecollection") else names.STATUS),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    }
    if verb in ("create", "update"):
        made["requestBody"] = {"required": True, "content": _json(answer)}
    elif verb.startswith("delete"):
        made["requestBody"] = {"content": _json(names.DELETE_OPTIONS)}
    return made


def _subresource(info: ResourceInfo, name: str, path: str) -> Object:
    verbs, api_version, kind = discovery.subresource(info, name)
    group, _, version = api_version.rpartition("/")
    named = {"group": group, "version": version, "kind": kind}
    made: Object = {"parameters": _in_path(path)}
    for verb in verbs:
        if name in CONNECT:
            made["post" if verb == "create" else OBJECT.get(verb, ("get",))[0]] = {
                "operationId": f"connect_{verb}_{name}",
                "parameters": CONNECT[name],
                "responses": {"default": {"description": "a stream, or a Status"}},
                "x-kubernetes-action": "connect",
                "x-kubernetes-group-version-kind": named,
            }
        else:
            method, action = {**COLLECTION, **OBJECT}[verb]
            same = kind == info.kind
            operation = _operation(verb, action, named, names.of_struct(info.type) if same else names.STATUS)
            if not same and "requestBody" in operation:
                operation["requestBody"] = {
                    "required": True,
                    "content": {JSON: {"schema": {"type": "object"}}},
                }
            made[method] = operation | {"operationId": f"{action}_{info.kind}_{name}"}
    return made


def _in_path(path: str) -> list[Object]:
    return [
        {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in PATH_PARAMETERS.items()
        if f"{{{name}}}" in path
    ]


def _responses(schema: str) -> Object:
    return {
        "200": {"description": "OK", "content": _json(schema)},
        "default": {"description": "a Status that says what is wrong", "content": _json(names.STATUS)},
    }


def _json(schema: str) -> Object:
    return {JSON: {"schema": {"$ref": f"{names.REFERENCE}{schema}"}}}
