"""`play FILE…`: pods in the foreground, on an agent of their own, with everything cleaned up at the end.

The story, in `_play`: 1. look whether the machine is fit, and read the manifests; 2. start a private agent;
3. have everything checked (`dryRun=All`); a single mistake, and nothing is created; 4. create the objects and
follow pods and Events, one line per change; 5. when all pods have ended, or on Ctrl-C: delete the pods with
their grace period (a second Ctrl-C: at once), stop the
   agent, remove its root.

Exit codes: 0 all pods Succeeded, or stopped while healthy; 1 a pod Failed (or was in trouble when stopped); 2
usage, which a wrong manifest is; 3 the machine is not fit.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import click

from minikubelet.cli import targets
from minikubelet.cli.base import Session, command, duration, say
from minikubelet.cli.client import Client
from minikubelet.cli.commands.doctor import fit
from minikubelet.cli.errors import CliError, ManyErrors, NodeNotFit, StatusError, UsageError
from minikubelet.cli.manifests import Manifested, documents_in, place
from minikubelet.cli.playing import private_agent
from minikubelet.cli.playing.changes import Change, event_change, finished, healthy, pod_changes
from minikubelet.cli.playing.private_agent import PrivateAgent
from minikubelet.cli.resources import EVENTS, PODS, Resource
from minikubelet.cli.tables import safe
from minikubelet.runtime.doctor import checks

# Pods are created last: what they refer to is there when they start.
FIRST = ("Namespace", "ServiceAccount", "ConfigMap", "Secret", "PersistentVolumeClaim")

PATIENCE = 20.0  # seconds beyond the grace period, for a pod to go

Object = dict[str, Any]
# ("pod", watch event), ("event", watch event), ("log", Change), ("failed", CliError), ("interrupt", None)
News = tuple[str, Any]


@command(
    "play",
    examples="""
    # Run a pod, see what happens to it, end it with Ctrl-C
    sudo minikubelet play examples/01-one-container.yaml
    # Several files; stop after ten seconds
    sudo minikubelet play web.yaml config.yaml --for 10s
    # While it plays, in another terminal (the first line says which DIR)
    sudo minikubelet --root DIR get pods -o wide
    """,
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--for", "seconds", default="", metavar="DURATION", help="Stop by itself after this time.")
@click.option("--logs", is_flag=True, help="Show what the containers write as well.")
def play_command(session: Session, files: tuple[str, ...], seconds: str, logs: bool) -> int:
    """Run pods from manifests in the foreground, and clean up after them.

    A private agent is started for them, so that nothing here meets the node's own pods. Exit code 0: all pods
    succeeded, or were stopped while healthy. 1: a pod failed. 2: wrong usage or a wrong manifest. 3: this
    machine cannot run pods.
    """
    limit = duration(seconds) if seconds else None
    documents = _as_usage(lambda: documents_in(files))
    _require_fitness()
    _take_interrupts(signal.default_int_handler)
    with private_agent.running() as agent:
        agent.session.given_namespace = session.given_namespace
        items = _as_usage(lambda: _checked(agent.session, place(agent.session, documents)))
        return _Stage(agent, logs).play(items, limit)


def _take_interrupts(handler: Callable[..., object]) -> None:
    """What is ignored stays so: nohup(1) wants it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _require_fitness() -> None:
    found = checks(private_agent.state_directory())
    if not fit(found):
        lacking = [check for check in found if check.required and not check.ok]
        lines = [f"{check.name}: {check.detail}; {check.remedy}" for check in lacking]
        raise NodeNotFit("this machine cannot run pods: " + " | ".join(lines))


def _as_usage(act: Any) -> Any:
    """A wrong manifest is a wrong argument: the same lines, exit code 2."""
    try:
        return act()
    except NodeNotFit:
        raise
    except CliError as error:
        several = ManyErrors([error])
        several.exit_code = max(2, error.exit_code)
        raise several from error


