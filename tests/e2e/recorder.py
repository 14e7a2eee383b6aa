"""The watch streams of pods and Events, written down as they arrive: what a client of the API sees, and when.

    with Recorder(socket) as recorder:
        recorder.api.create(manifest)
        recorder.until("web", lambda record: "Failed …" in record.states())
        recorder.record("web").events()

Two threads read `?watch=true` over the agent's unix socket and note each line with the time of its arrival; a
test waits on a condition variable, never by asking again and again. A `Record` is one pod's story in short
lines, so that a table of expectations and its failure can be read side by side:

    Running main=ready ×1 last=Error/1                  a state: phase, containers, restarts, last instance
    Warning Unhealthy main: Liveness probe failed:      an Event: type, reason, container, message
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from .conftest import FACTOR

Object = dict[str, Any]

PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a path instead of an address."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


class Api:
    """The few requests a story needs: quicker than a command each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, manifest: Object) -> Object:
        return self._ask("POST", PODS, manifest)

    def delete(self, name: str) -> Object:
        return self._ask("DELETE", f"{PODS}/{name}")

    def pods(self) -> list[Object]:
        items: list[Object] = self._ask("GET", PODS)["items"]
        return items

    def _ask(self, method: str, path: str, body: Object | None = None) -> Object:
        connection = UnixConnection(self._path)
        try:
            connection.request(method, path, json.dumps(body) if body else None, _JSON)
            answer = connection.getresponse()
            content: Object = json.loads(answer.read())
        finally:
            connection.close()
        assert answer.status < 300, f"{method} {path}: {answer.status} {content.get('message')}"
        return content


_JSON = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Line:
    """What was seen, and when it arrived (seconds on the monotonic clock)."""

    at: float
    text: str


@dataclass(slots=True)
class Record:
    """One pod's story: everything the two watches said of it."""

    pods: list[tuple[float, Object]] = field(default_factory=list)
    told: list[tuple[float, Object]] = field(default_factory=list)

    def state_lines(self) -> list[Line]:
        """What the pod looked like, one line for each difference."""
        return changes([Line(at, state(pod)) for at, pod in self.pods])

    def condition_lines(self) -> list[Line]:
        return changes([Line(at, conditions(pod)) for at, pod in self.pods])

    def event_lines(self) -> list[Line]:
        """Each time the Event was written: a count that goes up is one more."""
        return [Line(at, event(obj)) for at, obj in self.told]

    def states(self) -> list[str]:
        return [line.text for line in self.state_lines()]

    def events(self) -> list[str]:
        return [line.text for line in self.event_lines()]


def changes(lines: Sequence[Line]) -> list[Line]:
    return [next(same) for _, same in groupby(lines, key=lambda line: line.text)]


class Recorder:
    """Watches from the first moment on; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.api = Api(path)
        self._path = path
        self._changed = threading.Condition()
        self._records: dict[str, Record] = {}
        self._watches: list[http.client.HTTPConnection] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Recorder:
        for url, note in ((PODS, self._note_pod), (EVENTS, self._note_event)):
            connection = UnixConnection(self._path)
            connection.request("GET", f"{url}?watch=true", headers=_JSON)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            thread = threading.Thread(target=self._read, args=(response, note), daemon=True)
            thread.start()
            self._watches.append(connection)
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._watches:
            with suppress(OSError):  # the agent may have gone first
                connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        for connection in self._watches:
            connection.close()

    def record(self, name: str) -> Record:
        with self._changed:
            known = self._records.get(name, Record())
            return Record(list(known.pods), list(known.told))

    def until(
        self,
        name: str,
        check: Callable[[Record], bool],
        limit: float = 60,
        hint: Callable[[Record], str] = lambda record: "",
    ) -> Record:
        """The record as soon as it is so; fails after `limit` × FACTOR seconds and shows what there is."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: check(self._records.get(name, Record())), timeout=limit * FACTOR
            )
        record = self.record(name)
        if not found:
            pytest.fail(f"not so after {limit * FACTOR:.0f} s: {name}\n{hint(record)}\n{told(record)}")
        return record

    def _read(self, response: http.client.HTTPResponse, note: Callable[[float, str, Object], None]) -> None:
        with response:
            for line in lines_of(response):
                at, change = time.monotonic(), json.loads(line)
                with self._changed:
                    note(at, change["type"], change["object"])
                    self._changed.notify_all()

    def _note_pod(self, at: float, kind: str, pod: Object) -> None:
        if kind == "DELETED":
            pod = pod | {"gone": True}
        self._of(pod["metadata"]["name"]).pods.append((at, pod))

    def _note_event(self, at: float, kind: str, obj: Object) -> None:
        if kind != "DELETED":
            self._of(obj["involvedObject"]["name"]).told.append((at, obj))

    def _of(self, name: str) -> Record:
        return self._records.setdefault(name, Record())


def lines_of(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Until the other side, or we, close the connection: what was cut off by that is no line."""
    with suppress(OSError, http.client.IncompleteRead):
        while (line := response.readline()).endswith(b"\n"):
            yield line


def told(record: Record) -> str:
    """The whole record, for a failure's text."""
    lines = sorted([*record.state_lines(), *record.event_lines()], key=lambda line: line.at)
    if not lines:
        return "nothing was seen"
    begin = lines[0].at
    return "\n".join(f"{line.at - begin:7.2f}  {line.text}" for line in lines)


# The short lines


def state(pod: Object) -> str:
    if pod.get("gone"):
        return "gone"
    status, deleting = pod.get("status", {}), "deletionTimestamp" in pod["metadata"]
    every = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    words = ["deleting"] if deleting else []
    words += [status.get("phase", "-")]
    words += [status["reason"]] if status.get("reason") else []
    return " ".join([*words, *map(container, every)])


def container(status: Object) -> str:
    last = status.get("lastState", {}).get("terminated")
    words = [f"{status['name']}={current(status)}"]
    words += [f"×{status['restartCount']}"] if status["restartCount"] else []
    words += [f"last={ended(last)}"] if last else []
    return " ".join(words)


def current(status: Object) -> str:
    ((kind, detail),) = status["state"].items()
    if kind == "terminated":
        return ended(detail)
    if kind == "waiting":
        return str(detail.get("reason", "waiting"))
    flags = [flag for flag in ("started", "ready") if status.get(flag)]
    return {"started": "started", "started ready": "ready", "": "running"}[" ".join(flags)]


def ended(terminated: Object) -> str:
    return f"{terminated['reason']}/{terminated['exitCode']}"


def conditions(pod: Object) -> str:
    """`Ready=F:ContainersNotReady …`, in the list's order."""
    return " ".join(
        f"{one['type']}={one['status'][0]}" + (f":{one['reason']}" if one.get("reason") else "")
        for one in pod.get("status", {}).get("conditions", ())
    )


def event(obj: Object) -> str:
    path = obj["involvedObject"].get("fieldPath", "")
    about = f"{path.partition('{')[2].rstrip('}')}: " if path else ""
    return f"{obj['type']} {obj['reason']} {about}{obj['message']}"
