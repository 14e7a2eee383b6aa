"""Keys and values for a ConfigMap or Secret from literals, files, directories and env files, as kubectl reads
them.

Values are bytes; what becomes of them is the caller's business. Mistakes are CliErrors in kubectl's words,
which differ between the two kinds. Keys are validated here and not only by the API, as kubectl does: a
directory with an impossible file name is refused before anything is sent.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from minikubelet.cli.errors import CliError
from minikubelet.v1.validation.names import config_key

Data = dict[str, bytes]

_ENV_KEY = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_ENV_KEY_TEXT = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and "
    "must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for "
    "validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')"
)


class Collector:
    """The data of one object that is being made: `kind` is ConfigMap or Secret."""

    def __init__(self, kind: str, name: str) -> None:
        self.data: Data = {}
        self._kind = kind
        self._name = name

    def literals(self, sources: Iterable[str]) -> None:
        """`key=value`"""
        for source in sources:
            key, equals, value = source.partition("=")
            if not equals or not key:
                raise CliError(f"invalid literal source {source}, expected key=value")
            self._add(key, value.encode(errors="surrogateescape"))

    def files(self, sources: Iterable[str]) -> None:
        """`[key=]path`; every regular file of a directory, with its name for a key."""
        for source in _comma_separated(sources):
            key, path = _file_source(source)
            if path.is_dir():
                if "=" in source:
                    raise CliError("cannot give a key name for a directory path")
                for name in sorted(os.listdir(path)):
                    if stat.S_ISREG((path / name).lstat().st_mode):
                        self._add(name, read(path / name))
            else:
                self._add(key, read(path))

    def env_files(self, sources: Iterable[str]) -> None:
        """Lines of `key=value`; a key alone takes its value from our own environment."""
        for source in _comma_separated(sources):
            if Path(source).is_dir():
                raise CliError("env config file cannot be a directory")
            for key, value in _env_lines(source):
                self._add(key, value)

    def _add(self, key: str, value: bytes) -> None:
        secret = self._kind == "Secret"
        if mistakes := config_key(key):
            words = (
                "is not valid key name for a Secret" if secret else "is not a valid key name for a ConfigMap:"
            )
            raise CliError(f'"{key}" {words} {";".join(mistakes)}')
        if key in self.data:
            if secret:
                raise CliError(f"cannot add key {key}, another key by that name already exists")
            where = f'Data for ConfigMap "{self._name}"'
            raise CliError(f'cannot add key "{key}", another key by that name already exists in {where}')
        self.data[key] = value


def read(path: Path, doing: str = "error reading {0}") -> bytes:
    """The content of a file; `doing` begins the text of why there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CliError(f"{doing.format(path)}: {(error.strerror or '').lower()}") from error


def _comma_separated(sources: Iterable[str]) -> Iterator[str]:
    """These flags take several values at once."""
    for source in sources:
        yield from filter(None, source.split(","))


def _file_source(source: str) -> tuple[str, Path]:
    key, equals, path = source.partition("=")
    if not equals:
        return os.path.basename(source), Path(source)
    if not key:
        raise CliError(f"key name for file path {path} missing")
    if not path:
        raise CliError(f"file path for key name {key} missing")
    if "=" in path:
        raise CliError("key names or file paths cannot contain '='")
    return key, Path(path)


def _env_lines(path: str) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(read(Path(path)).split(b"\n"), 1):
        try:
            text = line.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            shown = " ".join(map(str, line))
            raise CliError(
                f"env file {path} contains invalid utf8 bytes at line {number}: [{shown}]"
            ) from None
        text = (text.removeprefix("\ufeff") if number == 1 else text).lstrip()
        if not text or text.startswith("#"):
            continue
        key, equals, value = text.partition("=")
        if not _ENV_KEY.fullmatch(key):
            raise CliError(f'"{key}" is not a valid key name: {_ENV_KEY_TEXT}')
        yield key, (value if equals else os.environ.get(key, "")).encode(errors="surrogateescape")
