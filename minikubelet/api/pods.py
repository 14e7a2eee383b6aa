"""What only pods have: log, exec, attach, port-forward, binding, eviction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from minikubelet.agent.logs import LogOptions, log_container, log_instance
from minikubelet.api import respond
from minikubelet.api.bodies import read_object
from minikubelet.api.options import read_delete_options, write_options
from minikubelet.api.request import Call
from minikubelet.api.streams.port_forward import serve as forward_ports
from minikubelet.api.streams.remote_command import ATTACH, EXEC, serve_session, wanted_streams
from minikubelet.api.streams.transport import command_client
from minikubelet.errors import BadRequest, Conflict, FieldError, InternalError, Invalid
from minikubelet.runtime.cri import PortConnection
from minikubelet.store.store import timestamp, utc_now
from minikubelet.v1 import Pod, from_dict

Object = dict[str, Any]

STATUS_LISTS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")

# Logs.


async def log(call: Call) -> web.StreamResponse:
    """The log as text, line by line as it grows with `follow`."""
    options, previous = log_options(call)
    pod = call.objects.get(call.resource, call.namespace, call.name)
    container = log_container(from_dict(Pod, pod), call.text("container"))
    pieces = _log_pieces(call, pod, container, options, previous)
    # The first piece is asked for before the answer begins, so that an early error is an HTTP error.
    first = await anext(pieces, b"")
    response = web.StreamResponse(headers=respond.headers(content_type="text/plain"))
    await response.prepare(call.http)
    try:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    finally:
        await pieces.aclose()
    await response.write_eof()
    return response


async def _log_pieces(
    call: Call, pod: Object, container: str, options: LogOptions, previous: bool
) -> AsyncGenerator[bytes, None]:
    if not pod["spec"].get("nodeName"):
        return
    container_id = log_instance(from_dict(Pod, pod), container, previous)
    async for piece in call.backend.logs(pod, container, container_id, options):
        yield piece


def log_options(call: Call) -> tuple[LogOptions, bool]:
    """What the query asks for, and whether for the previous instance; Invalid as PodLogOptions is
    validated.
    """
    tail, limit = call.number("tailLines"), call.number("limitBytes")
    seconds, since = call.number("sinceSeconds"), call.time("sinceTime")
    errors = []
    if tail is not None and tail < 0:
        errors.append(_invalid("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        errors.append(_invalid("limitBytes", limit, "must be greater than 0"))
    if seconds is not None and since is not None:
        errors.append(FieldError("", "Forbidden", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"))  # fmt: skip  # noqa: E501
    elif seconds is not None and seconds < 1:
        errors.append(_invalid("sinceSeconds", seconds, "must be greater than 0"))
    if errors:
        raise Invalid.of("PodLogOptions", call.name, errors)
    if seconds is not None:
        since = datetime.now(UTC) - timedelta(seconds=min(seconds, 10**9))
    options = LogOptions(call.flag("follow"), tail, since, call.flag("timestamps"), limit)
    return options, call.flag("previous")


def _invalid(field: str, value: int, detail: str) -> FieldError:
    return FieldError(field, "Invalid", f"Invalid value: {value}: {detail}")


# Streams.


async def exec_command(call: Call) -> web.StreamResponse:
    """A command in a running container. Nothing is started before the client has its 101."""
    # A word of a command is bytes, perhaps no UTF-8: os.fsencode gives back what came.
    query = parse_qsl(call.http.rel_url.raw_query_string, keep_blank_values=True, errors="surrogateescape")
    command = [value for name, value in query if name == "command"]
    if not command:
        raise Invalid.of("PodExecOptions", call.name, [FieldError("command", "Required", "Required value")])
    streams = wanted_streams(call)
    pod = call.objects.get(call.resource, call.namespace, call.name)
    container = _running_container(pod, call.text("container"))

    def start() -> Any:
        return call.backend.exec(
            call.namespace, call.name, container, command, stdin=streams.stdin, tty=streams.tty
        )

    return await serve_session(command_client(call, streams), streams, start, EXEC)


async def attach(call: Call) -> web.StreamResponse:
    """The container's own streams. Its exit code is in the pod's status, not in the stream."""
    streams = wanted_streams(call)
    pod = call.objects.get(call.resource, call.namespace, call.name)
    container = _running_container(pod, call.text("container"))

    def start() -> Any:
        return call.backend.attach(call.namespace, call.name, container, stdin=streams.stdin, tty=streams.tty)

    return await serve_session(command_client(call, streams), streams, start, ATTACH)


async def port_forward(call: Call) -> web.StreamResponse:
    """Connections to ports of the pod, made from inside its network."""
    pod = call.objects.get(call.resource, call.namespace, call.name)
    if not pod["spec"].get("nodeName"):
        raise BadRequest(f"pod {call.name} does not have a host assigned")
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        described = f"{call.name}_{call.namespace}({pod['metadata']['uid']})"
        raise InternalError(f"failed to find sandboxID for pod {described}")

    def connect(port: int) -> Awaitable[PortConnection]:
        return call.backend.port_forward(call.namespace, call.name, port)

    return await forward_ports(call, connect)


def _running_container(pod: Object, asked: str) -> str:
    """Asked before the upgrade: kubectl prints a plain error then, and has sent no input in vain."""
    container = log_container(from_dict(Pod, pod), asked)
    status = pod.get("status") or {}
    for entry in (entry for field in STATUS_LISTS for entry in status.get(field) or ()):
        if entry["name"] == container and (entry.get("state") or {}).get("running") is not None:
            return container
    raise BadRequest(f'container not found ("{container}")')


# Scheduling and eviction.


async def bind(call: Call) -> web.StreamResponse:
    """A scheduler says on which node the pod runs."""
    body, options = await read_object(call), write_options(call)
    node = _part(body, "target").get("name")
    if not isinstance(node, str) or not node:
        raise Invalid.of("Binding", call.name, [FieldError("target.name", "Required", "Required value")])

    def assign(pod: Object) -> None:
        present = pod["spec"].get("nodeName")
        if present:
            raise Conflict(
                f'Operation cannot be fulfilled on pods/binding "{call.name}": '
                f'pod {call.name} is already assigned to node "{present}"',
                name=call.name,
                kind="pods/binding",
            )
        pod["spec"]["nodeName"] = node
        set_scheduled(pod, utc_now())

    store = call.backend.store
    with store.rehearsal() if options.dry_run else nullcontext():
        store.modify("pods", call.namespace, call.name, assign)
    return respond.json_response(respond.success(), code=201)


def set_scheduled(pod: Object, now: datetime) -> None:
    """The condition that says the pod has found its node."""
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [condition for condition in conditions if condition["type"] != "PodScheduled"]
    conditions.append(
        {
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(now),
        }
    )


async def evict(call: Call) -> web.StreamResponse:
    """A polite deletion: without PodDisruptionBudgets nothing forbids it."""
    body = await read_object(call)
    if _part(body, "metadata").get("name") not in (None, "", call.name):
        raise BadRequest("name in URL does not match name in Eviction object")
    options = read_delete_options(_part(body, "deleteOptions"))
    options = replace(options, dry_run=options.dry_run or write_options(call).dry_run)
    call.objects.delete(call.resource, call.namespace, call.name, options)
    return respond.json_response(respond.success(), code=201)


def _part(body: Object, name: str) -> Object:
    """An object inside the body, empty if there is none. Raises BadRequest."""
    part = body.get(name)
    if part is not None and not isinstance(part, dict):
        raise BadRequest(f"json: cannot unmarshal into Go struct field {name}: an object is expected")
    return part or {}
