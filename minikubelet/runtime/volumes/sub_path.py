"""subPath and subPathExpr: a part of a volume instead of the whole (kubelet-behaviour 10.6, 9.2).

The volume is a stranger's: another container of the pod may have planted links in it, and may swap them while
we look (CVE-2017-1002101). So nothing here is done by path: the volume is opened once, and everything else
beneath it (`linux.paths.open_beneath`). What is there is not bound here: the container's own process opens it
again in the same way and mounts what it has opened (`linux.mounts.Bind`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from minikubelet.errors import CreateContainerConfigError
from minikubelet.linux import paths
from minikubelet.runtime.environment import expand
from minikubelet.v1 import Container, VolumeMount

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def sub_path(mount: VolumeMount, environment: Mapping[str, str]) -> str:
    """The path below the volume, or "". Raises CreateContainerConfigError, in the kubelet's words."""
    if not mount.sub_path_expr:
        return mount.sub_path or ""
    known = _Asked(environment)
    path = expand(mount.sub_path_expr, known)
    if known.missing:
        raise CreateContainerConfigError(f"missing value for {', '.join(sorted(known.missing))}")
    if path.startswith("/"):
        raise CreateContainerConfigError(f"error SubPath `{path}` must not be an absolute path")
    if ".." in path.split("/"):
        raise CreateContainerConfigError(f"unable to provision SubPath `{path}`: must not contain '..'")
    return path


def ensure(volume: Path, path: str, mount: VolumeMount, container: Container) -> None:
    """See to it that `path` is there: a missing one becomes a directory with the mode of the volume's root.

    Raises CreateContainerConfigError, without details: they would tell about the node.
    """
    who = f'for volumeMount "{mount.name}" of container "{container.name}"'
    root = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    try:
        try:
            os.close(paths.open_beneath(root, path))
        except FileNotFoundError:
            _make(root, path, who)
        except OSError as error:
            raise CreateContainerConfigError(f"failed to prepare subPath {who}") from error
    finally:
        os.close(root)


def _make(root: int, path: str, who: str) -> None:
    try:
        _make_directories(root, [part for part in path.split("/") if part not in ("", ".")])
    except OSError as error:
        raise CreateContainerConfigError(f"failed to create subPath directory {who}") from error


def _make_directories(root: int, parts: list[str]) -> None:
    """What exists of the path is entered beneath the root; below that no link is followed any more."""
    mode = stat.S_IMODE(os.fstat(root).st_mode)
    here, missing = _enter(root, parts)
    try:
        for part in missing:
            below = _make_directory(here, part, mode)
            os.close(here)
            here = below
    finally:
        os.close(here)


def _enter(root: int, parts: list[str]) -> tuple[int, list[str]]:
    """The deepest directory of the path that exists, and the parts that are missing below it."""
    for length in range(len(parts) - 1, 0, -1):
        try:
            path = "/".join(parts[:length])
            return paths.open_beneath(root, path, os.O_PATH | os.O_DIRECTORY), parts[length:]
        except FileNotFoundError:
            continue
    return os.dup(root), parts


def _make_directory(parent: int, name: str, mode: int) -> int:
    """Made, or found because somebody was faster: then it must be a directory and keeps its mode."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    made = os.open(name, _DIRECTORY, dir_fd=parent)
    os.fchmod(made, mode)
    return made


class _Asked(Mapping[str, str]):
    """The container's environment; remembers what was asked for and is missing or empty."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.missing: set[str] = set()

    def __getitem__(self, name: str) -> str:
        value = self._environment.get(name)
        if not value:
            self.missing.add(name)
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)
