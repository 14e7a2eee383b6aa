"""Questions about access as objects: POST one, and it comes back with its status filled in.

    SelfSubjectReview, TokenReview                            who am I, who is this
    SelfSubjectAccessReview, SelfSubjectRulesReview           may I, what may I
    SubjectAccessReview, LocalSubjectAccessReview             may they

`kubectl auth whoami` and `auth can-i` are these. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from minikubelet.agent.service_account_tokens import ISSUER
from minikubelet.api import intake, respond
from minikubelet.api.access.authorization import Attributes, rules_in
from minikubelet.api.access.doors import user_of_claims
from minikubelet.api.access.roles import Rule
from minikubelet.api.access.user import User
from minikubelet.api.bodies import read_object
from minikubelet.api.options import write_options
from minikubelet.api.request import Call
from minikubelet.errors import BadRequest, FieldError, Invalid
from minikubelet.store.store import timestamp, utc_now

Object = dict[str, Any]
SPEC = "spec.resourceAttributes"


async def review(call: Call) -> web.StreamResponse:
    """The object with its answer."""
    body = intake.identified(call.resource, call.namespace, await read_object(call))
    options = write_options(call)
    asked = intake.decode(call.resource, body, options)
    status = _ANSWERS[call.resource.kind](call, asked)
    metadata = {**asked.get("metadata", {}), "creationTimestamp": timestamp(utc_now())}
    answer = {**asked, "metadata": metadata, "status": status}
    return respond.json_response(answer, code=201, warnings=call.warnings)


# Who


def _self(call: Call, asked: Object) -> Object:
    return {"userInfo": user_info(call.user)}


def _token(call: Call, asked: Object) -> Object:
    """Whose token it is: an account's for one of the audiences asked for, or the admin's for the API."""
    spec = asked.get("spec") or {}
    token = spec.get("token", "")
    if not token:
        raise BadRequest("token is required for TokenReview in authentication")
    audiences = spec.get("audiences") or [ISSUER]
    claims = call.access.doorkeeper.tokens.check(token, audiences)
    if claims is not None:
        good_for = [audience for audience in audiences if audience in claims.aud]
        user: User | None = user_of_claims(claims)
    else:
        good_for = [ISSUER]
        user = call.access.doorkeeper.user_of(token) if ISSUER in audiences else None
    if user is None:
        return {"user": {}, "error": "[invalid bearer token]"}
    return {"authenticated": True, "user": user_info(user), "audiences": good_for}


def user_info(user: User) -> Object:
    """A user as v1 UserInfo."""
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


# What


def _may_i(call: Call, asked: Object) -> Object:
    return _decision(call, call.user, _attributes(asked))


def _may_they(call: Call, asked: Object) -> Object:
    spec = asked.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        text = "at least one of user or group must be specified"
        raise _invalid(asked, [FieldError("spec.user", "Invalid", f'Invalid value: "": {text}')])
    attributes = _attributes(asked)
    if call.namespace and attributes.namespace != call.namespace:
        text = f"must match metadata.namespace: {call.namespace}"
        path = f"{SPEC}.namespace"
        wrong = f'Invalid value: "{attributes.namespace}": {text}'
        raise _invalid(asked, [FieldError(path, "Invalid", wrong)])
    user = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""))
    return _decision(call, user, attributes)


def _decision(call: Call, user: User, wanted: Attributes) -> Object:
    reason = call.access.authorizer.decide(user, wanted)
    return {"allowed": False} if reason is None else {"allowed": True, "reason": reason}


def _attributes(asked: Object) -> Attributes:
    """What the question is about."""
    spec = asked.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(asked, [FieldError(SPEC, "Invalid", f"Invalid value: null: {text}")])
    if resource is None:
        path = path or {}
        return Attributes(path.get("verb", ""), path=path.get("path", "") or "/")
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(**{name: resource.get(name, "") for name in names})


def _what_may_i(call: Call, asked: Object) -> Object:
    namespace = (asked.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise BadRequest("no namespace on request")
    rules = list(dict.fromkeys(rules_in(call.access.authorizer.bindings(call.user), namespace)))
    return {
        "resourceRules": [_resource_rule(rule) for rule in rules if rule.resources],
        "nonResourceRules": [_path_rule(rule) for rule in rules if rule.paths],
        "incomplete": False,
    }


def _resource_rule(rule: Rule) -> Object:
    return {"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources}


def _path_rule(rule: Rule) -> Object:
    return {"verbs": rule.verbs, "nonResourceURLs": rule.paths}


def _invalid(asked: Object, errors: Sequence[FieldError]) -> Invalid:
    return Invalid.of(asked["kind"], "", errors, group=asked["apiVersion"].rpartition("/")[0])


_ANSWERS: dict[str, Callable[[Call, Object], Object]] = {
    "SelfSubjectReview": _self,
    "TokenReview": _token,
    "SelfSubjectAccessReview": _may_i,
    "SubjectAccessReview": _may_they,
    "LocalSubjectAccessReview": _may_they,
    "SelfSubjectRulesReview": _what_may_i,
}
