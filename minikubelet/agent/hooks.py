"""The lifecycle hooks postStart and preStop: exec, httpGet and sleep (kubelet-behaviour 5.1).

The pod worker calls `run` and decides what a failure means; it also bounds preStop by the grace period,
simply by cancelling. A hook over HTTP succeeds with *any* status: only not being answered is a failure. A
command is run as it stands, without `$(VAR)`. The texts are those of 5.2 and 5.3.
"""

from __future__ import annotations

import asyncio

from minikubelet.errors import RuntimeServiceError
from minikubelet.go_text import quoted
from minikubelet.runtime.cri import RuntimeService
from minikubelet.v1 import ExecAction, HTTPGetAction, LifecycleHandler, SleepAction, to_dict

from .ports import HookError, HookTarget, Recorder
from .probes import http
from .probes.response import BodyError
from .probes.target import TargetError


class Hooks:
    """`ports.HookRunner`."""

    def __init__(self, runtime: RuntimeService, recorder: Recorder) -> None:
        self._runtime = runtime
        self._recorder = recorder

    async def run(self, target: HookTarget, hook: LifecycleHandler) -> None:
        """Run the hook to its end; HookError says why it failed."""
        if hook.exec is not None:
            return await self._exec(target, hook.exec)
        if hook.http_get is not None:
            return await self._http(target, hook.http_get)
        if hook.sleep is not None:
            return await self._sleep(hook.sleep)
        raise HookError(f"Cannot run handler: invalid handler: {to_dict(hook)}")

    async def _exec(self, target: HookTarget, action: ExecAction) -> None:
        command = action.command or []
        uid = target.pod.metadata.uid if target.pod.metadata else None
        output = b""
        try:
            result = await self._runtime.exec_sync(uid or "", target.container_id, command, None)
            if result.exit_code == 0:
                return
            output = result.output
            said = result.stderr.decode(errors="replace")
            cause = f"command '{' '.join(command)}' exited with {result.exit_code}: {said}"
        except RuntimeServiceError as error:
            cause = str(error)
        text = _failed(target, f"Exec lifecycle hook ([{' '.join(command)}])", cause)
        raise HookError(f"{text}, message: {quoted(output)}")

    async def _http(self, target: HookTarget, action: HTTPGetAction) -> None:
        try:
            request = http.request_for(action, target.container, target.pod_ip, "lifecycle")
            await self._ask(target, request)
        except (TargetError, http.FetchError) as error:
            hook = f"HTTP lifecycle hook ({action.path or '/'})"
            raise HookError(_failed(target, hook, str(error))) from None

    async def _ask(self, target: HookTarget, request: http.Request) -> None:
        """Any answer will do. One that came in plain HTTP where TLS was expected is asked for again so."""
        try:
            await _any_answer(request)
        except http.FetchError as error:
            if not error.plain_answer:
                raise
            try:
                await _any_answer(http.without_tls(request))
            except http.FetchError:
                raise error from None
            self._recorder.event(
                target.pod,
                "Warning",
                "LifecycleHTTPFallback",
                f"request to HTTPS lifecycle hook {request.url.host} got HTTP response, "
                "retry with HTTP succeeded",
            )

    async def _sleep(self, action: SleepAction) -> None:
        await asyncio.sleep(action.seconds or 0)


async def _any_answer(request: http.Request) -> None:
    """A body that breaks off is an answer too."""
    try:
        await http.fetch(request, timeout=None)
    except BodyError:
        return


def _failed(target: HookTarget, hook: str, cause: str) -> str:
    meta = target.pod.metadata
    pod = f"{meta.name}_{meta.namespace}({meta.uid})" if meta else ""
    container = quoted(target.container.name or "")
    return f"{hook} for Container {container} in Pod {quoted(pod)} failed - error: {cause}"
