"""`cp`: files into a container and out of it, by the `tar` that is in its image, as kubectl does it."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from minikubelet.cli import containers, tar_stream, workload_pods
from minikubelet.cli.base import Session, command, complain
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.remote_process import RemoteProcess
from minikubelet.cli.resources import PODS


class FileSpec(NamedTuple):
    """`[[NAMESPACE/]POD:]PATH`; without a pod a file here."""

    namespace: str
    pod: str
    path: str


@command(
    "cp",
    examples="""
    # Into a container, and out of it
    minikubelet cp page.html web:/usr/share/nginx/html/index.html
    minikubelet cp web:/var/log/nginx ./logs
    # A named container, another namespace
    minikubelet cp config shop/web:/etc/app -c sidecar
    """,
)
@click.argument("args", nargs=-1, metavar="SOURCE DESTINATION")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container.")
@click.option("--no-preserve", is_flag=True, help="Do not keep owner and mode in the container.")
def cp_command(session: Session, args: tuple[str, ...], container: str, no_preserve: bool) -> None:
    """Copy files to and from containers. The image must have `tar`."""
    if len(args) != 2:
        raise UsageError("source and destination are required")
    source, destination = (file_spec(arg) for arg in args)
    if source.pod and destination.pod:
        raise UsageError("one of src or dest must be a local file specification")
    if not source.path or not destination.path:
        raise CliError("filepath can not be empty")
    if destination.pod:
        _Container(session, destination, container).upload(Path(source.path), destination.path, no_preserve)
    elif source.pod:
        _Container(session, source, container).download(source.path, Path(destination.path))
    else:
        raise UsageError("one of src or dest must be a remote file specification")


def file_spec(text: str) -> FileSpec:
    before, colon, path = text.partition(":")
    if not colon:
        return FileSpec("", "", text)
    namespace, slash, pod = before.rpartition("/")
    if not pod or "/" in namespace or (slash and not namespace):
        raise UsageError("filespec must match the canonical format: [[namespace/]pod:]file/path")
    return FileSpec(namespace, pod, path)


class _Container:
    """Where the remote file is."""

    def __init__(self, session: Session, spec: FileSpec, container: str) -> None:
        namespace = spec.namespace or session.namespace
        pod, _ = workload_pods.find(session.client, namespace, spec.pod)
        if (phase := (pod.get("status") or {}).get("phase")) in ("Succeeded", "Failed"):
            raise CliError(f"cannot exec into a container in a completed pod; current phase is {phase}")
        self._client = session.client
        self._path = PODS.path(namespace, spec.pod, "exec")
        self._name = containers.choose(pod, container)

    def run(self, words: Sequence[str], *, stdin: bool = False, quiet: bool = False) -> RemoteProcess:
        return RemoteProcess(self._client, self._path, self._name, words, stdin=stdin, quiet=quiet)

    def upload(self, source: Path, destination: str, no_preserve: bool) -> None:
        if not source.exists() and not source.is_symlink():
            raise CliError(f"{source} doesn't exist in local filesystem")
        destination = destination.rstrip("/") or "/"
        if self._is_directory(destination):
            destination = posixpath.join(destination, source.resolve().name)
        directory, name = posixpath.split(destination)
        words = ["tar", *(["--no-same-permissions", "--no-same-owner"] if no_preserve else []), "-xmf", "-"]
        with self.run(words + (["-C", directory] if directory else []), stdin=True) as process:
            failures: list[Exception] = []
            packing = threading.Thread(target=_pack, args=(source, name, process, failures), daemon=True)
            packing.start()
            code = process.wait()
            packing.join()
        _check(code)
        if failures:
            raise CliError(f"cannot read {source}: {failures[0]}") from failures[0]

    def download(self, source: str, destination: Path) -> None:
        with self.run(["tar", "cf", "-", source]) as process:
            try:
                entries = tar_stream.unpack(process, prefix_of(source), destination, _warn)
            except tar_stream.CorruptedTar:
                _check(process.wait())  # what it said itself is the better reason
                raise
            _check(process.wait())
        if not entries:
            raise CliError(f"{source}: the container's tar sent nothing")

    def _is_directory(self, path: str) -> bool:
        with self.run(["test", "-d", path], quiet=True) as process:
            return process.wait() == 0


def _pack(source: Path, name: str, process: RemoteProcess, failures: list[Exception]) -> None:
    try:
        tar_stream.pack(source, name, process)
    except BrokenPipeError:
        return  # its exit code says why
    except OSError as error:
        failures.append(error)
    process.end_input()


def prefix_of(path: str) -> str:
    """What the names in the tar of a path begin with: tar takes leading slashes away, and so do we `..`."""
    clean = posixpath.normpath(path.lstrip("/")) if path.strip("/") else ""
    parts = clean.split("/")
    while parts and parts[0] in ("..", "."):
        del parts[0]
    return "/".join(parts)


def _check(code: int) -> None:
    if code:
        raise CliError(f"command terminated with exit code {code}")


def _warn(text: str) -> None:
    complain(f"warning: {text}")
