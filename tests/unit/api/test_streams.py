"""exec and attach over WebSocket, logs and images: what flows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import aiohttp
import pytest

from minikubelet.api.streams.remote_command import exit_status, terminal_size
from tests.unit.api.conftest import PODS, pod
from tests.unit.api.waiting import wait_for

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


def talk(api, path: str, story: Callable[[aiohttp.ClientWebSocketResponse], Awaitable], protocol=V5, **query):
    """Open a WebSocket and run `story` on it."""

    async def run():
        connector = aiohttp.UnixConnector(str(api.paths.socket))
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(20):
            url = f"http://localhost{path}?{urlencode(query, doseq=True)}"
            async with session.ws_connect(url, protocols=[protocol], max_msg_size=0) as socket:
                return await story(socket)

    return asyncio.run(run())


async def everything(socket) -> dict[int, bytes]:
    """All output by channel."""
    channels: dict[int, bytes] = {}
    async for message in socket:
        channels[message.data[0]] = channels.get(message.data[0], b"") + message.data[1:]
    return channels


EXEC = f"{PODS}/web/exec"


@pytest.mark.parametrize("protocol", [V5, V4])
def test_exec_answers_output_then_a_status(web, protocol):
    async def story(socket):
        assert socket.protocol == protocol
        return await everything(socket)

    channels = talk(web, EXEC, story, protocol, command=["exit", "3"], stdout="true")
    assert channels[1] == b"exit 3\n"
    assert json.loads(channels[3]) == exit_status(3)
    assert web.node.sessions[0].closed


def test_stdin_its_end_and_the_size_of_the_terminal_reach_the_process(web):
    async def story(socket):
        await socket.send_bytes(b'\x04{"Width":100,"Height":30}')
        await socket.send_bytes(b"\x04nonsense")
        await socket.send_bytes(b"\x00hel")
        await socket.send_str("\x00lo")  # as the Python client does with text
        await socket.send_bytes(b"\xff\x00")
        return await everything(socket)

    channels = talk(web, EXEC, story, command="cat", stdin="1", stdout="1", stderr="1")
    assert channels[1] == b"cat\nhello"
    assert channels[2] == b"[(100, 30)]"
    assert json.loads(channels[3])["status"] == "Success"


def test_attach_hides_the_exit_code(web):
    channels = talk(web, f"{PODS}/web/attach", everything, stdout="true")
    assert json.loads(channels[3]) == {"metadata": {}, "status": "Success"}


def test_a_flood_passes_through_a_constant_amount_of_memory(web):
    async def story(socket):
        size = 0
        async for message in socket:
            size += len(message.data) - 1 if message.data[0] == 1 else 0
        return size

    assert talk(web, EXEC, story, command=["flood", str(64 << 20)], stdout="1") == 64 << 20


def test_a_client_that_vanishes_ends_the_session(web):
    async def leave(socket):
        socket._response.connection.transport.abort()

    for _ in range(20):
        talk(web, EXEC, leave, command="hang", stdin="1", stdout="1")
    wait_for(lambda: [session.closed for session in web.node.sessions] == [True] * 20)


def test_a_client_that_does_not_read_stops_the_process_not_the_server(web):
    async def story(socket):
        transport = socket._response.connection.transport
        transport.pause_reading()
        await asyncio.to_thread(web.get, "/healthz")
        transport.resume_reading()
        async for message in socket:
            if message.data[0] == 3:
                return json.loads(message.data[1:])["status"]

    assert talk(web, EXEC, story, command=["flood", str(8 << 20)], stdout="1") == "Success"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param({"stdout": "1"}, 422, id="no command"),
        pytest.param({"command": "x"}, 400, id="no stream"),
        pytest.param({"command": "x", "stdout": "1", "container": "nope"}, 400, id="no such container"),
        pytest.param({"command": "x", "stdout": "1", "stderr": "1", "tty": "1"}, 400, id="tty and stderr"),
        pytest.param({"command": "x", "stdout": "1"}, 400, id="no upgrade"),
    ],
)
def test_errors_before_the_upgrade_are_http_errors_and_start_nothing(web, query, code):
    answer = web.get(EXEC, **query)
    assert (answer.code, answer.json["kind"]) == (code, "Status")
    assert web.node.sessions == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"Width":0,"Height":1}',
        b'{"Width":"1","Height":1}',
        b'{"Width":99999,"Height":1}',
    ],
)
def test_a_size_that_is_none_is_ignored(data):
    assert terminal_size(data) is None


# Logs.


def test_the_log_options_reach_the_node(web):
    answer = web.get(
        f"{PODS}/web/log", tailLines="5", timestamps="true", limitBytes="10", sinceTime="2026-01-01T00:00:00Z"
    )
    assert (answer.code, answer.body) == (200, b"first\nlast\n")
    assert answer.headers["Content-Type"] == "text/plain"
    name, container, container_id, options = web.node.log_calls[0]
    assert (name, container, container_id) == ("web", "main", "a" * 64)
    assert (options.tail_lines, options.timestamps, options.limit_bytes) == (5, True, 10)
    assert options.since.isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_followed_log_comes_line_by_line(web):
    connection = web.connect()
    connection.request("GET", f"{PODS}/web/log?follow=true")
    response = connection.getresponse()
    assert response.readline() == b"first\n"
    web.inside(web.node.following.set)
    assert response.read() == b"last\n"
    connection.close()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"container": "x"}, "container x is not valid for pod web"),
        ({"previous": "1"}, 'previous terminated container "main" in pod "web" not found'),
        ({"tailLines": "-2"}, "tailLines: Invalid value: -2: must be greater than or equal to 0"),
        ({"limitBytes": "0"}, "limitBytes: Invalid value: 0: must be greater than 0"),
        ({"sinceSeconds": "0"}, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ({"sinceTime": "yesterday"}, 'parsing time "yesterday"'),
        (
            {"sinceSeconds": "1", "sinceTime": "2026-01-01T00:00:00Z"},
            "at most one of `sinceTime` or `sinceSeconds`",
        ),
    ],
)
def test_log_requests_that_make_no_sense_say_why(web, query, message):
    answer = web.get(f"{PODS}/web/log", **query)
    assert answer.code in (400, 422)
    assert message in answer.json["message"]


def test_the_log_of_a_pod_without_a_node_is_empty(api):
    api.post(PODS, pod("new"))
    assert api.get(f"{PODS}/new/log").body == b""


# Images.


def test_images_are_listed_loaded_and_removed(api):
    path = "/minikubelet/v1/images"
    assert api.get(path).json["items"][0]["names"] == ["localhost/host"]
    loaded = api.request("POST", path, bytes(5 << 20), "application/x-tar")
    assert [json.loads(line) for line in loaded.body.splitlines()] == [
        {"step": "unpacked", "bytes": 5 << 20},
        {"loaded": ["localhost/x"]},
    ]
    assert api.request("DELETE", path, name="localhost/x").json == {"removed": ["localhost/x"]}
    assert api.request("DELETE", path, name="../x y").code == 400
    assert api.request("POST", f"{path}/pull", name="x").code == 404
    assert api.request("POST", f"{path}/prune").json == {"removed": [], "bytes": 0}
