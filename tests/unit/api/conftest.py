"""The real API on a temporary socket: real store, real HTTP, and a small node behind it."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from minikubelet.agent.usage import ContainerKey, NodeUsage, Usage
from minikubelet.api.server import serve
from minikubelet.config import Paths
from minikubelet.controllers import Controllers
from minikubelet.errors import FieldError, NotFound
from minikubelet.runtime.pod_connection import dial as dial_pod
from minikubelet.store import Store
from tests.unit.api.echo import echo, free_port
from tests.unit.api.spdy_peer import SpdyPeer

__all__ = ["echo", "free_port"]  # fixtures


class EchoSession:
    """A "process": says its command, echoes its stdin, ends with the code in `exit N`."""

    def __init__(self, command: list[str], stdin: bool) -> None:
        self.closed = False
        self.sizes: list[tuple[int, int]] = []
        self._command, self._stdin = command, stdin
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue(1)

    async def write_stdin(self, data: bytes) -> None:
        await self._input.put(data)

    async def close_stdin(self) -> None:
        await self._input.put(None)

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def frames(self):
        match self._command:
            case ["flood", size]:
                for _ in range(int(size) // 65536):
                    yield 1, bytes(65536)
            case ["hang"]:
                await asyncio.Event().wait()
            case _:
                yield 1, " ".join(self._command).encode() + b"\n"
        while self._stdin and (data := await self._input.get()) is not None:
            yield 1, data
        if self.sizes:
            yield 2, repr(self.sizes).encode()
        code = self._command[1] if self._command[0] == "exit" else "0"
        yield 3, code.encode()

    async def close(self) -> None:
        self.closed = True


class SmallNode:
    """The least that can stand behind the API."""

    node_name = "node"

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sessions: list[EchoSession] = []
        self.log_calls: list[tuple[Any, ...]] = []
        self.following = asyncio.Event()
        self.refusals: list[FieldError] = []

    def refuse(self, pod):
        return self.refusals

    async def usage(self):
        """Every container of every pod in the store uses a quarter of a core and 20 MiB."""
        used = {
            ContainerKey(pod["metadata"]["uid"], container["name"], ""): Usage(250_000_000, 20 << 20, 0.5)
            for pod in self.store.list("pods")[0]
            if pod["spec"].get("nodeName")
            for container in pod["spec"]["containers"]
        }
        return NodeUsage(datetime.now(UTC), Usage(1_000_000_000, 1 << 30, 0.5), used)

    async def exec(self, namespace, name, container, command, *, stdin, tty):
        if command == ["missing"]:
            raise NotFound("no such program")
        session = EchoSession(command, stdin)
        self.sessions.append(session)
        return session

    async def attach(self, namespace, name, container, *, stdin, tty):
        session = EchoSession(["exit", "7"], stdin)
        self.sessions.append(session)
        return session

    async def port_forward(self, namespace, name, port):
        async def open_socket(family):
            kind = socket.AF_INET if family == "inet" else socket.AF_INET6
            return socket.socket(kind, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

        return await dial_pod(open_socket, port, "sandbox", "/proc/1/ns/net")

    async def logs(self, pod, container, container_id, options):
        self.log_calls.append((pod["metadata"]["name"], container, container_id, options))
        yield b"first\n"
        if options.follow:
            await self.following.wait()
        yield b"last\n"

    async def list_images(self):
        return [{"id": "sha256:1", "names": ["localhost/host"]}]

    async def load_image(self, archive):
        size = 0
        async for chunk in archive:
            size += len(chunk)
        yield {"step": "unpacked", "bytes": size}
        yield {"loaded": ["localhost/x"]}

    async def pull_image(self, name):
        if name == "x":
            raise NotFound(f'image "{name}" not found')
        yield {"resolved": f"docker.io/library/{name}@sha256:{'0' * 64}"}
        yield {"bytes": 1_000_000, "of": 2_500_000}
        yield {"pulled": name}

    async def remove_image(self, name):
        return {"removed": [name]}

    def probe_metrics(self):
        return "prober_probe_total{} 1\n"

    async def prune_images(self):
        return {"removed": [], "bytes": 0}


class Answer:
    """An HTTP answer, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.code = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def warnings(self) -> list[str]:
        return self.headers.get_all("Warning", [])


class Api:
    """A server in a thread of its own, and a client."""

    def __init__(self, root: Path, listen: str | None) -> None:
        self.root = root
        self.paths = Paths.under(root)
        self._listen = listen
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._started.wait(30)
        if self._failure:
            raise self._failure

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        store = Store(self.paths.store)
        try:
            self.node = SmallNode(store)
            self.server = await serve(self.node, self.paths, self._listen)
            controllers = Controllers(self.server.objects, self.server.root_ca)
            controllers.start()
            self._started.set()
            await self._stop.wait()
            await controllers.stop()
            await self.server.close()
        except BaseException as error:
            self._failure = error
            self._started.set()
        finally:
            store.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self._failure is None, self._failure

    def inside(self, fn: Callable[[], Any]) -> Any:
        """Call something in the server's thread."""

        async def call() -> Any:
            return fn()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self.paths.socket))
        return connection

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        type: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> Answer:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = self.connect()
        try:
            where = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, where, data, {"Content-Type": type, "Accept": accept})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **query: str) -> Answer:
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any, **query: str) -> Answer:
        return self.request("POST", path, body, **query)

    def set_status(self, name: str, **status: Any) -> None:
        """As the node does: straight into the store."""

        def change(obj: dict[str, Any]) -> None:
            obj.setdefault("status", {}).update(status)

        self.inside(lambda: self.node.store.modify("pods", "default", name, change))

    def bind(self, name: str) -> None:
        body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "node"}}
        assert self.post(f"{PODS}/{name}/binding", body).code == 201


PODS = "/api/v1/namespaces/default/pods"


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": "localhost/host", "command": ["sleep", "1"]}]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, **metadata}, "spec": spec}


@pytest.fixture
def root():
    # Short: the path of a unix socket has 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="mk-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def api(root):
    running = Api(root, None)
    yield running
    running.close()


@pytest.fixture
def https(root):
    running = Api(root, "127.0.0.1:0")
    yield running
    running.close()


@pytest.fixture
def web(api):
    """The API with a running pod `web`."""
    api.post(PODS, pod("web"))
    api.bind("web")
    status = {"name": "main", "state": {"running": {}}, "containerID": "minikubelet://" + "a" * 64}
    api.set_status("web", phase="Running", containerStatuses=[status])
    return api


@pytest.fixture
def dial(web):
    """Connect to the pod's streams over SPDY: `dial(path, version…)`."""
    peers: list[SpdyPeer] = []

    def connect(path: str, *versions: str, **settings: str) -> SpdyPeer:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(web.paths.socket))
        peers.append(SpdyPeer(sock, path, *versions, **settings))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.close()
