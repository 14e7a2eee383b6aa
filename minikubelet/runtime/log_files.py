"""Where container logs lie, and what is done with them besides writing (kubelet-behaviour 11.1).

    /var/log/pods/<namespace>_<pod>_<uid>/<container>/<restartCount>.log        written by the shim
    /var/log/containers/<pod>_<namespace>_<container>-<id>.log                  → the above

Rotation renames; the shim is then told to reopen. The newest rotated file stays plain, older ones are
gzipped, the oldest goes.
"""

from __future__ import annotations

import gzip
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from minikubelet.shim.protocol import ContainerRecord, SandboxSpec

MAX_KEPT = 5  # logs of a container whose instances were removed by RestartAllContainers
LINK_STEM = 251


def log_path(log_pods: Path, namespace: str, pod: str, uid: str, container: str, attempt: int) -> Path:
    return log_pods / f"{namespace}_{pod}_{uid}" / container / f"{attempt}.log"


def make_directory(path: Path) -> None:
    """The folder of a log file: 0755, whatever the umask."""
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder.chmod(0o755)


def link(log_containers: Path, pod: SandboxSpec, container: ContainerRecord) -> None:
    """The link that log collectors look for."""
    stem = f"{pod.name}_{pod.namespace}_{container.name}-{container.id}"[:LINK_STEM]
    path = log_containers / f"{stem}.log"
    path.unlink(missing_ok=True)
    path.symlink_to(container.log_path)


def remove_dangling_links(log_containers: Path) -> None:
    """Of logs that are gone. One that is being rotated has no file of its name for a moment, but others."""
    for path in log_containers.iterdir():
        if path.is_symlink() and not path.exists():
            log = path.readlink()
            if not any(log.parent.glob(f"{log.name}.*")):
                path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """The log of one instance with its rotated parts."""
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink(missing_ok=True)


def remove_oldest(directory: Path, keep: int = MAX_KEPT) -> None:
    """Of the logs that instances left when all containers were restarted; a pod may do that for ever."""
    attempts = sorted((int(path.stem) for path in directory.glob("*.log")), reverse=True)
    for attempt in attempts[keep:]:
        remove(directory / f"{attempt}.log")


def is_full(path: Path, max_size: int) -> bool:
    return path.exists() and path.stat().st_size > max_size


def rotate(path: Path, max_files: int) -> Path:
    """`0.log` becomes `0.log.20261122-190557`; the writer must reopen afterwards."""
    rotated = sorted(path.parent.glob(f"{path.name}.*"))
    for part in rotated:
        if part.suffix != ".gz":
            _compress(part)
    rotated = sorted(path.parent.glob(f"{path.name}.*.gz"))
    for part in rotated[: max(0, len(rotated) - (max_files - 2))]:
        part.unlink()
    stamp = datetime.now(UTC).astimezone().strftime("%Y%m%d-%H%M%S")
    return path.rename(path.with_name(f"{path.name}.{stamp}"))


def keep_last(path: Path, rotated: Path) -> None:
    """Nobody writes any more, so there is no new file: what was rotated last is the log, as for a kubelet."""
    if not path.exists() and rotated.exists():
        rotated.rename(path)


def _compress(part: Path) -> None:
    temporary = part.with_name(f"{part.name}.tmp")
    with part.open("rb") as plain, gzip.open(temporary, "wb", compresslevel=6) as packed:
        shutil.copyfileobj(plain, packed)
    os.replace(temporary, part.with_name(f"{part.name}.gz"))
    part.unlink()
