"""Where a check goes: host, port and command, resolved as the kubelet does (kubelet-behaviour 3.6).

Pure. Mistakes in the manifest that validation cannot see (a port name nobody declares) are a `TargetError`:
the check counts as *errored*.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from minikubelet.go_text import atoi
from minikubelet.v1 import Container

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")


class TargetError(Exception):
    """The check cannot be aimed."""


def resolve_port(port: int | str | None, container: Container) -> int:
    """A number as is; a string by this container's port names, else as a number."""
    if isinstance(port, str):
        port = _named_port(port, container)
    number = port or 0
    if not 0 < number < 65536:
        raise TargetError(f"invalid port number: {number}")
    return number


def _named_port(name: str, container: Container) -> int:
    for port in container.ports or ():
        if port.name == name:
            return port.container_port or 0
    try:
        return atoi(name)
    except ValueError as error:
        raise TargetError(str(error)) from None


def resolve_host(host: str | None, pod_ip: str) -> str:
    """The host of the manifest, else the pod's address."""
    host = host or pod_ip
    if not host:
        raise TargetError("cannot probe: the pod has no IP address yet")
    return host


def expand_command(command: Sequence[str], container: Container) -> list[str]:
    """`$(NAME)` from the literal values in `env`; `$$` is `$`; an unknown name stays as it is.

    A variable with `valueFrom` counts as empty, and `envFrom` is not seen: the kubelet does not ask the API
    for the sake of a probe.
    """
    values = {variable.name: variable.value or "" for variable in container.env or ()}

    def replacement(match: re.Match[str]) -> str:
        name = match.group(2)
        if name is None:
            return "$"
        return values.get(name, match.group(0))

    return [_REFERENCE.sub(replacement, word) for word in command]
