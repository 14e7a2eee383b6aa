"""Static pods: pods from files on the node, without the API (kubelet-behaviour 7.4 to 7.7).

    files ──look──▶ wanted (full name → pod) ──▶ a worker for each      a mirror in the API for each

`StaticPods` keeps three things equal: what the files want, who works, and what the API shows. A file that
changed is another pod of the same name: the old one is ended wholly before the new one begins. Whatever
happens to a mirror is undone.

It looks when inotify tells of a change, after the files have been at rest for a moment (editors rename,
truncate and write again), and every 20 s in any case. Only when it has looked once is it known which of the
pods that run nobody wants any more; pods that do not run yet wait until those are gone (`open`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from minikubelet.errors import AlreadyExists, Conflict, NotFound
from minikubelet.runtime.file_watch import DirectoryWatch, FileWatch
from minikubelet.store import Store
from minikubelet.v1 import Pod, PodStatus, from_dict, to_dict

from .clock import Clock
from .manifest_folder import ManifestFolder
from .mirror_pods import is_mirror, mirror_of, runtime_uid, shows
from .names import log_name, uid_of
from .ports import Recorder
from .static_manifest import FILE, SEEN, Refuse, static_pod

logger = logging.getLogger(__name__)

FILE_CHECK = 20.0  # fileCheckFrequency
AT_REST = 0.1  # seconds without a change
LONGEST_UNREST = 1.0
NO_FOLDER = 1.0  # between two looks for a folder that is not there (yet)

FullName = tuple[str, str]


class Workers(Protocol):
    """Those who do the work; the pod manager."""

    def begin_pod(self, pod: Pod) -> None: ...
    def change_pod(self, pod: Pod) -> None: ...
    def end_pod(self, pod: Pod) -> None:
        """With the pod's own grace period; `StaticPods.finished` is called when nothing is left of it."""

    def status_of(self, uid: str) -> PodStatus | None:
        """What the worker of this uid last said; None: there is none."""


