"""The indexes of an indexed Job: which are done, which come next, and how a pod knows its own. Pure.

Sets of indexes are written as in `status.completedIndexes`: `0,2-4,7`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

Object = dict[str, Any]

INDEX = "batch.kubernetes.io/job-completion-index"  # annotation and label of a pod
VARIABLE = "JOB_COMPLETION_INDEX"


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Object, completions: int) -> int | None:
    """None when the pod says none, or one that is out of range."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    index = int(text) if text.isdecimal() and len(text) < 11 else -1
    return index if 0 <= index < completions else None


def parse(text: str | None, completions: int) -> set[int]:
    """The indexes in a text; what is none, or out of range, is dropped: a client may have written it."""
    found: set[int] = set()
    for part in (text or "").split(","):
        run = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part, re.ASCII)
        if run is not None:
            found.update(range(int(run[1]), min(int(run[2] or run[1]), completions - 1) + 1))
    return found


def to_text(indexes: Iterable[int]) -> str:
    """`0,2-4,7`; two neighbours are written as `2,3`."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    parts = []
    for first, last in runs:
        between = "-" if last > first + 1 else ","
        parts.append(str(first) if first == last else f"{first}{between}{last}")
    return ",".join(parts)


def pending(completions: int, taken: Collection[int], count: int) -> list[int]:
    """The lowest indexes that nobody has done or works on."""
    free = (index for index in range(completions) if index not in taken)
    return [index for index, _ in zip(free, range(count), strict=False)]


def give_index(pod: Object, job_name: str, index: int) -> None:
    """Put the index into a pod that is to be created: annotation, label, host name, environment."""
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["generateName"] = f"{job_name}-{index}-"
    for place in ("annotations", "labels"):
        metadata[place] = {**(metadata.get(place) or {}), INDEX: str(index)}
    spec["hostname"] = f"{job_name}-{index}"
    variable = {
        "name": VARIABLE,
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}},
    }
    for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
        named = container.get("env") or []
        if all(one.get("name") != VARIABLE for one in named):
            container["env"] = [*named, variable]
