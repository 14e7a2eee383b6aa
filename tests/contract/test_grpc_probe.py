"""The gRPC probe against grpcio's health service: a second opinion on every byte we send and read.

grpcio runs threads, so its server is a process of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from minikubelet.agent.probes import grpc
from minikubelet.agent.probes.outcome import Outcome, failure, success
from minikubelet.v1 import GRPCAction

SERVER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

class Named(health.HealthServicer):
    def Check(self, request, context):
        if request.service == "agent":
            agent = dict(context.invocation_metadata())["user-agent"]
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, agent)
        if request.service == "slow":
            time.sleep(5)
        if request.service == "long":
            context.abort(grpc.StatusCode.INTERNAL, "näh % " * 500)
        return super().Check(request, context)

server = grpc.server(ThreadPoolExecutor(4))
if sys.argv[1:] != ["bare"]:
    service = Named()
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    service.set("up", health_pb2.HealthCheckResponse.SERVING)
    service.set("down", health_pb2.HealthCheckResponse.NOT_SERVING)
    service.set("unknown", health_pb2.HealthCheckResponse.UNKNOWN)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
server.stop(None)
"""


def serve(*arguments: str) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate("")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    yield from serve()


@pytest.fixture(scope="module")
def bare_port() -> Iterator[int]:
    yield from serve("bare")


def probe(port: int, service: str | None = None, timeout: float = 20) -> Outcome:
    return asyncio.run(grpc.probe(GRPCAction(port=port, service=service), "127.0.0.1", timeout))


def rpc_failed(text: str) -> Outcome:
    return failure(f"error: health rpc probe failed: rpc error: {text}")


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        pytest.param(None, success("service healthy"), id="the server as a whole"),
        pytest.param("up", success("service healthy"), id="a service that serves"),
        pytest.param(
            "down", failure('service unhealthy (responded with "NOT_SERVING")'), id="one that does not"
        ),
        pytest.param("unknown", failure('service unhealthy (responded with "UNKNOWN")'), id="unknown"),
        pytest.param("nobody", rpc_failed("code = NotFound desc = "), id="a service nobody knows"),
        pytest.param("s" * 20000, rpc_failed("code = NotFound desc = "), id="a name longer than a frame"),
        pytest.param("long", rpc_failed("code = Internal desc = " + "näh % " * 500), id="a long message"),
    ],
)
def test_3_6_grpc_verdicts_of_grpcio(port: int, service: str | None, expected: Outcome) -> None:
    assert probe(port, service) == expected


def test_3_6_grpc_user_agent_as_grpcio_sees_it(port: int) -> None:
    assert probe(port, "agent") == rpc_failed("code = FailedPrecondition desc = kube-probe/1.36")


def test_3_6_grpc_unimplemented(bare_port: int) -> None:
    assert probe(bare_port) == failure(
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
        "Method not found!"
    )


def test_3_6_grpc_call_too_slow(port: int) -> None:
    assert probe(port, "slow", timeout=3) == failure("timeout: health rpc did not complete within 3s")
