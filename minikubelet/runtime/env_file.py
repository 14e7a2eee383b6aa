"""Env files: variables that an init container wrote into an emptyDir (kubelet-behaviour 9.3, KEP-3721).

    NAME='value'   # what stands between the quotes is the value, as it is, over several lines if need be

Nothing else is understood: no double quotes, no escapes, no blank before the `=`. `NAME= 'value'` means the
empty value, as in a shell. The file is a container's, so it is opened inside its volume, must be a regular
file, and is read up to a bound.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from minikubelet.linux import paths

MAX_BYTES = 1 << 20  # an environment larger than this could not be given to a process anyway
_NAME, _END = r"[ \t]*(?P<name>[^=\n]*[^=\s])", r"[ \t\r]*(?:\#[^\n]*)?(?:\n|\Z)"
_FORMS = (
    re.compile(_END),  # blank, or a comment
    re.compile(rf"{_NAME}='(?P<value>[^']*)'{_END}"),
    re.compile(rf"{_NAME}=[ \t][^\n]*(?:\n|\Z)"),  # empty, whatever follows
)


def read_inside(volume: Path, path: str) -> str:
    """The text of a regular file of a volume; links lead nowhere but into it. Raises OSError."""
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        file = paths.open_inside(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(root)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(f"{path} is not a regular file")
        with os.fdopen(file, "rb", closefd=False) as opened:
            data = opened.read(MAX_BYTES + 1)
    finally:
        os.close(file)
    if len(data) > MAX_BYTES:
        raise OSError(f"{path} is larger than {MAX_BYTES} bytes")
    return data.decode("utf-8", "surrogateescape")


def value_of(key: str, text: str) -> str | None:
    """The first value of `key`, None if it is not there. ValueError: what stands before it is no env file."""
    position = 0
    while position < len(text):
        found = next((match for form in _FORMS if (match := form.match(text, position))), None)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise ValueError(f"invalid environment variable format at line {line}: write it as NAME='value'")
        if found.groupdict().get("name") == key:
            return found.groupdict().get("value", "")
        position = found.end()
    return None
