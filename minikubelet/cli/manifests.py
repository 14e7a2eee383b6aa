"""From `-f` to objects: files, directories and stdin, read whole before anything is sent.

`v1.manifest` reads the bytes; here is what only a command line knows: which files are meant, and which
namespace an object without one belongs to. Every file is read before the first request, and every file's
mistakes are told at once, so that a typing error in the last file changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minikubelet.cli import resources
from minikubelet.cli.base import Session
from minikubelet.cli.errors import AgentUnreachable, CliError, raise_all
from minikubelet.cli.targets import Target
from minikubelet.errors import ManifestError
from minikubelet.v1 import manifest

EXTENSIONS = (".json", ".yaml", ".yml")


class Manifested(NamedTuple):
    """One object of a manifest. `source` is the file as kubectl names it in messages."""

    target: Target
    data: dict[str, Any]
    source: str


def objects_in(session: Session, names: Sequence[str], *, recursive: bool = False) -> list[Manifested]:
    """Every object of every file, in order."""
    return place(session, documents_in(names, recursive=recursive))


def documents_in(names: Sequence[str], *, recursive: bool = False) -> list[manifest.Document]:
    """What the files hold; one error per file that cannot be read."""
    found: list[manifest.Document] = []
    errors: list[CliError] = []
    for path in files(names, recursive=recursive):
        try:
            found += _read(path)
        except ManifestError as error:
            errors.append(CliError(str(error)))
    raise_all(errors)
    return found


def place(session: Session, documents: Sequence[manifest.Document]) -> list[Manifested]:
    """The documents as objects of the API; one error per document that has no place there."""
    found: list[Manifested] = []
    errors: list[CliError] = []
    for document in documents:
        try:
            found.append(_placed(session, document))
        except AgentUnreachable:
            raise
        except CliError as error:
            errors.append(error)
    raise_all(errors)
    return found


def targets_in(session: Session, names: Sequence[str], *, recursive: bool = False) -> list[Target]:
    """Only which objects a manifest is about (delete, wait)."""
    return [item.target for item in objects_in(session, names, recursive=recursive)]


def files(names: Sequence[str], *, recursive: bool = False) -> Iterator[Path]:
    """The files that -f means: itself, or the manifests of a directory; `a,b` is two."""
    for name in (part for word in names for part in word.split(",")):
        path = Path(name)
        if name.startswith(("http://", "https://")):
            raise CliError(f"cannot read {name}: only files, directories and - are read")
        if name == "-" or (path.exists() and not path.is_dir()):
            yield path
        elif not path.exists():
            raise CliError(f'the path "{name}" does not exist')
        else:
            yield from _directory(path, recursive)


def _directory(path: Path, recursive: bool) -> list[Path]:
    entries = path.rglob("*") if recursive else path.iterdir()
    found = sorted(entry for entry in entries if entry.suffix in EXTENSIONS and entry.is_file())
    if not found:
        raise CliError(f"error reading [{path}]: recognized file extensions are [{' '.join(EXTENSIONS)}]")
    return found


def _read(path: Path) -> list[manifest.Document]:
    if str(path) == "-":
        return manifest.read(sys.stdin.buffer, "STDIN")
    try:
        with path.open("rb") as stream:
            return manifest.read(stream, str(path))
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error


def _placed(session: Session, document: manifest.Document) -> Manifested:
    """The object with its place in the API: a namespace of its own, or the one of -n."""
    data = document.data
    kind, version = str(data["kind"]), str(data["apiVersion"])
    metadata = data.get("metadata")
    if metadata is None:
        metadata = data["metadata"] = {}
    if not isinstance(metadata, dict):
        raise CliError(
            f'error validating "{document.source}": metadata must be an object (line {document.line})'
        )
    name = metadata.get("name") or ""
    try:
        resource = resources.of_kind(session.client, version, kind)
    except AgentUnreachable:
        raise
    except CliError as error:
        where = f'for name: "{name}" namespace: "{metadata.get("namespace") or ""}" from "{document.source}"'
        raise CliError(f"resource mapping not found {where}: {error}") from error
    namespace = _namespace(session, metadata) if resource.namespaced else ""
    if namespace:
        metadata["namespace"] = namespace
    return Manifested(Target(resource, namespace, str(name)), data, document.source)


def _namespace(session: Session, metadata: dict[str, Any]) -> str:
    own, given = metadata.get("namespace"), session.given_namespace
    if own and given and own != given:
        raise CliError(
            f'the namespace from the provided object "{own}" does not match the namespace "{given}". '
            f"You must pass '--namespace={own}' to perform this operation."
        )
    return str(own or session.namespace)
