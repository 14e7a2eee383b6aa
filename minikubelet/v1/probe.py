"""Probes and lifecycle hooks: what the kubelet does to a running container, and when.

The actions are shared. A probe may use exec, httpGet, tcpSocket and grpc; a hook exec, httpGet and sleep
(tcpSocket is in the API for a hook as well, but no kubelet ever ran it).
"""

from __future__ import annotations

from minikubelet.v1.base import Int32, Int64, IntOrString, Object


class ExecAction(Object, kw_only=True):
    """Run a command in the container, without a shell; exit code 0 is success."""

    command: list[str] | None = None


class HTTPHeader(Object, kw_only=True):
    """A header to send with a probe's request."""

    name: str | None = None
    value: str | None = None


class HTTPGetAction(Object, kw_only=True):
    """An HTTP GET to the container; 200 to 399 is success."""

    path: str | None = None
    port: IntOrString | None = None
    host: str | None = None
    scheme: str | None = None
    http_headers: list[HTTPHeader] | None = None


class TCPSocketAction(Object, kw_only=True):
    """A TCP connection to the container; being accepted is success."""

    port: IntOrString | None = None
    host: str | None = None


class GRPCAction(Object, kw_only=True):
    """A gRPC health check call."""

    port: Int32 | None = None
    service: str | None = None


class SleepAction(Object, kw_only=True):
    """Let the container sleep before it is stopped."""

    seconds: Int64 | None = None


class Probe(Object, kw_only=True):
    """A periodic check: liveness restarts, readiness gates traffic, startup holds back both."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: Int32 | None = None
    timeout_seconds: Int32 | None = None
    period_seconds: Int32 | None = None
    success_threshold: Int32 | None = None
    failure_threshold: Int32 | None = None
    termination_grace_period_seconds: Int64 | None = None


class LifecycleHandler(Object, kw_only=True):
    """What a hook does; exactly one member is set."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(Object, kw_only=True):
    """Actions right after a container's start and right before its stop."""

    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None
