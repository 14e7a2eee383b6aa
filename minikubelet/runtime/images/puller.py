"""Pull an image from its registry into the store: `python -m minikubelet.runtime.images.puller STORE`.

A process of its own for each pull, as for each load (see `loader`), and for the same reasons. What to pull,
and with whose credentials, is one JSON object on standard input, where nobody sees it in a list of processes.
It prints one line of JSON per step; the last one is {"images": [...]} or {"reason", "error"}.

    resolve    a tag or digest → manifest, or index → the manifest for this machine
    fetch      configuration, then those layers that the store lacks, a few at a time
    place      the loader's: unpack, check the content, rename, record

    STORE/partial/HEX    a blob while it is fetched; what a killed pull has left is gone on with by the next,
                         or removed when nobody wants it any more (`Records.remove_unfinished`)
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from minikubelet.errors import ImageError
from minikubelet.linux import processes
from minikubelet.runtime.images import archive, loader
from minikubelet.runtime.images.credentials import Credentials
from minikubelet.runtime.images.hosts import hosts
from minikubelet.runtime.images.manifest import Descriptor, Manifest, failed
from minikubelet.runtime.images.records import EVERYBODY, ImageRecord, Records
from minikubelet.runtime.images.reference import Reference
from minikubelet.runtime.images.registry import Registry
from minikubelet.runtime.images.transport import AccessDenied, Unavailable

SIDE_BY_SIDE = 3  # layers, as containerd's max_concurrent_downloads
TOLD_EVERY = 0.2  # seconds
MAX_INDEX_DEPTH = 4
MAX_CONFIG = 8 << 20


def main() -> int:
    store, request = Path(sys.argv[1]), json.load(sys.stdin)
    os.umask(0o022)
    processes.set_oom_score(0)  # as the loader
    resource.setrlimit(resource.RLIMIT_AS, (loader.MEMORY, loader.MEMORY))
    reference = Reference.parse(request["image"])
    known = [Credentials(**one) for one in request["credentials"]]
    try:
        record = pull(store, reference, known, Path(request["certs_d"]))
        answer: dict[str, Any] = {"images": [record.id]}
    except ImageError as error:
        answer = {"reason": error.reason, "error": f'failed to pull and unpack image "{reference}": {error}'}
    except (OSError, MemoryError, ValueError, RecursionError) as error:
        # ValueError: urllib and http.client refuse addresses and headers that a registry may have made up.
        text = f'failed to pull and unpack image "{reference}": {error or "out of memory"}'
        answer = {"reason": "ErrImagePull", "error": text}
    say(answer)
    return 0 if "images" in answer else 1


def say(step: Mapping[str, Any]) -> None:
    print(json.dumps(step), flush=True)


def pull(store: Path, reference: Reference, known: list[Credentials], configuration: Path) -> ImageRecord:
    """The image, complete and recorded. Raises ImageError, OSError.

    Host after host, and on each with one after the other of the credentials: the first that is let in.
    """
    failures: list[ImageError] = []
    attempts: list[Credentials | None] = [*known] or [None]
    for host in hosts(reference.domain, configuration):
        if not host.resolves and not reference.digest:
            continue  # it may hand out content, and not say what a tag means
        for credentials in attempts:
            registry = Registry(host, reference.path, reference.domain, credentials)
            try:
                return Pull(store, reference, registry, _allowed(credentials)).run()
            except AccessDenied as error:
                failures.append(error)
            except Unavailable as error:
                failures.append(error)
                break
    if not failures:
        raise failed(f"no host in hosts.toml may resolve {reference}")
    raise failures[-1]  # the server stands last: what it says is what people expect to read


def _allowed(credentials: Credentials | None) -> list[str]:
    """Who may use what these have fetched: who has them, too (all pods have the node's own). What is public
    is everybody's.
    """
    return [EVERYBODY] if credentials is None else [credentials.fingerprint]


class Pull:
    """One image from one registry."""

    def __init__(self, store: Path, reference: Reference, registry: Registry, allowed: list[str]) -> None:
        self._store, self._reference, self._registry = store, reference, registry
        self._allowed = allowed
        self._progress = Progress()
        self._partial = Records(store).partial

    def run(self) -> ImageRecord:
        try:
            top = self._registry.manifest(self._reference.digest or self._reference.tag)
            image = self._for_this_machine(top, 0)
        except ImageError as error:
            text = f'failed to resolve reference "{self._reference}": '
            about = f"{self._reference}: " if str(error) == "not found" else ""
            raise type(error)(error.reason, f"{text}{about}{error}") from error
        digested = f"{self._reference.name}@{top.digest}"
        say({"resolved": digested})
        known = self._known(digested)
        if known is not None:
            return known
        with Records(self._store).pulling(), self._fetched(image.config) as file:
            config = file.read(MAX_CONFIG + 1)
            if len(config) > MAX_CONFIG:
                raise failed(f"the configuration is larger than {MAX_CONFIG} bytes")
            layers = image.layers
            self._fetch_missing(loader.diff_ids(config), layers)
            found = archive.ArchivedImage(
                config,
                [(layer.digest, layer.digest) for layer in layers],
                [self._reference.tagged] if self._reference.tagged else [],
                [digested],
                image.content,
                self._allowed,
            )
            (record,) = loader.place(self._store, Fetched(self._partial), [found])
            for blob in (image.config, *layers):
                self._path(blob).unlink(missing_ok=True)
        return record

    def _for_this_machine(self, manifest: Manifest, depth: int) -> Manifest:
        """Through an index, if there is one, to an image manifest."""
        if not manifest.is_index:
            return manifest
        if depth >= MAX_INDEX_DEPTH:
            raise failed("index within index within index")
        for entry in manifest.manifests:
            if archive.for_this_machine(entry):
                chosen = Descriptor.of(entry)
                return self._for_this_machine(self._registry.manifest(chosen.digest), depth + 1)
        raise failed(f"no match for platform in manifest: linux/{archive.architecture()}: not found")

    def _known(self, digested: str) -> ImageRecord | None:
        """It is here already, perhaps under another name."""
        records = Records(self._store)
        record = next((one for one in records.all() if digested in one.digests), None)
        if record is None:
            return None
        tags = [self._reference.tagged] if self._reference.tagged else []
        if {*tags} <= {*record.tags} and {*self._allowed} <= {*record.allowed}:
            return record
        with records.lock():
            return records.add(replace(record, tags=tags, allowed=self._allowed))

    def _fetch_missing(self, contents: list[str], layers: list[Descriptor]) -> None:
        if len(contents) != len(layers):
            raise failed(f"{len(layers)} layers where the configuration has {len(contents)}")
        records = Records(self._store)
        missing = [
            layer
            for diff_id, layer in zip(contents, layers, strict=True)
            if not (records.layer(diff_id).exists() and records.blob(layer.digest).exists())
        ]
        self._progress.total = sum(layer.size for layer in missing)
        threads = ThreadPoolExecutor(SIDE_BY_SIDE)
        try:
            for fetch in as_completed(threads.submit(self._fetch, layer) for layer in dict.fromkeys(missing)):
                fetch.result()
        finally:
            # When one has failed nobody waits for the others: they end with the process.
            threads.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, blob: Descriptor) -> None:
        with self._fetched(blob):
            return

    @contextmanager
    def _fetched(self, blob: Descriptor) -> Iterator[FileIO]:
        """The blob's file, complete, at its beginning. Another pull that wants the same one waits for it."""
        # Without a buffer: one that cannot be written out would be in the way of giving the space back.
        with open(self._path(blob), "a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                self._registry.blob(blob, file, lambda have: self._progress.at(blob, have))
            except OSError:
                file.truncate(0)  # a full disk gets its space back
                raise
            file.seek(0)
            yield file

    def _path(self, blob: Descriptor) -> Path:
        return self._partial / blob.digest.removeprefix("sha256:")


class Fetched:
    """The blobs of a pull (`archive.Source`), named by digest."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def has(self, path: str) -> bool:
        return (self._directory / path.removeprefix("sha256:")).exists()

    def open(self, path: str) -> BinaryIO:
        return open(self.verified(path), "rb")

    def verified(self, path: str) -> Path:
        return self._directory / path.removeprefix("sha256:")


class Progress:
    """Tells how far it is, now and then; threads share it."""

    def __init__(self) -> None:
        self.total = 0
        self._have: dict[str, int] = {}
        self._lock = Lock()
        self._told = 0.0

    def at(self, blob: Descriptor, have: int) -> None:
        with self._lock:
            self._have[blob.digest] = have
            now = time.monotonic()
            if self.total and now - self._told >= TOLD_EVERY:
                self._told = now
                say({"bytes": sum(self._have.values()), "of": self.total})


if __name__ == "__main__":
    sys.exit(main())
