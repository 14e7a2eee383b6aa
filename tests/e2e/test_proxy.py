"""HTTP to a pod through the API: `…/pods/NAME:PORT/proxy/…`, to a server that says what reached it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import Agent, make_agent, remove_network, until

SERVER = """
from aiohttp import WSMsgType, web

async def tell(request):
    body = await request.read()
    headers = dict(request.headers)
    told = {"method": request.method, "path": request.raw_path, "headers": headers, "bytes": len(body)}
    return web.json_response(told, headers={"X-Own": "yes"})

async def flood(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(int(request.query["mib"])):
        await answer.write(bytes(1 << 20))
    return answer

async def redirect(request):
    raise web.HTTPFound(request.query["to"])

async def echo(request):
    socket = web.WebSocketResponse(protocols=["chat"])
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data.upper())
        else:
            await socket.send_bytes(message.data)
    return socket

app = web.Application(client_max_size=1 << 30)
app.router.add_get("/flood", flood)
app.router.add_get("/redirect", redirect)
app.router.add_get("/ws", echo)
app.router.add_route("*", "/{any:.*}", tell)
web.run_app(app, port=8080, print=None)
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent with the pod `web`, whose first port is the server's."""
    agent = make_agent(tmp_path_factory.mktemp("mk"))
    agent.start()
    container = {
        "name": "main",
        "image": "localhost/host",
        "command": [sys.executable, "-c", SERVER],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    agent.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec})
    agent.run("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    yield agent
    agent.delete_everything()
    assert agent.stop() == 0
    remove_network(agent)


class Door:
    """The socket of an agent, and a client."""

    def __init__(self, agent: Agent) -> None:
        self.path = str(agent.root / "run/minikubelet.sock")

    @asynccontextmanager
    async def session(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.UnixConnector(self.path)
        async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
            yield session

    def ask(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, str], bytes]:
        """Code, headers and body."""

        async def story() -> tuple[int, dict[str, str], bytes]:
            async with (
                self.session() as session,
                session.request(method, path, allow_redirects=False, **options) as answer,
            ):
                return answer.status, dict(answer.headers), await answer.read()

        return asyncio.run(story())


PODS = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize("name", ["web", "web:8080", "web:http", "http:web:http"])
def test_a_request_reaches_the_pod_as_it_was_and_without_who_asked(served: Agent, name: str) -> None:
    door = Door(served)
    headers = {
        "Authorization": "Bearer secret",
        "X-Mine": "1",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "1",
    }
    code, answered, body = door.ask(
        "POST", f"{PODS}/{name}/proxy/a%2Fb/c/?q=%20x&q=2", data=b"x" * 100_000, headers=headers
    )
    told = json.loads(body)
    assert (code, answered["X-Own"]) == (200, "yes")
    assert (told["method"], told["path"], told["bytes"]) == ("POST", "/a%2Fb/c/?q=%20x&q=2", 100_000)
    assert told["headers"]["X-Mine"] == "1"
    assert not {"Authorization", "X-Hop"} & set(told["headers"])


@pytest.mark.parametrize(
    ("to", "location"),
    [
        ("/login?next=1", f"{PODS}/web/proxy/login?next=1"),
        ("relative", "relative"),
        ("http://example.org/x", "http://example.org/x"),
    ],
)
def test_redirects_of_the_pod_come_through_here_again(served: Agent, to: str, location: str) -> None:
    code, headers, _ = Door(served).ask("GET", f"{PODS}/web/proxy/redirect", params={"to": to})
    assert (code, headers["Location"]) == (302, location)


def test_a_large_answer_passes_in_pieces(served: Agent) -> None:
    assert served.process is not None
    status = Path(f"/proc/{served.process.pid}/status")

    def resident() -> int:
        return int(status.read_text().split("VmHWM:")[1].split()[0])

    before = resident()
    _, _, body = Door(served).ask("GET", f"{PODS}/web/proxy/flood?mib=40")
    assert len(body) == 40 << 20
    assert resident() - before < 10 << 10, "KiB"


def test_a_websocket_passes_message_by_message(served: Agent) -> None:
    door = Door(served)

    async def story() -> None:
        async with (
            door.session() as session,
            session.ws_connect(f"{PODS}/web/proxy/ws", protocols=["other", "chat"]) as socket,
        ):
            assert socket.protocol == "chat"
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=20) == "HELLO"
            await socket.send_bytes(b"\0" * 100_000)
            assert len(await socket.receive_bytes(timeout=20)) == 100_000

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("none", 404, 'pods "none" not found'),
        ("web:81", 503, "error trying to reach service: Cannot connect to host"),
        ("web:nope", 400, 'invalid port "nope"'),
        ("web:99999", 400, 'invalid port "99999"'),
        ("ftp:web:80", 400, 'invalid pod request "ftp:web:80"'),
    ],
)
def test_what_cannot_be_reached_is_a_status(served: Agent, name: str, code: int, message: str) -> None:
    answered, _, body = Door(served).ask("GET", f"{PODS}/{name}/proxy/")
    status = json.loads(body)
    assert (answered, status["kind"], status["code"]) == (code, "Status", code)
    assert status["message"].startswith(message)


def test_a_client_that_leaves_is_left_by_the_node_too(served: Agent) -> None:
    """`handler_cancellation` and the session's end: nobody goes on reading for a client that is gone."""
    door = Door(served)
    assert served.process is not None
    descriptors = Path(f"/proc/{served.process.pid}/fd")

    def open_sockets() -> int:
        count = 0
        for one in descriptors.iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                count += one.readlink().name.startswith("socket:")
        return count

    before = open_sockets()

    async def story() -> None:
        async with door.session() as session:
            answer = await session.get(f"{PODS}/web/proxy/flood?mib=100000")
            await answer.content.readexactly(1 << 20)
            answer.close()  # as if the process had been killed: no word of farewell

    asyncio.run(story())
    until(lambda: open_sockets() <= before, what="the sockets are closed")
