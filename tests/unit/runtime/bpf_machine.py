"""The kernel's part: classic BPF over `struct seccomp_data`, as far as filters use it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

Program = list[tuple[int, int, int, int]]


def load(program: bytes) -> Program:
    """Instructions as (code, true, false, k)."""
    return list(struct.iter_unpack("=HBBI", program))


@dataclass
class Steps:
    """How many instructions were run."""

    steps: int = 0


def run(
    program: Program, audit: int, number: int, arguments: Sequence[int] = (), counted: Steps | None = None
) -> int:
    """What the filter answers."""
    padded = [*arguments, *([0] * (6 - len(arguments)))]
    data = struct.unpack("=16I", struct.pack("=IIQ6Q", number, audit, 0, *padded))
    accumulator, at = 0, 0
    scratch = [0] * 16
    while True:
        code, true, false, k = program[at]
        at += 1
        if counted is not None:
            counted.steps += 1
        match code:
            case 0x20:
                accumulator = data[k // 4]
            case 0x54:
                accumulator &= k
            case 0x05:
                at += k
            case 0x15:
                at += true if accumulator == k else false
            case 0x25:
                at += true if accumulator > k else false
            case 0x35:
                at += true if accumulator >= k else false
            case 0x02:
                scratch[k] = accumulator
            case 0x60:
                accumulator = scratch[k]
            case 0x06:
                return k
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")
