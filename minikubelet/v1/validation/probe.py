"""Probes and lifecycle hooks (V54–V63)."""

from __future__ import annotations

from minikubelet.v1.pod import PodOS
from minikubelet.v1.probe import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)
from minikubelet.v1.validation.field import (
    Errors,
    each_invalid,
    forbidden,
    invalid,
    not_negative,
    required,
    unsupported,
)
from minikubelet.v1.validation.names import header_name, port_name, port_number

Action = ExecAction | HTTPGetAction | TCPSocketAction | GRPCAction | SleepAction

SIGNALS = (
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT",
    "SIGIO", "SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGRTMAX",
    *(f"SIGRTMAX-{number}" for number in range(1, 15)),
    "SIGRTMIN",
    *(f"SIGRTMIN+{number}" for number in range(1, 16)),
    "SIGSEGV", "SIGSTKFLT", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU",
    "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ",
)  # fmt: skip


def liveness_errors(path: str, probe: Probe | None, grace: int | None) -> Errors:
    """Liveness and startup: one success is enough, always."""
    if probe is None:
        return
    yield from _probe(path, probe, grace)
    if probe.success_threshold != 1:
        yield invalid(f"{path}.successThreshold", probe.success_threshold or 0, "must be 1")


def readiness_errors(path: str, probe: Probe | None, grace: int | None) -> Errors:
    """Readiness never kills, so it has no grace period."""
    if probe is None:
        return
    yield from _probe(path, probe, grace)
    seconds = probe.termination_grace_period_seconds
    if seconds is not None:
        yield invalid(f"{path}.terminationGracePeriodSeconds", seconds, "must not be set for readinessProbes")


def _probe(path: str, probe: Probe, grace: int | None) -> Errors:
    yield from _actions(
        path,
        {"exec": probe.exec, "httpGet": probe.http_get, "tcpSocket": probe.tcp_socket, "grpc": probe.grpc},
        grace,
    )
    yield from not_negative(f"{path}.initialDelaySeconds", probe.initial_delay_seconds)
    yield from not_negative(f"{path}.timeoutSeconds", probe.timeout_seconds)
    yield from not_negative(f"{path}.periodSeconds", probe.period_seconds)
    yield from not_negative(f"{path}.successThreshold", probe.success_threshold)
    yield from not_negative(f"{path}.failureThreshold", probe.failure_threshold)
    seconds = probe.termination_grace_period_seconds
    if seconds is not None and seconds <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0")


def lifecycle_errors(path: str, lifecycle: Lifecycle | None, grace: int | None, os: PodOS | None) -> Errors:
    """postStart, preStop, stopSignal."""
    if lifecycle is None:
        return
    if lifecycle.post_start is not None:
        yield from _hook(f"{path}.postStart", lifecycle.post_start, grace)
    if lifecycle.pre_stop is not None:
        yield from _hook(f"{path}.preStop", lifecycle.pre_stop, grace)
    if lifecycle.stop_signal is not None:
        yield from _stop_signal(f"{path}.stopSignal", lifecycle.stop_signal, os)


def _stop_signal(path: str, signal: str, os: PodOS | None) -> Errors:
    if os is None:
        yield forbidden(path, "may not be set for containers with empty `spec.os.name`")
    elif signal not in SIGNALS:
        yield unsupported(path, signal, SIGNALS)


def _hook(path: str, hook: LifecycleHandler, grace: int | None) -> Errors:
    yield from _actions(
        path,
        {"exec": hook.exec, "httpGet": hook.http_get, "tcpSocket": hook.tcp_socket, "sleep": hook.sleep},
        grace,
    )


def _actions(path: str, actions: dict[str, Action | None], grace: int | None) -> Errors:
    """Exactly one action; only the first is looked at more closely."""
    given = {name: action for name, action in actions.items() if action is not None}
    for position, (name, action) in enumerate(given.items()):
        if position > 0:
            yield forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
        else:
            yield from _action(f"{path}.{name}", action, grace)
    if not given:
        yield required(path, "must specify a handler type")


def _action(path: str, action: Action, grace: int | None) -> Errors:
    match action:
        case ExecAction():
            if not action.command:
                yield required(f"{path}.command")
        case HTTPGetAction():
            yield from _http_get(path, action)
        case TCPSocketAction() | GRPCAction():
            yield from _port(f"{path}.port", action.port)
        case SleepAction():
            yield from _sleep(path, action, grace)


def _http_get(path: str, action: HTTPGetAction) -> Errors:
    if not action.path:
        yield required(f"{path}.path")
    yield from _port(f"{path}.port", action.port)
    if action.scheme not in ("HTTP", "HTTPS"):
        yield unsupported(f"{path}.scheme", action.scheme or "", ("HTTP", "HTTPS"))
    for header in action.http_headers or ():
        yield from each_invalid(f"{path}.httpHeaders", header.name or "", header_name(header.name or ""))


def _port(path: str, port: int | str | None) -> Errors:
    """A number, or the name of a port of the container."""
    if isinstance(port, str):
        yield from each_invalid(path, port, port_name(port))
    else:
        yield from each_invalid(path, port or 0, port_number(port or 0))


def _sleep(path: str, action: SleepAction, grace: int | None) -> Errors:
    seconds = action.seconds or 0
    if grace is not None and not 0 <= seconds <= grace:
        detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        yield invalid(path, seconds, detail)