class StaticPods:
    """`path` None: there are no static pods, and so no mirrors."""

    def __init__(
        self,
        path: Path | None,
        node_name: str,
        store: Store,
        recorder: Recorder,
        clock: Clock,
        workers: Workers,
        refuse: Refuse,
    ) -> None:
        self._folder = ManifestFolder(path, self._make) if path else None
        self._node_name = node_name
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._workers = workers
        self._refuse = refuse
        self._wanted: dict[FullName, Pod] = {}
        self._working: dict[FullName, Pod] = {}
        self._ending: set[FullName] = set()
        self._adopted: Collection[str] | None = ()  # which uids may begin; None: all
        self._told: set[str] = set()  # which duplicates have been told

    # The story

    async def first_look(self) -> set[str]:
        """The uids that the files want."""
        self._want(await self._look())
        return {uid_of(pod) for pod in self._wanted.values()}

    def begin(self, running: Collection[str]) -> None:
        """Go on with those that run; the rest may begin when `open` is called."""
        self._adopted = running
        self._arrange()

    def open(self) -> None:
        """What nobody wanted is gone: names are free."""
        self._adopted = None
        self._arrange()

    async def follow(self) -> None:
        """Look whenever the folder changed, and now and then; for ever."""
        if self._folder is None:
            return
        hub = FileWatch()
        while True:
            directory = self._folder.directory
            identity = _identity(directory)
            if identity is None:
                await self._look_and_arrange()
                await asyncio.sleep(NO_FOLDER)
                continue
            with hub.watch(directory) as watch:
                while _identity(directory) == identity:
                    await self._look_and_arrange()
                    if await watch.changed(FILE_CHECK):
                        await _at_rest(watch)

    def finished(self, pod: Pod) -> None:
        """Nothing is left of this static pod: its mirror goes, and its name is free."""
        name = _full_name(pod)
        self._working.pop(name, None)
        self._ending.discard(name)
        self._reflect(name)
        self._arrange()

    def api_changed(self, kind: str, pod: dict[str, Any]) -> None:
        """A pod of the API changed: a mirror is put right, a name may have become free."""
        if is_mirror(pod):
            self._reflect((pod["metadata"]["namespace"], pod["metadata"]["name"]))
        elif kind == "DELETED" and self._told:
            self._arrange()

    # What the files want

    async def _look_and_arrange(self) -> None:
        self._want(await self._look())
        self._arrange()
        for name in list(self._working):
            self._reflect(name)  # its namespace may have come only now

    async def _look(self) -> list[Pod]:
        if self._folder is None:
            return []
        return await asyncio.to_thread(self._folder.pods, self._clock.now())

    def _make(self, data: bytes, path: str, seen: datetime) -> tuple[Pod, list[str]]:
        return static_pod(data, path, self._node_name, seen, self._refuse)

    def _want(self, pods: list[Pod]) -> None:
        """Of two files that mean the same pod the first counts."""
        self._wanted, uids = {}, set[str]()
        for pod in pods:
            name = _full_name(pod)
            if name in self._wanted or uid_of(pod) in uids:
                self._tell_duplicate(pod)
            else:
                self._wanted[name] = pod
                uids.add(uid_of(pod))

    def _tell_duplicate(self, pod: Pod) -> None:
        """Once for each pod, not at every look."""
        if uid_of(pod) in self._told:
            return
        self._told.add(uid_of(pod))
        assert pod.metadata is not None
        text = f'due to duplicate pod name "{pod.metadata.name}", ignoring'
        message = f"Error validating pod {log_name(pod)} from {FILE} {text}"
        self._recorder.event(pod, "Warning", "FailedValidation", message)
        logger.warning("%s", message)

    # Who works

    def _arrange(self) -> None:
        """End what is not wanted any more, pass on what changed, begin what has a free name."""
        for name, pod in list(self._working.items()):
            wanted = self._wanted.get(name)
            if name in self._ending:
                continue
            if wanted is None or uid_of(wanted) != uid_of(pod):
                self._ending.add(name)
                self._workers.end_pod(pod)
            elif _differ(pod, wanted):
                self._change(name, pod, wanted)
        for name, pod in self._wanted.items():
            if name not in self._working and self._may_begin(name, pod):
                self._begin(name, pod)

    def _may_begin(self, name: FullName, pod: Pod) -> bool:
        if self._adopted is not None and uid_of(pod) not in self._adopted:
            return False
        present = self._find(name)
        taken = present is not None and not is_mirror(present)
        if taken or self._workers.status_of(uid_of(pod)) is not None:
            self._tell_duplicate(pod)
            return False
        self._told.discard(uid_of(pod))
        return True

    def _begin(self, name: FullName, pod: Pod) -> None:
        """What an earlier agent said of this very pod is still true (14.1): nothing flaps."""
        mirror = self._find(name)
        if mirror is not None and runtime_uid(mirror) == uid_of(pod) and mirror.get("status"):
            pod.status = from_dict(Pod, mirror).status
        self._working[name] = pod
        self._workers.begin_pod(pod)
        self._reflect(name)

    def _change(self, name: FullName, former: Pod, pod: Pod) -> None:
        """Another content under a uid that the file itself gives: the same pod, changed (7.6)."""
        pod = from_dict(Pod, to_dict(pod))
        assert pod.metadata is not None
        assert former.metadata is not None
        annotations, before = pod.metadata.annotations or {}, former.metadata.annotations or {}
        pod.metadata.annotations = annotations | {SEEN: before[SEEN]}
        pod.status = self._workers.status_of(uid_of(pod)) or former.status
        self._working[name] = pod
        self._workers.change_pod(pod)
        self._reflect(name)

    # Mirrors

    def _reflect(self, name: FullName) -> None:
        """Let the API show the static pod of this name, and nothing when there is none."""
        mirror, pod = self._find(name), self._working.get(name)
        if mirror is not None and not is_mirror(mirror):
            return
        if pod is not None and mirror is not None:
            ends = name in self._ending and "deletionTimestamp" not in mirror["metadata"]
            if shows(mirror, pod) or (ends and runtime_uid(mirror) == uid_of(pod)):
                return
        if mirror is not None:
            self._remove(mirror)
        if pod is not None and name not in self._ending:
            self._create_mirror(pod)

    def _create_mirror(self, pod: Pod) -> None:
        assert pod.metadata is not None
        status = self._workers.status_of(uid_of(pod)) or pod.status or PodStatus()
        try:
            namespace = self._store.get("namespaces", "", pod.metadata.namespace or "")
            if "deletionTimestamp" not in namespace["metadata"]:
                node = self._store.get("nodes", "", self._node_name)
                self._store.create("pods", mirror_of(pod, status, node))
        except NotFound as error:
            logger.debug("no mirror for pod %s: %s", log_name(pod), error)
        except AlreadyExists:
            logger.debug("a finalizer holds the former mirror of pod %s", log_name(pod))

    def _remove(self, mirror: dict[str, Any]) -> None:
        metadata = mirror["metadata"]
        try:
            self._store.delete("pods", metadata["namespace"], metadata["name"], uid=metadata["uid"])
        except (NotFound, Conflict):
            logger.debug("the mirror %s was removed by somebody else", metadata["name"])

    def _find(self, name: FullName) -> dict[str, Any] | None:
        try:
            return self._store.get("pods", *name)
        except NotFound:
            return None


async def _at_rest(watch: DirectoryWatch) -> None:
    """Wait for the end of a burst of changes, but not for ever."""
    try:
        async with asyncio.timeout(LONGEST_UNREST):
            while await watch.changed(AT_REST):
                continue
    except TimeoutError:
        return


def _identity(directory: Path) -> tuple[int, int] | None:
    """Which directory has this name now; None: there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if directory.is_dir() else None


def _full_name(pod: Pod) -> FullName:
    assert pod.metadata is not None
    return pod.metadata.namespace or "", pod.metadata.name or ""


def _differ(one: Pod, other: Pod) -> bool:
    return _content(one) != _content(other)


def _content(pod: Pod) -> dict[str, Any]:
    """All but when it was first seen and how it does."""
    data = to_dict(pod)
    data.pop("status", None)
    data["metadata"]["annotations"].pop(SEEN, None)
    return data