def _checked(session: Session, items: list[Manifested]) -> list[Manifested]:
    """Everything in the order of creation, after the API has found nothing wrong with any of it."""
    if not any(item.target.resource is PODS for item in items):
        raise UsageError("there is no pod in it")
    items.sort(key=lambda item: FIRST.index(item.data["kind"]) if item.data["kind"] in FIRST else len(FIRST))
    strict = {"fieldValidation": "Strict", "fieldManager": "minikubelet-play"}

    def check(item: Manifested) -> None:
        # A namespace is made at once: what is in it could not be checked without it.
        trial = {} if item.data["kind"] == "Namespace" else {"dryRun": "All"}
        _post(session.client, item, {**strict, **trial})

    targets.each(items, check)
    return items


def _post(client: Client, item: Manifested, query: dict[str, Any]) -> Object:
    try:
        made: Object = client.post(item.target.resource.path(item.target.namespace), item.data, query)
    except StatusError as error:
        raise StatusError(error.status, f'error when creating "{item.source}"') from error
    return made


class _Stage:
    """One play: what is known of the pods, and the lines about them. Everything is printed by the main
    thread.
    """

    def __init__(self, agent: PrivateAgent, logs: bool) -> None:
        self.agent = agent
        self.client = agent.session.client
        self.logs = logs
        self.silent = False
        self.news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.pods: dict[str, Object] = {}
        self.told: dict[str, int] = {}  # count of each Event by uid
        self.start = time.monotonic()
        self.followed: set[tuple[str, str, int]] = set()
        self.interrupts = 0

    def play(self, items: list[Manifested], limit: float | None) -> int:
        root = self.agent.root
        say(f"playing on a node of its own; look at it with: minikubelet --root {root} get pods -o wide")
        _take_interrupts(self._interrupt)
        self.start = time.monotonic()
        for resource, kind in ((PODS, "pod"), (EVENTS, "event")):
            self._watch(resource, kind)
        try:
            self._create(items)
            self._follow(limit)
            if self.interrupts:
                self._say("stopping; Ctrl-C again kills at once")
        finally:
            result = 0 if healthy(self.pods) else 1
            self._end()
        return result

    def _interrupt(self, *_: object) -> None:
        """Ctrl-C. It is counted, and wakes who waits for news; as an exception it could come anywhere, the
        second one between the first and the cleaning up.
        """
        self.interrupts += 1
        self.news.put(("interrupt", None))

    def _create(self, items: list[Manifested]) -> None:
        for item in items:
            if self.interrupts:
                return
            if item.data["kind"] != "Namespace":
                made = _post(self.client, item, {"fieldManager": "minikubelet-play"})
                if item.target.resource is PODS:
                    self.pods.setdefault(made["metadata"]["uid"], {**made, "status": {}})

    def _follow(self, limit: float | None) -> None:
        """Until all pods have come to their end, none is left, or the time is up."""
        end = None if limit is None else self.start + limit
        while self.pods and not finished(self.pods):
            if self.interrupts:
                return
            wait = 1.0 if end is None else min(1.0, end - time.monotonic())
            if wait <= 0:
                return
            with contextlib.suppress(queue.Empty):
                self._take(self.news.get(timeout=wait))
            if self.agent.died():
                raise CliError(f"the agent has ended\n{self.agent.last_words()}")
        self._take_the_rest()

    def _take_the_rest(self) -> None:
        """Events about the end of a pod may come a moment after the pod's own status."""
        until = time.monotonic() + 0.2
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._take(self.news.get(timeout=left))

    def _end(self) -> None:
        """Delete the pods: first with their grace period, then, or after another Ctrl-C, at once.

        A container does not end with its agent: should that have died, another one is started to clean up.
        Nothing is removed from under a pod that would not go.
        """
        if self.agent.died():
            self.agent.start()
            self._watch(PODS, "pod")
        self.agent.keep_root = True
        grace = max(
            (pod["spec"].get("terminationGracePeriodSeconds") or 0 for pod in self.pods.values()), default=0
        )
        patient = min(self.interrupts, 1)  # the one that ended the play, if one did
        self._delete({}, grace + PATIENCE, lambda: self.interrupts > patient)
        if self.pods and self.interrupts > patient:
            self._say("killing at once")
        if self.pods:
            self._delete({"gracePeriodSeconds": 0}, PATIENCE)
        if self.pods:
            names = ", ".join(pod["metadata"]["name"] for pod in self.pods.values())
            raise CliError(
                f"cannot remove {names}: the agent's log is {self.agent.log}\n{self.agent.last_words()}"
            )
        self.agent.keep_root = False

    def _delete(self, options: Object, patience: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Ask for it, and wait until all are gone, somebody hurries us, or patience is at its end."""
        for pod in self.pods.values():
            path = PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"])
            with contextlib.suppress(StatusError):  # it has gone by itself
                self.client.delete(path, options)
        end = time.monotonic() + patience
        while self.pods and not hurried() and not self.agent.died() and time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                self._take(self.news.get(timeout=1.0))

    # News

    def _watch(self, resource: Resource, kind: str) -> None:
        threading.Thread(
            target=self._watch_loop, args=(resource, kind), daemon=True, name=f"watch {kind}"
        ).start()

    def _watch_loop(self, resource: Resource, kind: str) -> None:
        try:
            while True:
                page = self.client.get(resource.path(None))
                for item in page["items"]:
                    self.news.put((kind, {"type": "ADDED", "object": item}))
                query = {"resourceVersion": page["metadata"]["resourceVersion"]}
                for event in self.client.watch(resource.path(None), query):
                    self.news.put((kind, event))
        except CliError as error:
            self.news.put(("failed", error))  # the agent is stopping, or has died: the main loop looks

    def _take(self, news: News) -> None:
        kind, event = news
        if kind == "pod":
            self._take_pod(event)
        elif kind == "event":
            self._take_event(event["object"])
        elif kind == "log":
            self._print(event)

    def _take_pod(self, event: Object) -> None:
        pod = event["object"]
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        if event["type"] == "DELETED":
            if self.pods.pop(uid, None):
                self._print(Change(name, "is gone"))
            return
        for change in pod_changes(self.pods.get(uid), pod):
            self._print(change)
        self.pods[uid] = pod
        if self.logs:
            self._follow_logs(pod)

    def _take_event(self, event: Object) -> None:
        uid, count = event["metadata"]["uid"], event.get("count") or 1
        change = event_change(event)
        if change is not None and self.told.get(uid, 0) < count:
            self.told[uid] = count
            self._print(change)

    def _follow_logs(self, pod: Object) -> None:
        """One thread per instance of a container that has begun to run."""
        for field in ("initContainerStatuses", "containerStatuses"):
            for status in (pod.get("status") or {}).get(field) or ():
                key = (pod["metadata"]["uid"], status["name"], status.get("restartCount", 0))
                if "running" in (status.get("state") or {}) and key not in self.followed:
                    self.followed.add(key)
                    arguments = (pod["metadata"], status["name"])
                    threading.Thread(target=self._log_loop, args=arguments, daemon=True).start()

    def _log_loop(self, metadata: Object, container: str) -> None:
        path = PODS.path(metadata["namespace"], metadata["name"], "log")
        with contextlib.suppress(CliError), self.client.request(
            "GET", path, {"container": container, "follow": True}, accept="*/*"
        ) as response:  # fmt: skip
            for line in response.lines():
                text = line.decode("utf-8", "replace")
                self.news.put(("log", Change(f"{metadata['name']}/{container}", f"| {text}")))

    def _print(self, change: Change) -> None:
        seconds = time.monotonic() - self.start
        line = safe(f"{seconds:9.3f}s  {change.who:<24}  {change.text}")
        self._say(f"\x1b[31m{line}\x1b[0m" if change.grave and sys.stdout.isatty() else line)

    def _say(self, line: str) -> None:
        """When nobody reads any more (`| head`, a closed terminal), stop as on Ctrl-C, and go on in
        silence.
        """
        if self.silent:
            return
        try:
            say(line)
        except OSError:
            self.silent = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._interrupt()
