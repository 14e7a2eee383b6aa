"""Objects and the log of their changes, in one SQLite file.

The shape is that of kine, which runs Kubernetes on SQL: table `log` gets one row per write, and its primary
key *is* the revision; table `objects` says which row is the present one of each key. Nothing is ever
updated in place, so a watch is only a reader that walks the log from the revision it knows (see
`watch.py`): no change can fall between a list and a watch, and a slow watcher costs no memory. `compact`
forgets superseded rows by age and by count; who asks for older ones gets 410 Expired.

Calls are synchronous: one takes 20–200 µs, which the event loop can afford. The file is in WAL mode with
synchronous=NORMAL: a commit is a `write` without an `fsync`. The agent may be killed at any instruction and
loses nothing it told anybody. A power failure may lose the last commits, never consistency; after it no
container runs any more, so there is nothing that the lost rows could contradict.

Objects go in and come out as fresh dicts, encoded in between: nobody shares a sub-tree with the store.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from minikubelet.errors import AlreadyExists, Conflict, Expired, InternalError, NotFound
from minikubelet.store.seal import Seal
from minikubelet.store.watch import Watch

Object = dict[str, Any]
Objects = list[Object]
Found = list[tuple[str, Object]]

EVENTS = "events"
SEALED = frozenset({"secrets"})  # never in the clear on disk
EVENT_TTL = timedelta(hours=1)  # as kube-apiserver's --event-ttl
KEEP_REVISIONS = 10_000
KEEP_AGE = timedelta(minutes=10)
MAINTENANCE_PERIOD = timedelta(minutes=1)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    revision  INTEGER PRIMARY KEY AUTOINCREMENT,
    resource  TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    type      TEXT NOT NULL,              -- ADDED, MODIFIED, DELETED
    previous  INTEGER NOT NULL,           -- revision this one superseded; 0: none
    at        REAL NOT NULL,              -- seconds since the epoch
    value     BLOB NOT NULL               -- JSON; of a deleted object its last state
);
CREATE INDEX IF NOT EXISTS log_by_resource ON log (resource, revision);
CREATE TABLE IF NOT EXISTS objects (
    resource  TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    revision  INTEGER NOT NULL,
    PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS compaction (revision INTEGER NOT NULL);
INSERT INTO compaction SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM compaction);
-- Until 0.1 these two were stored without their group.
UPDATE log SET resource = 'leases.coordination.k8s.io' WHERE resource = 'leases';
UPDATE log SET resource = 'priorityclasses.scheduling.k8s.io' WHERE resource = 'priorityclasses';
UPDATE objects SET resource = 'leases.coordination.k8s.io' WHERE resource = 'leases';
UPDATE objects SET resource = 'priorityclasses.scheduling.k8s.io' WHERE resource = 'priorityclasses';
-- Revision 0 means "any" to clients, so that an empty store already stands at 1.
INSERT INTO sqlite_sequence (name, seq) SELECT 'log', 1
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'log');
"""

_PRESENT = (
    "SELECT l.revision, l.value FROM objects o JOIN log l ON l.revision = o.revision WHERE o.resource = ?"
)
_PAST = (
    "SELECT revision, value FROM log WHERE type != 'DELETED' AND revision IN "
    "(SELECT max(revision) FROM log WHERE resource = ? AND revision <= ? GROUP BY namespace, name)"
)


class Change(NamedTuple):
    """One row of the log as a watcher sees it. `previous` is the object before, if there was one."""

    type: str
    object: Object
    revision: int
    previous: Object | None


