"""The part of an image's configuration that a container is made from, taken as what it is: a stranger's text.

Everything an image says about itself is checked for type and size when the image is loaded, once, and never
again (threats A32). What is merely strange is dropped, what makes the image unusable is refused. Nothing here
is a path that anyone opens or a number that anyone sends: the shim resolves `working_dir` inside the
container, `user` is looked up there, and `stop_signal` is one of the names of signal(7).
"""

from __future__ import annotations

import re
import signal
from dataclasses import asdict, dataclass, field
from typing import Any

from minikubelet.errors import ImageError

MAX_WORDS = 4096  # entries of a list
MAX_TEXT = 128 * 1024  # bytes of one text: the kernel's MAX_ARG_STRLEN
MAX_LABELS = 1024
MAX_PATH = 4096
MAX_USER = 256
DEFAULT_STOP_SIGNAL = "SIGTERM"

_PORT = re.compile(r"[0-9]{1,5}(?:/(?:tcp|udp|sctp))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """Empty where the image says nothing."""

    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    env: list[str] = field(default_factory=list)  # NAME=value
    working_dir: str = ""
    user: str = ""  # name or number, maybe ":" and a group
    stop_signal: str = DEFAULT_STOP_SIGNAL
    labels: dict[str, str] = field(default_factory=dict)
    exposed_ports: list[str] = field(default_factory=list)  # "80/tcp"

    @classmethod
    def read(cls, config: object) -> ImageConfig:
        """From the `config` member of the image's configuration blob. Raises ImageError."""
        if config is None:
            return cls()
        if not isinstance(config, dict):
            raise _bad("config", "must be an object")
        return cls(
            entrypoint=_words(config, "Entrypoint"),
            cmd=_words(config, "Cmd"),
            env=[word for word in _words(config, "Env") if "=" in word[1:]],
            working_dir=_text(config, "WorkingDir", MAX_PATH),
            user=_text(config, "User", MAX_USER),
            stop_signal=_stop_signal(config),
            labels=_labels(config),
            exposed_ports=_ports(config),
        )

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def signal_name(text: str) -> str:
    """SIGTERM for "SIGTERM", "TERM" and "15"; ValueError for what is no signal. RTMIN+n counts as its
    number.
    """
    word = text.upper()
    if word.isascii() and word.isdigit():
        return _name_of(int(word[:4]))
    word = word.removeprefix("SIG")
    base, plus, offset = word.partition("+")
    if base == "RTMIN" and plus and offset.isascii() and offset.isdigit():
        return _name_of(signal.SIGRTMIN + int(offset[:4]))
    name = f"SIG{word}"
    if name not in signal.Signals.__members__:
        raise ValueError(f"no signal is called {text[:32]!r}")
    return name


def signal_number(name: str) -> int:
    """What to send for a name that `signal_name` has made."""
    base, _, offset = name.partition("+")
    return int(signal.Signals[base]) + int(offset or 0)


def _name_of(number: int) -> str:
    """Signals 0 and 65 exist for kill(2) and for nobody, respectively: both are refused."""
    try:
        return signal.Signals(number).name
    except ValueError:
        if signal.SIGRTMIN < number < signal.SIGRTMAX:
            return f"SIGRTMIN+{number - signal.SIGRTMIN}"
        raise ValueError(f"no signal has number {number}") from None


def _stop_signal(config: dict[str, Any]) -> str:
    """A signal that does not exist cannot be sent: the image gets the usual one, as with containerd."""
    text = _text(config, "StopSignal", 32)
    try:
        return signal_name(text) if text else DEFAULT_STOP_SIGNAL
    except ValueError:
        return DEFAULT_STOP_SIGNAL


def _words(config: dict[str, Any], key: str) -> list[str]:
    value = config.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_WORDS:
        raise _bad(key, f"must be a list of at most {MAX_WORDS} texts")
    return [_checked(word, key, MAX_TEXT) for word in value]


def _text(config: dict[str, Any], key: str, limit: int) -> str:
    value = config.get(key)
    return "" if value is None else _checked(value, key, limit)


def _labels(config: dict[str, Any]) -> dict[str, str]:
    value = config.get("Labels") or {}
    if not isinstance(value, dict) or len(value) > MAX_LABELS:
        raise _bad("Labels", f"must be an object of at most {MAX_LABELS} texts")
    return {_checked(key, "Labels", MAX_TEXT): _checked(value[key], "Labels", MAX_TEXT) for key in value}


def _ports(config: dict[str, Any]) -> list[str]:
    """Information for people only; what does not look like a port is left out."""
    value = config.get("ExposedPorts")
    names = list(value)[:MAX_LABELS] if isinstance(value, dict) else []
    return [name for name in names if _PORT.fullmatch(name)]


def _checked(value: object, key: str, limit: int) -> str:
    if not isinstance(value, str):
        raise _bad(key, "must be text")
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise _bad(key, "must be valid Unicode") from None
    if length > limit:
        raise _bad(key, f"must not be longer than {limit} bytes")
    if "\0" in value:
        raise _bad(key, "must not contain a null byte")
    return value


def _bad(key: str, why: str) -> ImageError:
    return ImageError("ImageInspectError", f"cannot use image configuration: {key} {why}")
