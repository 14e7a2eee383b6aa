"""Run a command in the container: the exec probe (kubelet-behaviour 3.6).

The runtime starts it, kills it when its time is over and cuts its output. That a command cannot be started
at all is an *error* of the check, never a failure of the container.
"""

from __future__ import annotations

from minikubelet.agent.backoff import go_duration
from minikubelet.errors import RuntimeServiceError
from minikubelet.go_text import quoted
from minikubelet.runtime.cri import RuntimeService
from minikubelet.v1 import Container, ExecAction

from .outcome import OUTPUT_LIMIT, Outcome, error, failure, success
from .target import expand_command


async def probe(
    action: ExecAction,
    container: Container,
    runtime: RuntimeService,
    instance: tuple[str, str],
    timeout: float,
) -> Outcome:
    """`instance` is the pod's uid and the container's id."""
    command = expand_command(action.command or (), container)
    try:
        result = await runtime.exec_sync(*instance, command, timeout, OUTPUT_LIMIT)
    except RuntimeServiceError as cause:
        return error(str(cause))
    if result.timed_out:
        return failure(
            f"command timed out: {quoted(' '.join(command))} timed out after {go_duration(timeout)}"
        )
    output = result.output[:OUTPUT_LIMIT].decode(errors="replace")
    return success(output) if result.exit_code == 0 else failure(output)