Changes = list[Change]


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """As Kubernetes writes `metav1.Time`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Every object of the node. One instance per file; the agent's lock sees to that."""

    def __init__(
        self, path: Path, *, seal: Seal | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        """Open or make the file (0600). Without `seal` the key lies beside it as `<name>.key`."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._now = now
        self._seal = seal or Seal.load(path.with_suffix(".key"))
        self._watches: set[Watch] = set()
        self._rehearsing = False
        self._marks: deque[tuple[datetime, int]] = deque()  # the revision at some moments of the past
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        # What is deleted is overwritten: a removed Secret leaves no copy in free pages.
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("PRAGMA cache_size = -2048")  # KiB
        self._db.executescript(_SCHEMA)
        self._revision: int
        (self._revision,) = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log'").fetchone()
        (self._compacted,) = self._db.execute("SELECT revision FROM compaction").fetchone()

    @property
    def revision(self) -> int:
        """The newest revision: what a list answers as `metadata.resourceVersion`."""
        return self._revision

    def close(self) -> None:
        """End every watch and the file."""
        for watch in list(self._watches):
            watch.close()
        self._db.close()

    # Reading.

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """The object, or NotFound."""
        found = self._find(resource, namespace, name)
        if found is None:
            raise NotFound.of(resource, name)
        return found[1]

    def list(
        self, resource: str, namespace: str | None = None, *, at: int | None = None
    ) -> tuple[Objects, int]:
        """All objects by namespace and name, and the revision they are true for; `at` asks for the past."""
        if at is not None and at != self._revision:
            return self._list_past(resource, namespace, at), at
        where, values = (
            ("", [resource]) if namespace is None else (" AND o.namespace = ?", [resource, namespace])
        )
        rows = self._db.execute(f"{_PRESENT}{where} ORDER BY o.namespace, o.name", values)
        return [self._decode(resource, *row) for row in rows], self._revision

    def watch(
        self,
        resource: str | None,
        namespace: str | None = None,
        since: int | None = None,
        *,
        matches: Callable[[Object], bool] | None = None,
        containing: Iterable[str] = (),
    ) -> Watch:
        """An async iterator over (type, object, revision) of all changes after `since` (None: from now on).

        With `matches`, an object that begins to match is ADDED and one that no longer does is DELETED.
        Resource None means all but Events; `containing`: only what is deleted or has one of these texts in
        its JSON, so that all the others are not even decoded.
        Raises Expired, here or later, when the log no longer reaches back to where the watcher stands.
        """
        since = self._revision if since is None else since
        self._check_kept(since)
        return Watch(self, resource, namespace, since, matches, tuple(containing))

    def find(self, text: str) -> Found:
        """All objects but Events with this text somewhere in their JSON, and the resource of each."""
        where, values = _selected(None, None, (text,))
        rows = self._db.execute(
            "SELECT l.resource, l.revision, l.value FROM objects o JOIN log l ON l.revision = o.revision "
            f"WHERE {where}",
            values,
        )
        found = [(resource, self._decode(resource, revision, value)) for resource, revision, value in rows]
        return [
            (resource, obj)
            for resource, obj in found
            if resource not in SEALED or text.encode() in msgspec.json.encode(obj)
        ]

    def changes(
        self,
        resource: str | None,
        namespace: str | None,
        since: int,
        limit: int,
        containing: Iterable[str] = (),
        *,
        previous: bool = True,
    ) -> Changes:
        """The next rows of the log behind `since`, as `watch` describes them; with what was there before."""
        self._check_kept(since)
        where, values = _selected(resource, namespace, containing)
        before_it = ("p.revision, p.value", "LEFT JOIN log p ON p.revision = l.previous")
        columns, join = before_it if previous else ("NULL, NULL", "")
        rows = self._db.execute(
            f"SELECT l.revision, l.type, l.value, {columns}, l.resource FROM log l {join} "
            f"WHERE l.revision > ? AND {where} ORDER BY l.revision LIMIT ?",
            [since, *values, limit],
        ).fetchall()
        return [
            Change(kind, self._decode(of, revision, value), revision,
                   self._decode(of, before, old) if before else None)
            for revision, kind, value, before, old, of in rows
        ]  # fmt: skip

    # Writing. Every write is one transaction; watchers are woken after its commit.

    def create(self, resource: str, obj: Object) -> Object:
        """Store a new object, with uid, creationTimestamp and resourceVersion set; AlreadyExists."""
        obj = _copy(obj)
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if self._find(resource, namespace, name) is not None:
            raise AlreadyExists.of(resource, name)
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", timestamp(self._now()))
        return self._write(resource, "ADDED", obj, previous=0)

    def update(self, resource: str, obj: Object) -> Object:
        """Replace an object. A resourceVersion or uid that is given must be the present one: else Conflict.

        A write that changes nothing is none: same revision, no event. A changed `spec` raises
        `metadata.generation`, if the object has one; a pod's node does not count. Identity (uid,
        creationTimestamp) cannot be changed.
        """
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        found = self._find(resource, namespace, name)
        if found is None:
            raise NotFound.of(resource, name)
        revision, old = found
        check_same(resource, old, metadata.get("uid"), metadata.get("resourceVersion"))
        obj = _with_identity(obj, old)
        if obj == old:
            return old
        obj = self._write(resource, "MODIFIED", obj, previous=revision)
        return self.delete(resource, namespace, name) if _is_finished(obj) else obj

    def modify(
        self, resource: str, namespace: str, name: str, fn: Callable[[Object], Object | None]
    ) -> Object:
        """Read, let `fn` change the object (in place, or return another), write. NotFound, and what `fn`
        raises.
        """
        obj = self.get(resource, namespace, name)
        changed = fn(obj)
        return self.update(resource, obj if changed is None else changed)

    def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        """Remove the object and return its last state. NotFound, Conflict.

        Finalizers hold it: then it only becomes one that is being deleted, and goes with its last finalizer.
        """
        found = self._find(resource, namespace, name)
        if found is None:
            raise NotFound.of(resource, name)
        revision, obj = found
        check_same(resource, obj, uid, resource_version)
        if _finalizers(obj):
            obj["metadata"].setdefault("deletionTimestamp", timestamp(self._now()))
            obj["metadata"]["deletionGracePeriodSeconds"] = 0
            return self.update(resource, obj)
        return self._write(resource, "DELETED", obj, previous=revision)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """What is written inside this block happens for its writer only, and is undone at the end:
        `dryRun`.
        """
        revision = self._revision
        self._db.execute("BEGIN IMMEDIATE")
        self._rehearsing = True
        try:
            yield
        finally:
            self._rehearsing = False
            self._revision = revision
            self._db.execute("ROLLBACK")

    def maintain(self) -> None:
        """Call this now and then: once a minute it drops old Events and compacts the log.

        What is old by age is known from marks set here, not from the rows: to look for it would read them
        all.
        """
        now = self._now()
        if self._marks and now - self._marks[-1][0] < MAINTENANCE_PERIOD:
            return
        self._marks.append((now, self._revision))
        self._drop_events(now - EVENT_TTL)
        by_age = 0
        while self._marks[0][0] <= now - KEEP_AGE:
            by_age = self._marks.popleft()[1]
        self.compact(max(by_age, self._revision - KEEP_REVISIONS))

    def _drop_events(self, before: datetime) -> None:
        events = self._db.execute(
            "SELECT o.namespace, o.name FROM objects o JOIN log l ON l.revision = o.revision "
            "WHERE o.resource = 'events' AND l.at < ?",
            [before.timestamp()],
        ).fetchall()
        for namespace, name in events:
            self.delete("events", namespace, name)

    def compact(self, revision: int) -> None:
        """Forget what was superseded at or before `revision`. The present state and everything later stay."""
        revision = min(revision, self._revision)
        if revision <= self._compacted:
            return
        for watch in self._watches:
            if watch.revision >= self._compacted:
                watch.rest()
        with self._transaction("compact the log"):
            self._db.execute(
                "DELETE FROM log WHERE revision IN "
                "(SELECT previous FROM log WHERE previous > 0 AND revision <= ?)",
                [revision],
            )
            self._db.execute("DELETE FROM log WHERE type = 'DELETED' AND revision <= ?", [revision])
            self._db.execute("UPDATE compaction SET revision = ?", [revision])
        self._compacted = revision

    # Below: rows.

    def _find(self, resource: str, namespace: str, name: str) -> tuple[int, Object] | None:
        row = self._db.execute(
            f"{_PRESENT} AND o.namespace = ? AND o.name = ?", [resource, namespace, name]
        ).fetchone()
        return None if row is None else (row[0], self._decode(resource, *row))

    def _list_past(self, resource: str, namespace: str | None, revision: int) -> Objects:
        self._check_kept(revision)
        where, values = ("", []) if namespace is None else (" AND namespace = ?", [namespace])
        rows = self._db.execute(
            f"{_PAST}{where} ORDER BY namespace, name", [resource, revision, *values]
        ).fetchall()
        return [self._decode(resource, *row) for row in rows]

    def _check_kept(self, revision: int) -> None:
        if not self._compacted <= revision <= self._revision:
            raise Expired(f"too old resource version: {revision} ({max(self._compacted, 1)})")

    def _write(self, resource: str, kind: str, obj: Object, *, previous: int) -> Object:
        """Append to the log, move the present, tell the watchers."""
        metadata = obj["metadata"]
        metadata.pop("resourceVersion", None)
        key = (resource, metadata.get("namespace", ""), metadata["name"])
        value = self._encode(resource, obj)
        with self._transaction(f"write {resource} {key[2]}"):
            revision = self._db.execute(
                "INSERT INTO log (resource, namespace, name, type, previous, at, value) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [*key, kind, previous, self._now().timestamp(), value],
            ).lastrowid
            if kind == "DELETED":
                self._db.execute("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", key)
            else:
                self._db.execute("REPLACE INTO objects VALUES (?, ?, ?, ?)", [*key, revision])
        assert revision is not None
        self._revision = revision
        metadata["resourceVersion"] = str(revision)
        if self._rehearsing:
            return obj
        for watch in self._watches:
            watch.wake(resource)
        if revision - self._compacted > 2 * KEEP_REVISIONS:
            self.compact(revision - KEEP_REVISIONS)
        return obj

    @contextmanager
    def _transaction(self, what: str) -> Iterator[None]:
        """All or nothing; a full disk is an answer to the client, not the end of the agent."""
        try:
            if self._rehearsing:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction and not self._rehearsing:
                self._db.execute("ROLLBACK")
            raise InternalError(f"Internal error occurred: cannot {what}: {error}") from error

    def _encode(self, resource: str, obj: Object) -> bytes:
        value = msgspec.json.encode(obj)
        return self._seal.close(value) if resource in SEALED else value

    def _decode(self, resource: str, revision: int, value: bytes) -> Object:
        plain = self._seal.open(value) if resource in SEALED else value
        obj: Object = msgspec.json.decode(plain)
        obj["metadata"]["resourceVersion"] = str(revision)
        return obj


def _selected(
    resource: str | None, namespace: str | None, containing: Iterable[str]
) -> tuple[str, list[Any]]:
    """Conditions on rows of the log (as `l`), and their values. What is sealed cannot be searched."""
    where: list[str] = [f"l.resource != '{EVENTS}'"]
    values: list[Any] = []
    if resource is not None:
        where, values = ["l.resource = ?"], [resource]
    if namespace is not None:
        where.append("l.namespace = ?")
        values.append(namespace)
    texts = [text.encode() for text in containing]
    if texts:
        sealed = ", ".join(f"'{each}'" for each in sorted(SEALED))
        anyway = f"l.type = 'DELETED' OR l.resource IN ({sealed})"
        where.append(f"({anyway}{' OR instr(l.value, ?)' * len(texts)})")
        values += texts
    return " AND ".join(where), values


def _copy(obj: Object) -> Object:
    copied: Object = msgspec.json.decode(msgspec.json.encode(obj))
    return copied


def check_same(resource: str, obj: Object, uid: str | None, resource_version: str | None) -> None:
    """The caller's idea of the object must still hold. Raises Conflict."""
    metadata = obj["metadata"]
    name = metadata["name"]
    kind, _, group = resource.partition(".")
    if uid and uid != metadata["uid"]:
        raise Conflict(
            f'Operation cannot be fulfilled on {resource} "{name}": Precondition failed: '
            f"UID in precondition: {uid}, UID in object meta: {metadata['uid']}",
            name=name, kind=kind, group=group,
        )  # fmt: skip
    if resource_version and resource_version != "0" and resource_version != metadata["resourceVersion"]:
        raise Conflict(
            f'Operation cannot be fulfilled on {resource} "{name}": the object has been modified; '
            "please apply your changes to the latest version and try again",
            name=name, kind=kind, group=group,
        )  # fmt: skip


