"""How one check of a container went.

`warning` counts as success and makes an Event. `error` means that the prober could not check at all: the
outcome is thrown away and the check is tried again at once, up to three times (kubelet-behaviour 3.3, 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OUTPUT_LIMIT = 10 * 1024  # bytes of a response body or of a command's output

Verdict = Literal["success", "warning", "failure", "error"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`output` is what the Event shows; `state` what the kubelet calls the state after an error."""

    verdict: Verdict
    output: str = ""
    state: str = "unknown"


def success(output: str = "") -> Outcome:
    return Outcome("success", output)


def warning(output: str) -> Outcome:
    return Outcome("warning", output)


def failure(output: str) -> Outcome:
    return Outcome("failure", output)


def error(text: str, state: str = "unknown") -> Outcome:
    return Outcome("error", text, state)
