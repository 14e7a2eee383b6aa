"""Lifecycle hooks: what runs, what counts as failure, and the texts of kubelet-behaviour 5."""

from __future__ import annotations

import asyncio

import pytest

from minikubelet.agent.hooks import Hooks
from minikubelet.agent.ports import HookError, HookTarget
from minikubelet.errors import RunContainerError
from minikubelet.runtime.cri import ExecResult
from minikubelet.v1 import (
    Container,
    ContainerPort,
    ExecAction,
    HTTPGetAction,
    HTTPHeader,
    LifecycleHandler,
    ObjectMeta,
    Pod,
    SleepAction,
    TCPSocketAction,
)
from tests.unit.agent.servers import Peer, answering, response, serving
from tests.virtual_time import in_virtual_time

FINE = ExecResult(0, b"")
WHO = 'for Container "main" in Pod "web_default(u1)" failed - error:'


class Node:
    """The runtime and the recorder of a hook."""

    def __init__(self, answer: ExecResult | Exception = FINE) -> None:
        self.answer = answer
        self.ran: list[tuple] = []
        self.events: list[tuple] = []
        self.hooks = Hooks(self, self)

    async def exec_sync(self, *question):
        self.ran.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def event(self, pod, type, reason, message, field_path=""):
        self.events.append((type, reason, message))

    async def run(self, *, pod_ip: str = "127.0.0.1", ports=(), **hook) -> None:
        pod = Pod(metadata=ObjectMeta(name="web", namespace="default", uid="u1"))
        target = HookTarget(pod, Container(name="main", ports=list(ports)), "c1", pod_ip)
        await self.hooks.run(target, LifecycleHandler(**hook))

    async def fails(self, **hook) -> str:
        with pytest.raises(HookError) as caught:
            await self.run(**hook)
        return str(caught.value)


@in_virtual_time
async def test_a_command_runs_as_it_stands_without_a_time_limit():
    node = Node()
    await node.run(exec=ExecAction(command=["echo", "$(HOME)"]))
    assert node.ran == [("u1", "c1", ["echo", "$(HOME)"], None)]


@in_virtual_time
async def test_a_command_that_fails_is_quoted_with_its_output():
    node = Node(ExecResult(1, b'no "way"\n'))
    assert await node.fails(exec=ExecAction(command=["sh", "-c", "exit 1"])) == (
        f"Exec lifecycle hook ([sh -c exit 1]) {WHO} command 'sh -c exit 1' exited with 1: , "
        r'message: "no \"way\"\n"'
    )


@in_virtual_time
async def test_what_a_failed_command_said_on_stderr_is_named_first_and_then_all_it_said():
    node = Node(ExecResult(7, b"out\nerr\n", stderr=b"err\n"))
    assert await node.fails(exec=ExecAction(command=["x"])) == (
        f"Exec lifecycle hook ([x]) {WHO} command 'x' exited with 7: err\n, " r'message: "out\nerr\n"'
    )


@in_virtual_time
async def test_a_command_that_cannot_start_fails_with_the_runtime_s_words():
    node = Node(RunContainerError("not found"))
    assert await node.fails(exec=ExecAction(command=["x"])) == (
        f'Exec lifecycle hook ([x]) {WHO} not found, message: ""'
    )


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oops", "304 Not Modified"])
@in_virtual_time
async def test_any_answer_over_http_is_success(status):
    node, seen = Node(), []
    async with serving(answering(response(status), seen)) as port:
        await node.run(
            http_get=HTTPGetAction(path="/bye", port="web", http_headers=[HTTPHeader(name="x-a", value="1")]),
            ports=[ContainerPort(name="web", container_port=port)],
        )
    assert seen[0].startswith("GET /bye HTTP/1.1\r\n")
    assert "User-Agent: kube-lifecycle/1.36\r\n" in seen[0]
    assert "X-A: 1\r\n" in seen[0]


@in_virtual_time
async def test_an_answer_that_breaks_off_is_one_too():
    async with serving(answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")) as port:
        await Node().run(http_get=HTTPGetAction(port=port))


@in_virtual_time
async def test_not_being_answered_is_a_failure():
    async with serving(answering("")) as port:
        pass
    assert await Node().fails(http_get=HTTPGetAction(path="/bye", port=port)) == (
        f'HTTP lifecycle hook (/bye) {WHO} Get "http://127.0.0.1:{port}/bye": '
        f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    )


@in_virtual_time
async def test_a_port_that_leads_nowhere_is_a_failure():
    text = await Node().fails(http_get=HTTPGetAction(path="/", port="x"))
    assert text == f'HTTP lifecycle hook (/) {WHO} strconv.Atoi: parsing "x": invalid syntax'


@in_virtual_time
async def test_https_answered_in_plain_is_asked_again_without_credentials():
    seen = []

    async def talk(peer: Peer) -> None:
        first = await peer.reader.read(1)
        if first == b"G":
            seen.append("G" + await peer.request())
            await peer.send(response("200 OK"))
        else:
            await peer.send("HTTP/1.0 400 Bad Request\r\n\r\n")

    node = Node()
    async with serving(talk) as port:
        headers = [HTTPHeader(name="Authorization", value="secret"), HTTPHeader(name="X-A", value="1")]
        await node.run(http_get=HTTPGetAction(port=port, scheme="HTTPS", http_headers=headers))
    assert "secret" not in seen[0]
    assert "X-A: 1" in seen[0]
    assert node.events == [
        (
            "Warning",
            "LifecycleHTTPFallback",
            f"request to HTTPS lifecycle hook 127.0.0.1:{port} got HTTP response, retry with HTTP succeeded",
        )
    ]


@in_virtual_time
async def test_if_the_second_request_fails_too_the_first_error_counts():
    async def talk(peer: Peer) -> None:
        if await peer.reader.read(1) != b"G":
            await peer.send("HTTP/1.0 400 Bad Request\r\n\r\n")

    node = Node()
    async with serving(talk) as port:
        text = await node.fails(http_get=HTTPGetAction(port=port, scheme="HTTPS"))
    assert text.endswith("http: server gave HTTP response to HTTPS client")
    assert node.events == []


@in_virtual_time
async def test_a_silent_server_is_waited_for_until_the_caller_gives_up():
    async with serving(lambda peer: peer.reader.read()) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await Node().run(http_get=HTTPGetAction(port=port))


@pytest.mark.parametrize("seconds", [0, 5])
@in_virtual_time
async def test_sleep_waits(seconds):
    await Node().run(sleep=SleepAction(seconds=seconds))
    assert asyncio.get_running_loop().time() == pytest.approx(seconds)


@in_virtual_time
async def test_tcp_sockets_never_worked():
    text = await Node().fails(tcp_socket=TCPSocketAction(port=1))
    assert text.startswith("Cannot run handler: invalid handler: ")