def _is_finished(obj: Object) -> bool:
    """Being deleted, and neither grace nor finalizers hold it any more."""
    metadata = obj["metadata"]
    held = _finalizers(obj) or metadata.get("deletionGracePeriodSeconds", 0) > 0
    return "deletionTimestamp" in metadata and not held


def _finalizers(obj: Object) -> bool:
    """Whether somebody wants to clean up before the object goes. A Namespace has its own list in its spec."""
    return bool(obj["metadata"].get("finalizers") or (obj.get("spec") or {}).get("finalizers"))


def _wished(obj: Object) -> Object:
    """The spec without the node a pod was bound to: that is an answer, and no new wish (KEP-5067)."""
    spec = obj.get("spec") or {}
    return {key: value for key, value in spec.items() if key != "nodeName"} if "nodeName" in spec else spec


def _with_identity(obj: Object, old: Object) -> Object:
    """A copy of `obj` that is still the same object as `old`, one generation later if its spec differs."""
    obj = _copy(obj)
    metadata, before = obj["metadata"], old["metadata"]
    for field in ("uid", "creationTimestamp", "resourceVersion"):
        metadata[field] = before[field]
    if "generation" in before:
        metadata["generation"] = max(metadata.get("generation", 0), before["generation"])
        if _wished(obj) != _wished(old) and metadata["generation"] == before["generation"]:
            metadata["generation"] += 1
    return obj
