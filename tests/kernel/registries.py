"""Registries for tests: Debian's docker-registry on loopback, and a stranger in front who spoils answers."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from minikubelet.runtime.images.archive import architecture

USER, PASSWORD = "ann", "secret"
# bcrypt of the password, as htpasswd -B writes it
HTPASSWD = f"{USER}:$2y$04$.o5i/en3/Mk6j2Eaaks.reuFdJDMz3FsL3BRmwR7oOodWWCi2qD2S\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RealRegistry:
    """The process. With `secure` it speaks TLS and asks for a password."""

    def __init__(self, directory: Path, *, secure: bool = False) -> None:
        directory.mkdir()
        self.port = free_port()
        self.domain = f"127.0.0.1:{self.port}"
        self.secure = secure
        self.ca = directory / "cert.pem"
        lines = [
            "version: 0.1",
            "log: {level: error}",
            f"storage: {{filesystem: {{rootdirectory: {directory / 'data'}}}}}",
            f"http: {{addr: '{self.domain}'",
        ]
        if secure:
            make_certificate(directory)
            (directory / "htpasswd").write_text(HTPASSWD)
            lines[-1] += f", tls: {{certificate: {self.ca}, key: {directory / 'key.pem'}}}"
            lines.append(f"auth: {{htpasswd: {{realm: test, path: {directory / 'htpasswd'}}}}}")
        lines[3] += "}"
        (directory / "config.yml").write_text("\n".join(lines))
        self._process = subprocess.Popen(
            ["docker-registry", "serve", directory / "config.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, "docker-registry ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def push(self, layout: Path, name: str) -> str:
        """An OCI layout with one image as `name`; its digest."""
        options = [f"--dest-cert-dir={self.ca.parent}"] if self.secure else ["--dest-tls-verify=false"]
        if self.secure:
            (self.ca.parent / "ca.crt").write_bytes(self.ca.read_bytes())
            options.append(f"--dest-creds={USER}:{PASSWORD}")
        digest_file = layout / "pushed"
        subprocess.run(
            [
                "skopeo", "copy", "-q", "--insecure-policy", f"--digestfile={digest_file}", *options,
                f"oci:{layout}", f"docker://{self.domain}/{name}",
            ],
            check=True,
        )  # fmt: skip
        return digest_file.read_text()

    def __enter__(self) -> RealRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def image_layout(
    directory: Path, layers: list[bytes], pack: Callable[[bytes], bytes] | None = None, **config: Any
) -> Path:
    """An OCI image layout with one image, as strict readers want it; layers are plain tars, bottom first,
    packed by gzip, or by `pack`, which is zstd.
    """
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    configuration = {
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    oci = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": put(json.dumps(configuration).encode(), f"{oci}.config.v1+json"),
        "layers": [
            put(pack(layer), f"{oci}.layer.v1.tar+zstd")
            if pack
            else put(gzip.compress(layer, 1), f"{oci}.layer.v1.tar+gzip")
            for layer in layers
        ],
    }
    entry = put(json.dumps(manifest).encode(), f"{oci}.manifest.v1+json")
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


def make_certificate(directory: Path) -> None:
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", directory / "key.pem", "-out", directory / "cert.pem",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip


Spoil = Callable[["Handler"], bool]  # True: it has answered


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, unless its server's `spoil` does something else with it."""

    server: Stranger
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        if self.server.spoil(self):
            return
        status, headers, body = self.ask()
        self.give(status, headers, body)

    do_POST = do_GET

    def ask(self) -> tuple[int, dict[str, str], bytes]:
        """What the real registry says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        wanted = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        connection.request("GET", self.path, headers=wanted)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), body

    def give(self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None) -> None:
        """`cut`: break off after so many bytes of the body that was promised."""
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "date", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        return


class Stranger(ThreadingHTTPServer):
    """Between a client and a registry; `spoil` decides about each request, `requests` remembers them."""

    daemon_threads = True

    def __init__(self, behind: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = behind
        self.spoil: Spoil = lambda _: False
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.domain = f"127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    def blobs_asked_for(self) -> list[tuple[str, dict[str, str]]]:
        return [request for request in self.requests if "/blobs/" in request[0]]

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
