"""Which of the node's ids a pod with `hostUsers: false` gets (KEP-127, kubelet-behaviour 8.6 V92).

    <lib>/pods/<uid>/userns    the kubelet's file: {"uidMappings": [{"hostId", "containerId", "length"}], …}

The file is the allocation: written before the first sandbox, read again for every later one, so the owner
of the pod's files stays the same; it goes with the pod's directory. No pod shares an id with another pod or
with the node.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from minikubelet.config import Paths
from minikubelet.errors import CreatePodSandboxError
from minikubelet.v1 import Pod

FILE = "userns"
IDS = 65536


@dataclass(frozen=True, slots=True)
class IdRange:
    """The pod's id 0 is the node's `first`, and so on; `first` 0: the pod has the node's ids."""

    first: int = 0
    length: int = IDS


class UserNamespaces:
    """`ids_per_pod` is a multiple of 65536 (KubeletConfiguration), `max_pods` how many get a range.

    The ranges begin at 65536, as with a kubelet that has no user `kubelet` with ids of its own.
    """

    def __init__(self, paths: Paths, ids_per_pod: int = IDS, max_pods: int = 110) -> None:
        self._paths, self._length, self._max_pods = paths, ids_per_pod, max_pods

    def of(self, pod: Pod) -> IdRange:
        """The pod's range, taken if it has none yet. Raises CreatePodSandboxError when all are taken."""
        if pod.spec is None or pod.spec.host_users is not False:
            return IdRange()
        assert pod.metadata is not None
        file = self._paths.pod(pod.metadata.uid or "") / FILE
        known = _read(file)
        if known is None:
            known = self._free()
            file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            _write(file, known)
        return known

    def _free(self) -> IdRange:
        taken = [found for file in self._paths.lib.glob(f"pods/*/{FILE}") if (found := _read(file))]
        for number in range(self._max_pods):
            wanted = IdRange(IDS + number * self._length, self._length)
            if not any(_overlap(wanted, other) for other in taken):
                return wanted
        raise CreatePodSandboxError("could not find an empty slot to allocate a user namespace")


def _overlap(one: IdRange, other: IdRange) -> bool:
    return one.first < other.first + other.length and other.first < one.first + one.length


def _read(file: Path) -> IdRange | None:
    try:
        mapping = json.loads(file.read_text())["uidMappings"][0]
        return IdRange(int(mapping["hostId"]), int(mapping["length"]))
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise CreatePodSandboxError(f"cannot read the ids of a pod from {file}: {error}") from error


def _write(file: Path, ids: IdRange) -> None:
    """In one step: a file that is there is whole."""
    mappings = [{"hostId": ids.first, "containerId": 0, "length": ids.length}]
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps({"uidMappings": mappings, "gidMappings": mappings}))
    os.replace(temporary, file)
