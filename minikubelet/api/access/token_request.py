"""`serviceaccounts/NAME/token`: a token of an account for whoever may ask, `kubectl create token`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from minikubelet.agent.service_account_tokens import ACCOUNTS, ISSUER, Where, bound
from minikubelet.api import respond
from minikubelet.api.bodies import read_object
from minikubelet.api.request import Call
from minikubelet.errors import BadRequest, Conflict, FieldError, Invalid
from minikubelet.store.store import timestamp, utc_now
from minikubelet.v1.authentication import BoundObjectReference, TokenRequest, TokenRequestSpec
from minikubelet.v1.decode import decode

Object = dict[str, Any]

DEFAULT_SECONDS, LEAST_SECONDS, MOST_SECONDS = 3600, 600, 1 << 32
KINDS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


async def create_token(call: Call) -> web.StreamResponse:
    """The request with its token."""
    body = await read_object(call)
    body.setdefault("kind", TokenRequest.__name__)
    body.setdefault("apiVersion", TokenRequest.API_VERSION)
    struct, warnings = decode(body, TokenRequest, "Strict")
    assert isinstance(struct, TokenRequest)
    spec = struct.spec or TokenRequestSpec()
    account = call.objects.store.get(ACCOUNTS, call.namespace, call.name)
    seconds = DEFAULT_SECONDS if spec.expiration_seconds is None else spec.expiration_seconds
    _check_time(seconds)
    where = Where(call.namespace, bound(account))
    if spec.bound_object_ref is not None:
        _bind(call, where, spec.bound_object_ref)
    audiences = spec.audiences or [ISSUER]
    token, end = call.access.tokens.issue(where, audiences, seconds)
    answer = {
        "kind": TokenRequest.__name__,
        "apiVersion": TokenRequest.API_VERSION,
        "metadata": {
            "name": call.name,
            "namespace": call.namespace,
            "creationTimestamp": timestamp(utc_now()),
        },
        "spec": {**body.get("spec", {}), "audiences": audiences, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": timestamp(datetime.fromtimestamp(end, UTC))},
    }
    return respond.json_response(answer, code=201, warnings=[*call.warnings, *warnings])


def _check_time(seconds: int) -> None:
    text = None
    if seconds < LEAST_SECONDS:
        text = "may not specify a duration less than 10 minutes"
    elif seconds > MOST_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
    if text is not None:
        wrong = FieldError("spec.expirationSeconds", "Invalid", f"Invalid value: {seconds}: {text}")
        raise Invalid.of(TokenRequest.__name__, "", [wrong], group="authentication.k8s.io")


def _bind(call: Call, where: Where, reference: BoundObjectReference) -> None:
    """The object must be there, be the one that is meant, and a pod must be the account's own."""
    resource = KINDS.get(reference.kind or "")
    if resource is None or reference.api_version not in ("v1", None, ""):
        kind = f"{reference.api_version or 'v1'}, Kind={reference.kind or ''}"
        raise BadRequest(f"cannot bind token to object of type {kind}")
    namespace = "" if resource == "nodes" else call.namespace
    found = call.objects.store.get(resource, namespace, reference.name or "")
    if reference.uid and reference.uid != found["metadata"]["uid"]:
        raise Conflict(
            f'Operation cannot be fulfilled on {resource} "{reference.name}": the UID in the bound object '
            f"reference ({reference.uid}) does not match the UID in record. The object might have been "
            "deleted and then recreated",
            name=reference.name or "",
            kind=resource,
        )
    if resource == "pods" and found["spec"].get("serviceAccountName") != call.name:
        raise BadRequest(
            f'cannot bind token for serviceaccount "{call.name}" to pod running with different '
            "serviceaccount name."
        )
    if resource == "pods":
        where.pod = bound(found)
        node = found["spec"].get("nodeName")
        if node and call.objects.store.list("nodes"):
            where.node = bound(call.objects.store.get("nodes", "", node))
    elif resource == "secrets":
        where.secret = bound(found)
    else:
        where.node = bound(found)
