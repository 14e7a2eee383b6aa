"""Who a container's process is: user, group and supplementary groups.

The manifest's numbers win; what it leaves open is read from the image: its USER, its /etc/passwd, its
/etc/group. These are a stranger's files (threats A18: a passwd that is a FIFO, a link to /dev/zero, or
endless). They are looked up in the layers as overlayfs would merge them, never through a mount and never
outside the layers; only regular files are read, and only a bounded part of them. The rules are containerd's,
whose odd corners people rely on: a user id that passwd does not know gets group 0, and the group in `USER
name:group` is not used when the kubelet asks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.runtime.images.tree import OPAQUE, is_whiteout
from minikubelet.v1 import Container, Pod, PodSecurityContext, SecurityContext

MAX_FILE = 1 << 20  # bytes read of passwd and of group: 20,000 users, a tenth of a second
MAX_LINKS = 40
MAX_ID = (1 << 31) - 1
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class User:
    """For the ProcessSpec."""

    uid: int
    gid: int
    groups: list[int]
    home: str = field(default="/", compare=False)  # HOME, if nobody sets it


def container_user(pod: Pod, container: Container, image_user: str, layers: Sequence[str]) -> User:
    """Reads files: blocks. CreateContainerConfigError (runAsNonRoot), CreateContainerError (no such user)."""
    own = container.security_context or SecurityContext()
    whole = (pod.spec.security_context if pod.spec else None) or PodSecurityContext()
    name, uid = _image_user(image_user)
    run_as_user = own.run_as_user if own.run_as_user is not None else whole.run_as_user
    non_root = own.run_as_non_root if own.run_as_non_root is not None else whole.run_as_non_root
    if non_root:
        _verify_non_root(pod, container, run_as_user, name, uid)
    if run_as_user is not None:
        name, uid = "", run_as_user
    entry = _passwd_entry(read_file(layers, "/etc/passwd"), name, uid)
    run_as_group = own.run_as_group if own.run_as_group is not None else whole.run_as_group
    gid = run_as_group if run_as_group is not None else entry.gid
    groups = [gid]
    if whole.supplemental_groups_policy != "Strict":
        groups += _groups_of(read_file(layers, "/etc/group"), entry.name)
    groups += whole.supplemental_groups or ()
    if whole.fs_group is not None:
        groups.append(whole.fs_group)
    return User(entry.uid, gid, list(dict.fromkeys(groups)), entry.home)


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    uid: int
    gid: int
    home: str = "/"


def _image_user(text: str) -> tuple[str, int]:
    """(name, -1) or ("", number) of an image's USER; without one it is root."""
    user = text.partition(":")[0]
    if not user:
        return "", 0
    if user.isascii() and user.isdigit():
        number = int(user[:12])
        if number > MAX_ID:
            raise CreateContainerError(f"cannot use the image's user: uids must be in range 0-{MAX_ID}")
        return "", number
    return user, -1


def _verify_non_root(pod: Pod, container: Container, run_as_user: int | None, name: str, uid: int) -> None:
    assert pod.metadata is not None
    whole = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
    who = f'(pod: "{whole}", container: {container.name})'
    if run_as_user is not None:
        if run_as_user == 0:
            raise CreateContainerConfigError(f"container's runAsUser breaks non-root policy {who}")
    elif name:
        raise CreateContainerConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root {who}"
        )
    elif uid == 0:
        raise CreateContainerConfigError(f"container has runAsNonRoot and image will run as root {who}")


def _passwd_entry(passwd: bytes, name: str, uid: int) -> _Entry:
    """By name, which must be there, or by number, which need not."""
    for fields in _lines(passwd, 4):
        number, group = _number(fields[2]), _number(fields[3])
        if number is None or group is None:
            continue
        if (name and fields[0] == name) or (not name and number == uid):
            return _Entry(fields[0], number, group, (fields[5] if len(fields) > 5 else "") or "/")
    if name:
        raise CreateContainerError(f"unable to find user {name}: no matching entries in passwd file")
    return _Entry("", uid, 0)


def _groups_of(group: bytes, name: str) -> list[int]:
    """The groups that list the user as a member."""
    found = []
    for fields in _lines(group, 4) if name else ():
        number = _number(fields[2])
        if number is not None and name in fields[3].split(","):
            found.append(number)
    return found


def _lines(data: bytes, fields: int) -> Iterator[list[str]]:
    for line in data.decode("utf-8", "replace").splitlines():
        parts = line.strip().split(":")
        if len(parts) >= fields and not line.startswith("#"):
            yield parts


def _number(text: str) -> int | None:
    usable = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MAX_ID
    return int(text) if usable else None


def read_file(layers: Sequence[str], path: str, limit: int = MAX_FILE) -> bytes:
    """The beginning of a regular file of an image, its layers (top first) merged; empty if there is none."""
    with ExitStack() as opened:
        roots = [_open(opened, layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, None) for layer in layers]
        return _read(opened, roots, path, limit)


def _read(opened: ExitStack, roots: list[int], path: str, limit: int) -> bytes:
    pending, above, links = path.split("/")[::-1], [roots], 0
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            above = above[:-1] or [roots]
            continue
        entries = _merged(opened, above[-1], part)
        if not entries:
            return b""
        kind = os.fstat(entries[0]).st_mode
        if stat.S_ISLNK(kind):
            links += 1
            target = os.readlink("", dir_fd=entries[0])
            if links > MAX_LINKS:
                return b""
            above = [roots] if target.startswith("/") else above
            pending += target.split("/")[::-1]
        elif stat.S_ISDIR(kind):
            above.append([_open(opened, ".", _DIRECTORY, entry) for entry in entries])
        elif stat.S_ISREG(kind) and not pending:
            return _beginning(opened, entries[0], limit)
        else:
            return b""
    return b""


def _merged(opened: ExitStack, directories: list[int], name: str) -> list[int]:
    """What overlayfs shows as `name`: the topmost entry; below a directory, those it is merged with."""
    found: list[int] = []
    for directory in directories:
        try:
            entry = _open(opened, name, _LOOK, directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        status = os.fstat(entry)
        if is_whiteout(status) or (found and not stat.S_ISDIR(status.st_mode)):
            break
        found.append(entry)
        if not stat.S_ISDIR(status.st_mode) or _is_opaque(opened, entry):
            break
    return found


def _is_opaque(opened: ExitStack, directory: int) -> bool:
    try:
        return os.getxattr(_open(opened, ".", _DIRECTORY, directory), OPAQUE) == b"y"
    except OSError:
        return False  # no such attribute


def _beginning(opened: ExitStack, entry: int, limit: int) -> bytes:
    """Open the very entry that was looked at: whoever swaps the name now changes nothing."""
    file = _open(opened, f"/proc/self/fd/{entry}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, None)
    data = b""
    while len(data) < limit and (chunk := os.read(file, min(1 << 16, limit - len(data)))):
        data += chunk
    return data


def _open(opened: ExitStack, path: str, flags: int, directory: int | None) -> int:
    descriptor = os.open(path, flags, dir_fd=directory)
    opened.callback(os.close, descriptor)
    return descriptor
