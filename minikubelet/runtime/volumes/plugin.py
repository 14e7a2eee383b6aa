"""What a kind of volume must be able to do, and what it may know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from minikubelet.runtime.environment import Facts, Find
from minikubelet.v1 import Pod, Volume

# (audience, seconds, the present token or "") → the token that is to be there now
Token = Callable[[str, int, str], str]


@dataclass(frozen=True, slots=True)
class Context:
    """One pod, and what its volumes may ask the node for."""

    pod: Pod
    directory: Path  # the pod's own: <lib>/pods/<uid>
    memory: int  # bytes; what the node can give, the most a tmpfs may hold
    claims: Path = Path("/var/lib/minikubelet/claims")  # where the data of claims lies
    layers: Mapping[str, Sequence[str]] = field(default_factory=dict)  # image → directories, top first
    find: Find = lambda resource, name: None  # objects of the pod's namespace
    facts: Facts = field(default_factory=lambda: Facts(hostname=""))  # for the downward API; no addresses yet

    token: Token | None = None  # of the pod's ServiceAccount; None: the account is not there

    def volume_directory(self, plugin: str, volume: Volume) -> Path:
        """Where a plugin keeps what it makes for a volume; its parent is made by `make_parent`."""
        return self.directory / "volumes" / f"kubernetes.io~{plugin}" / (volume.name or "")


class Plugin(Protocol):
    """One kind of source. `set_up` may find that all is there already, from an earlier agent or attempt."""

    @property
    def refreshes(self) -> bool:
        """Is `set_up` to be called again while the pod runs, because the content follows other objects?"""

    @property
    def read_only(self) -> bool:
        """Is it mounted read-only whatever the manifest says?"""

    def set_up(self, context: Context, volume: Volume) -> None:
        """Raises OSError; its text ends the Event's `MountVolume.SetUp failed for volume "v" : `."""

    def source(self, context: Context, volume: Volume) -> Path:
        """What is bound into the containers, once `set_up` was there."""


def make_parent(path: Path) -> None:
    """The directories of ours above a volume, closed to everybody else (10.1)."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
