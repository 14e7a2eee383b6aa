"""What probing costs, and whether it keeps time: 500 containers, one probe a second each.

    ./dev bench probes [--json] [--containers 500] [--seconds 10]

The prober is the agent's own; the servers answer from another process, on as many addresses of 127.0.0.0/8
as there are containers. `late` is how long after its tick a check began, `check` how long it took; `cpu_ms`
is the prober's processor time for one check. Aims (DESIGN section 8): cpu ≤ 0.5 ms, late p99 ≤ 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from minikubelet.agent.clock import Clock
from minikubelet.agent.prober import ProbeContext, ProbeManager, ProbeObservation
from minikubelet.runtime.cri import ExecResult
from minikubelet.v1 import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStatus,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Probe,
    TCPSocketAction,
)

WARM_UP = 2.0  # seconds: the workers spread over their first period
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass
class Row:
    name: str
    n: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float


class Around:
    """Runtime and recorder of the prober: commands take no time, Events are counted."""

    def __init__(self) -> None:
        self.events = 0

    def event(self, pod: Pod, type: str, reason: str, message: str, field_path: str = "") -> None:
        self.events += 1

    async def exec_sync(
        self, uid: str, container_id: str, command: list[str], timeout: float | None, limit: int = 10240
    ) -> ExecResult:
        return ExecResult(0, b"ok")


class Answering(asyncio.Protocol):
    """Answers whatever it reads, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(ANSWER)
        self.transport.close()


class Serving(asyncio.Protocol):
    """A gRPC health service that says SERVING."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, StreamEnded):
                self.h2.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
                self.h2.send_data(1, b"\0\0\0\0\2\x08\x01")
                self.h2.send_headers(1, [("grpc-status", "0")], end_stream=True)
        self.transport.write(self.h2.data_to_send())


async def serve() -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(kind, "0.0.0.0", 0, backlog=1024) for kind in (Answering, Serving)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await servers[0].serve_forever()


@contextmanager
def server_process() -> Iterator[tuple[int, int]]:
    """The ports of the HTTP server and of the gRPC server."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        http, grpc = process.stdout.readline().split()
        yield int(http), int(grpc)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def probed_pod(number: int, probe: Probe, clock: Clock) -> tuple[Pod, PodStatus]:
    pod = Pod(
        metadata=ObjectMeta(name=f"pod-{number}", namespace="default", uid=f"uid-{number}"),
        spec=PodSpec(containers=[Container(name="main", readiness_probe=probe)]),
    )
    running = ContainerState(running=ContainerStateRunning(started_at=clock.now()))
    container = ContainerStatus(name="main", container_id=f"x://{number:064x}", started=True, state=running)
    address = f"127.0.{1 + number // 250}.{1 + number % 250}"
    return pod, PodStatus(phase="Running", pod_ip=address, container_statuses=[container])


async def measure(name: str, probe: Probe, containers: int, seconds: float) -> list[Row]:
    seen: list[ProbeObservation] = []
    clock, around = Clock(), Around()
    manager = ProbeManager(
        ProbeContext(around, around, clock, random.Random(1), lambda uid: None, seen.append)  # type: ignore[arg-type]
    )
    for number in range(containers):
        pod, status = probed_pod(number, probe, clock)
        manager.status_published(pod, status)
        manager.add_pod(pod)
    await asyncio.sleep(WARM_UP)
    seen.clear()
    cpu = time.process_time()
    await asyncio.sleep(seconds)
    cpu = time.process_time() - cpu
    checks = list(seen)
    await manager.close()
    if around.events:
        sys.exit(f"{around.events} probes did not succeed")
    return [
        row(f"{name} late", [check.late for check in checks], cpu),
        row(f"{name} check", [check.seconds for check in checks], cpu),
    ]


def row(name: str, seconds: list[float], cpu: float) -> Row:
    ordered = sorted(second * 1000 for second in seconds)
    count = len(ordered)
    return Row(
        name,
        count,
        round(ordered[count // 2], 2),
        round(ordered[int(count * 0.99)], 2),
        round(cpu * 1000 / count, 3),
    )


def show(rows: list[Row]) -> None:
    print(f"{'':23} {'n':>7} {'p50 ms':>9} {'p99 ms':>9} {'cpu ms':>9}")
    for one in rows:
        print(f"{one.name:23} {one.n:7} {one.p50_ms:9.2f} {one.p99_ms:9.2f} {one.cpu_ms:9.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What probing costs.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--containers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    rows: list[Row] = []
    with server_process() as (port, grpc_port):
        probes = {
            "http probe": Probe(http_get=HTTPGetAction(path="/healthz", port=port), period_seconds=1),
            "tcp probe": Probe(tcp_socket=TCPSocketAction(port=port), period_seconds=1),
            "grpc probe": Probe(grpc=GRPCAction(port=grpc_port), period_seconds=1),
            "exec, no command": Probe(exec=ExecAction(command=["true"]), period_seconds=1),
        }
        for name, probe in probes.items():
            rows += asyncio.run(measure(name, probe, options.containers, options.seconds))
    if options.json:
        print(json.dumps({"rows": [asdict(one) for one in rows]}))
    else:
        show(rows)


if __name__ == "__main__":
    main()
