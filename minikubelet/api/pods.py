"""What only pods have: log, exec, attach, binding, eviction."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from minikubelet.api import respond
from minikubelet.api.backend import LogOptions
from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.request import Call
from minikubelet.api.streams import serve_session, wanted_streams
from minikubelet.api.verbs import read_object
from minikubelet.errors import BadRequest, Conflict, FieldError, Invalid
from minikubelet.store.store import timestamp, utc_now

Object = dict[str, Any]

STATUS_LISTS = {
    "containers": "containerStatuses",
    "initContainers": "initContainerStatuses",
    "ephemeralContainers": "ephemeralContainerStatuses",
}


# Which container.


def container_names(pod: Object) -> list[str]:
    """Init, regular, ephemeral: the order in which the API server lists them."""
    spec = pod["spec"]
    fields = ("initContainers", "containers", "ephemeralContainers")
    return [container["name"] for field in fields for container in spec.get(field) or ()]


def choose_container(pod: Object, asked: str) -> str:
    """The container meant by a request (kubelet-behaviour 11.3)."""
    name, names = pod["metadata"]["name"], container_names(pod)
    if asked:
        if asked not in names:
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    regular: list[str] = [container["name"] for container in pod["spec"]["containers"]]
    if len(regular) != 1:
        choices = " ".join(names)
        raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{choices}]")
    return regular[0]


def container_status(pod: Object, name: str) -> Object | None:
    status = pod.get("status") or {}
    for field in STATUS_LISTS.values():
        for entry in status.get(field) or ():
            if entry["name"] == name:
                found: Object = entry
                return found
    return None


# Logs.


async def log(call: Call) -> web.StreamResponse:
    """The log as text, line by line as it grows with `follow`."""
    options, previous = log_options(call)
    pod = call.objects.get(call.resource, call.namespace, call.name)
    container = choose_container(pod, call.text("container"))
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
    container_id = log_instance(pod, container, previous=previous)
    async for piece in call.backend.logs(pod, container, container_id, options):
        yield piece


def log_instance(pod: Object, container: str, *, previous: bool) -> str:
    """The instance whose log is meant; BadRequest with the kubelet's reason when there is none (11.4)."""
    name = pod["metadata"]["name"]
    status = container_status(pod, container)
    if status is None:
        raise BadRequest(f'container "{container}" in pod "{name}" is not available')
    state = status.get("state") or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    if previous:
        if not last.get("containerID"):
            raise BadRequest(f'previous terminated container "{container}" in pod "{name}" not found')
        return _bare_id(last["containerID"])
    if state.get("running") is not None:
        if not status.get("containerID"):
            raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start - no logs yet')
        return _bare_id(status["containerID"])
    terminated = state.get("terminated")
    if terminated:
        if terminated.get("containerID"):
            return _bare_id(terminated["containerID"])
        if last.get("containerID"):
            return _bare_id(last["containerID"])
        raise BadRequest(f'container "{container}" in pod "{name}" is terminated')
    if last.get("containerID"):
        return _bare_id(last["containerID"])
    reason = (state.get("waiting") or {}).get("reason", "ContainerCreating")
    why = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }.get(reason, reason)
    raise BadRequest(f'container "{container}" in pod "{name}" is waiting to start: {why}')


def _bare_id(container_id: str) -> str:
    """Without `minikubelet://`."""
    return container_id.rpartition("//")[2]


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
    command = call.http.query.getall("command", [])
    if not command:
        raise Invalid.of("PodExecOptions", call.name, [FieldError("command", "Required", "Required value")])
    streams = wanted_streams(call)
    pod = call.objects.get(call.resource, call.namespace, call.name)
    container = choose_container(pod, call.text("container"))

    def start() -> Any:
        return call.backend.exec(
            call.namespace, call.name, container, command, stdin=streams.stdin, tty=streams.tty
        )

    return await serve_session(call, streams, start, report_exit_code=True)


async def attach(call: Call) -> web.StreamResponse:
    """The container's own streams. Its exit code is in the pod's status, not in the stream."""
    streams = wanted_streams(call)
    pod = call.objects.get(call.resource, call.namespace, call.name)
    container = choose_container(pod, call.text("container"))

    def start() -> Any:
        return call.backend.attach(call.namespace, call.name, container, stdin=streams.stdin, tty=streams.tty)

    return await serve_session(call, streams, start, report_exit_code=False)


# Scheduling and eviction.


async def bind(call: Call) -> web.StreamResponse:
    """A scheduler says on which node the pod runs."""
    body = await read_object(call)
    node = (body.get("target") or {}).get("name")
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

    call.backend.store.modify("pods", call.namespace, call.name, assign)
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
    options = DeleteOptions.read(body.get("deleteOptions") or {})
    if call.dry_run:
        options = DeleteOptions.read({**(body.get("deleteOptions") or {}), "dryRun": ["All"]})
    call.objects.delete(call.resource, call.namespace, call.name, options)
    return respond.json_response(respond.success(), code=201)
