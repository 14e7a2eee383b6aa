"""Many watches and many writers on one API, and the account of it: nothing missed, nothing told twice.

Used by `bench/api.py` for a minute on a real agent, and by a test for a fixed number of writes. Each writer
creates, changes and deletes ConfigMaps of its own and writes down which revision came of which write; each
watch writes down what it was told. At the end all stories must be one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import aiohttp

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
LAST = "the-last-one"

Event = tuple[str, str, int]  # type, name, revision


@dataclass
class Account:
    """What was written, what each watch saw, and how long a list of pods took (seconds)."""

    written: list[Event] = field(default_factory=list)
    seen: list[list[Event]] = field(default_factory=list)
    lists: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def mistakes(self) -> list[str]:
        """In words; empty when every watch was told every write once, in order."""
        found = []
        told = sorted(self.written, key=lambda event: event[2])
        for number, events in enumerate(self.seen):
            if events != told:
                missed, more = set(told) - set(events), set(events) - set(told)
                twice = len(events) - len(set(events))
                found.append(
                    f"watch {number}: {len(missed)} missed, {len(more)} unknown, {twice} twice, "
                    f"{'in order' if events == sorted(events, key=lambda each: each[2]) else 'out of order'}"
                )
        return found


async def run(api: Path, watches: int, writers: int, go_on: Callable[[int], bool]) -> Account:
    """A load on the API behind a socket. A writer's turn is three writes; `go_on(turns so far)` ends it."""
    account = Account()
    async with _session(api) as http:
        since = (await _get(http, CONFIG_MAPS))["metadata"]["resourceVersion"]
        watching = [asyncio.create_task(_watch(http, since, account)) for _ in range(watches)]
        begin = time.monotonic()
        reading = asyncio.create_task(_list_pods(http, account.lists))
        await asyncio.gather(*(_write(http, number, account, go_on) for number in range(writers)))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        account.seconds = time.monotonic() - begin
        await _call(http, "POST", CONFIG_MAPS, _config_map(LAST))
        await asyncio.gather(*watching)
    return account


async def time_lists(api: Path, seconds: float) -> list[float]:
    """How long lists of pods take, one after the other, while nothing else is asked."""
    taken: list[float] = []
    async with _session(api) as http:
        try:
            async with asyncio.timeout(seconds):
                await _list_pods(http, taken)
        except TimeoutError:
            return taken


def _session(api: Path) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(str(api), limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession("http://localhost", connector=connector, timeout=timeout)


async def _write(
    http: aiohttp.ClientSession, number: int, account: Account, go_on: Callable[[int], bool]
) -> None:
    turns = 0
    while go_on(turns):
        name = f"writer-{number}-{turns}"
        made = await _call(http, "POST", CONFIG_MAPS, _config_map(name))
        changed = await _call(http, "PATCH", f"{CONFIG_MAPS}/{name}", {"data": {"turn": "2"}})
        # The revision of a deletion is told to watches only: finalized objects are answered with a Status.
        account.written += [("ADDED", name, _revision(made)), ("MODIFIED", name, _revision(changed))]
        await _call(http, "DELETE", f"{CONFIG_MAPS}/{name}", {})
        turns += 1


async def _watch(http: aiohttp.ClientSession, since: str, account: Account) -> None:
    """Until the last write is seen. Deletions are counted by pairs: each ends an object that was there."""
    events: list[Event] = []
    account.seen.append(events)
    there: set[str] = set()
    async with http.get(CONFIG_MAPS, params={"watch": "true", "resourceVersion": since}) as answer:
        async for line in answer.content:
            event = json.loads(line)
            kind, name = event["type"], event["object"]["metadata"]["name"]
            if name == LAST:
                break
            if kind == "DELETED":
                assert name in there, f"{name} was deleted twice, or never there"
                there.discard(name)
                continue
            if kind == "ADDED":
                there.add(name)
            events.append((kind, name, _revision(event["object"])))
    assert not there, f"deletions were missed: {sorted(there)[:3]}"


async def _list_pods(http: aiohttp.ClientSession, taken: list[float]) -> NoReturn:
    """What `kubectl get pods` asks, again and again."""
    while True:
        begin = time.monotonic()
        async with http.get(PODS, params={"limit": "500"}, headers={"Accept": TABLE}) as answer:
            await answer.read()
        taken.append(time.monotonic() - begin)


async def _call(http: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    async with http.request(method, path, data=json.dumps(body), headers={"Content-Type": kind}) as answer:
        told: dict[str, Any] = await answer.json()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {told.get('message')}")
        return told


async def _get(http: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with http.get(path) as answer:
        told: dict[str, Any] = await answer.json()
        return told


def _config_map(name: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"turn": "1"}}


def _revision(obj: dict[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])
