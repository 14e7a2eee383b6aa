"""One repository of a registry, by the OCI distribution protocol: manifests and blobs.

A registry is a stranger. Manifests are bounded and checked against their digest; a blob is hashed and counted
while it streams, goes on where it broke off, and is given up when next to nothing arrives.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from io import FileIO
from typing import Any
from urllib.parse import urlencode, urlsplit

from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError

from minikubelet.runtime.images.authorization import Authorization
from minikubelet.runtime.images.credentials import Credentials
from minikubelet.runtime.images.hosts import DOCKER_SERVER, Host
from minikubelet.runtime.images.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    failed,
    read_manifest,
)
from minikubelet.runtime.images.reference import DEFAULT_DOMAIN
from minikubelet.runtime.images.transport import Transport, Unavailable, bounded, cause, expect_success

ACCEPT = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
MAX_MANIFEST = 4 << 20  # as registries themselves bound them
CHUNK = 1 << 18
ATTEMPTS = 4  # at a blob that does not get any further
# A server that sends a byte now and then is as good as one that sends none.
STALLED_BELOW, STALLED_AFTER = 64 << 10, 60.0  # bytes in that many seconds

Progress = Callable[[int], None]  # bytes of the blob that are there


class Registry:
    """One repository on one host. Threads may share it."""

    def __init__(
        self, host: Host, repository: str, domain: str, credentials: Credentials | None = None
    ) -> None:
        self._repository = repository
        self._transport = Transport(host)
        self._authorization = Authorization(host, repository, credentials, self._transport)
        server = DOCKER_SERVER if domain == DEFAULT_DOMAIN else f"https://{domain}"
        is_mirror = urlsplit(host.url).netloc != urlsplit(server).netloc
        self._query = "?" + urlencode({"ns": domain}) if is_mirror else ""  # whose image it is

    def manifest(self, reference: str) -> Manifest:
        """By tag or digest. Raises ImageError and its kinds."""
        with self._get(f"manifests/{reference}", {"Accept": ACCEPT}) as response:
            body = bounded(response, MAX_MANIFEST)
            stated = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if reference.startswith("sha256:") and digest != reference:
            raise failed(f"unexpected digest of manifest {reference}: its content has {digest}")
        return read_manifest(body, digest, stated)

    def blob(self, blob: Descriptor, file: FileIO, progress: Progress) -> None:
        """Into `file`, which was opened for appending, unbuffered, and may hold the beginning already.

        Afterwards it has exactly the size and the digest that the descriptor states, or an error is raised
        (ImageError and its kinds, OSError of the disk); a file with wrong content is emptied.
        """
        download = _Download(blob, file, progress)
        failures = 0
        while not download.complete:
            before = download.have
            try:
                with self._get(f"blobs/{blob.digest}", download.range) as response:
                    download.take(response)
            except (HTTPError, Unavailable, ConnectionError, TimeoutError, ssl.SSLError) as error:
                failures = 1 if download.have > before else failures + 1
                if failures >= ATTEMPTS:
                    raise failed(f"failed to copy: {cause(error)}") from error
                time.sleep(0.2 * 2.0**failures)
        download.check()

    @contextmanager
    def _get(self, path: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Asked again when the registry wants to know who we are, or has forgotten it."""
        url, shown = self._url(path), self._authorization.header
        response = self._transport.send("GET", url, headers, shown)
        challenge = response.headers.get("WWW-Authenticate", "")
        if response.status == HTTPStatus.UNAUTHORIZED and self._authorization.answer(challenge):
            response.close()
            response = self._transport.send("GET", self._url(path), headers, self._authorization.header)
        try:
            expect_success(response, url)
            yield response
        finally:
            response.close()

    def _url(self, path: str) -> str:
        return f"{self._transport.base}/{self._repository}/{path}{self._query}"


class _Download:
    """A blob on its way into a file."""

    def __init__(self, blob: Descriptor, file: FileIO, progress: Progress) -> None:
        self._blob, self._file, self._progress = blob, file, progress
        if os.fstat(file.fileno()).st_size > blob.size:
            file.truncate(0)
        file.seek(0)
        self._digest = hashlib.sha256()
        while chunk := file.read(CHUNK):
            self._digest.update(chunk)
        self.have = file.tell()

    @property
    def complete(self) -> bool:
        return self.have == self._blob.size

    @property
    def range(self) -> dict[str, str]:
        return {"Range": f"bytes={self.have}-"} if self.have else {}

    def take(self, response: Any) -> None:
        """What this connection brings. Raises HTTPError, OSError, ImageError."""
        continues = response.headers.get("Content-Range", "").startswith(f"bytes {self.have}-")
        if self.have and not (response.status == HTTPStatus.PARTIAL_CONTENT and continues):
            self._restart()
        pace = _Pace()
        for chunk in response.stream(CHUNK, decode_content=False):
            if self.have + len(chunk) > self._blob.size:
                self._restart()
                raise failed(f"failed to copy: blob {self._blob.digest} is larger than the size stated")
            _write_all(self._file, chunk)
            self._digest.update(chunk)
            self.have += len(chunk)
            self._progress(self.have)
            pace.check(len(chunk))
        if not self.complete:
            raise IncompleteRead(self.have, self._blob.size - self.have)

    def check(self) -> None:
        found = f"sha256:{self._digest.hexdigest()}"
        if found != self._blob.digest:
            self._restart()
            raise failed(
                f"failed to copy: failed commit on ref: unexpected commit digest {found}, "
                f"expected {self._blob.digest}: failed precondition"
            )

    def _restart(self) -> None:
        self._file.truncate(0)
        self._digest, self.have = hashlib.sha256(), 0


def _write_all(file: FileIO, data: bytes) -> None:
    """A nearly full disk takes a part and refuses the rest."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


class _Pace:
    """Raises when next to nothing arrives."""

    def __init__(self) -> None:
        self._since, self._bytes = time.monotonic(), 0

    def check(self, received: int) -> None:
        self._bytes += received
        now = time.monotonic()
        if now - self._since < STALLED_AFTER:
            return
        if self._bytes < STALLED_BELOW:
            raise ProtocolError(f"only {self._bytes} bytes in {STALLED_AFTER:.0f} s")
        self._since, self._bytes = now, 0
