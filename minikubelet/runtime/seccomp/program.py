"""From a profile to the program the kernel runs at every system call: classic BPF (seccomp(2), bpf(4)).

    which architecture? ─▶ which call? (a binary search over the numbers) ─▶ its arguments ─▶ answer
            └── none we know: kill                 └── newer than all the profile knows: ENOSYS

Calls that lie side by side and get the same answer are one range, so a search takes eight comparisons and
not three hundred. Code is put together from the end to the beginning: whoever jumps knows how much there is
to jump over, and there are no labels. Pure.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from minikubelet.runtime.seccomp.numbers import (
    IPCS,
    MACHINES,
    PRIVATE_CALLS,
    SOCKETCALLS,
    X32,
    X32_BIT,
    X86,
    Abi,
    table,
)
from minikubelet.runtime.seccomp.profile import (
    ALLOW,
    ERRNO,
    KILL_THREAD,
    LOG,
    TRACE,
    BadProfile,
    Condition,
    Profile,
    Rule,
)

# Opcodes of <linux/bpf_common.h>; A is the accumulator, K the constant in the instruction.
LOAD = 0x20  # A = the word at offset K of struct seccomp_data
AND = 0x54  # A &= K
JUMP = 0x05  # over K instructions
IF_EQUAL, IF_GREATER, IF_AT_LEAST = 0x15, 0x25, 0x35  # A == K, A > K, A >= K
RETURN = 0x06  # K

# Offsets in `struct seccomp_data`; each argument is 64 bits wide, little-endian.
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
_FARTHEST = 255  # a condition's jump is one byte
_WORD = 0xFFFF_FFFF
_ACTION = 0xFFFF_0000
_NO_SUCH_CALL = ERRNO | errno.ENOSYS


@dataclass(frozen=True, slots=True)
class Instruction:
    """`struct sock_filter`: an opcode, how much to skip if true and if false, a constant."""

    code: int
    k: int
    true: int = 0
    false: int = 0

    def pack(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.true, self.false, self.k)


Code = list[Instruction]


def compile_profile(profile: Profile, machine: str) -> bytes:
    """The program as an array of `struct sock_filter`. Raises BadProfile: it would be too long.

    The machine's own interface is always there, the others if the profile names them (those of other machines
    cannot occur). KeyError: a machine that is not in `numbers.MACHINES`.
    """
    own, *others = MACHINES[machine]
    abis = [own, *(abi for abi in others if abi.name in profile.architectures)]
    code = [Instruction(RETURN, KILL_THREAD)]
    for audit in dict.fromkeys(abi.audit for abi in abis):
        block = _calls([abi for abi in abis if abi.audit == audit], profile)
        code = _unless(IF_EQUAL, audit, block) + code
    code.insert(0, Instruction(LOAD, ARCHITECTURE))
    if len(code) > MAX_INSTRUCTIONS:
        raise BadProfile(f"it makes {len(code)} instructions, and the kernel takes {MAX_INSTRUCTIONS}")
    return b"".join(instruction.pack() for instruction in code)


def _calls(abis: Sequence[Abi], profile: Profile) -> Code:
    """All calls of one architecture."""
    decisions: dict[int, Code] = {}
    ends: list[
        tuple[int, Code]
    ] = []  # from this number on: unknown to the profile, or no call of ours at all
    for abi in abis:
        found = _decisions(abi, profile)
        decisions |= found
        last = max((number for number in found if number < abi.base + PRIVATE_CALLS), default=abi.base - 1)
        if found and not _permissive(profile.default):
            ends.append((last + 1, [Instruction(RETURN, _NO_SUCH_CALL)]))
    if any(abi.audit == X32.audit for abi in abis):
        beyond = profile.default if X32 in abis else KILL_THREAD
        ends.append((X32_BIT, [Instruction(RETURN, beyond)]))
    return [Instruction(LOAD, NUMBER), *_search(_ranges(decisions, dict(ends), profile.default))]


def _permissive(answer: int) -> bool:
    """Such a default is meant for the calls of the future, too."""
    return answer & _ACTION in (ALLOW, LOG, TRACE) or answer == _NO_SUCH_CALL


def _decisions(abi: Abi, profile: Profile) -> dict[int, Code]:
    """What is done at each call the profile speaks of. A rule that repeats the default says nothing."""
    numbers = table(abi)
    rules: dict[int, list[Rule]] = {}
    for rule in profile.rules:
        if rule.answer == profile.default:
            continue
        for name in rule.names:
            if name in numbers:
                rules.setdefault(numbers[name], []).append(rule)
            if abi is X86:  # the call's arguments lie in memory, where no filter can look: all or nothing
                for whole, parts in (("socketcall", SOCKETCALLS), ("ipc", IPCS)):
                    if name in parts:
                        part = Rule((name,), rule.answer, (Condition(0, "EQ", parts[name]),))
                        rules.setdefault(numbers[whole], []).append(part)
    return {number: _decide(of, profile.default, wide=abi.wide) for number, of in rules.items()}


def _decide(rules: Sequence[Rule], default: int, *, wide: bool) -> Code:
    """The first rule that fits; one without conditions fits when no other does."""
    plain = next((rule.answer for rule in rules if not rule.conditions), default)
    code = [Instruction(RETURN, plain)]
    conditional = [rule for rule in rules if rule.conditions]
    if any(rule.answer != plain for rule in conditional):
        for rule in reversed(conditional):
            body = [Instruction(RETURN, rule.answer)]
            for condition in reversed(rule.conditions):
                body = _compare(condition, len(body), wide=wide and not condition.narrow) + body
            code = body + code
    return code


def _compare(condition: Condition, skip: int, *, wide: bool) -> Code:
    """Falls through if it holds, else jumps over `skip` instructions behind it.

    Interfaces with arguments of 32 bits know nothing of the upper half.
    """
    low = FIRST_ARGUMENT + 8 * condition.argument
    high_value, low_value = condition.value >> 32, condition.value & _WORD
    if condition.operator == "MASKED_EQ":
        high = [
            Instruction(LOAD, low + 4),
            Instruction(AND, high_value),
            Instruction(IF_EQUAL, condition.other >> 32, 0, 3 + skip),
        ]
        return (high if wide else []) + [
            Instruction(LOAD, low),
            Instruction(AND, low_value),
            Instruction(IF_EQUAL, condition.other & _WORD, 0, skip),
        ]
    holds, jump, negated = _COMPARISONS[condition.operator]
    last = [Instruction(LOAD, low), Instruction(jump, low_value, *((skip, 0) if negated else (0, skip)))]
    if not wide:
        return last
    load = Instruction(LOAD, low + 4)
    if condition.operator == "EQ":
        return [load, Instruction(IF_EQUAL, high_value, 0, 2 + skip), *last]
    if condition.operator == "NE":
        return [load, Instruction(IF_EQUAL, high_value, 0, 2), *last]
    if holds:  # GT, GE: a greater upper half is enough, a smaller one too little
        return [
            load,
            Instruction(IF_GREATER, high_value, 3, 0),
            Instruction(IF_EQUAL, high_value, 0, 2 + skip),
            *last,
        ]
    return [
        load,
        Instruction(IF_GREATER, high_value, 3 + skip, 0),
        Instruction(IF_EQUAL, high_value, 0, 2),
        *last,
    ]


# operator → does a greater upper half decide for it; the comparison of the lower half; is that to be negated
_COMPARISONS = {
    "EQ": (False, IF_EQUAL, False),
    "NE": (False, IF_EQUAL, True),
    "GT": (True, IF_GREATER, False),
    "GE": (True, IF_AT_LEAST, False),
    "LT": (False, IF_AT_LEAST, True),
    "LE": (False, IF_GREATER, True),
}


def _ranges(decisions: dict[int, Code], ends: dict[int, Code], default: int) -> list[tuple[int, Code]]:
    """(first number, what to do from there on), without gaps; neighbours that do the same are one."""
    rest = [Instruction(RETURN, default)]
    starts: dict[int, Code] = {0: rest}
    for number in sorted({*decisions, *ends, *(number + 1 for number in decisions)}):
        if number in ends:
            rest = ends[number]
        starts[number] = decisions.get(number, rest)
    ranges: list[tuple[int, Code]] = []
    for start, code in sorted(starts.items()):
        if not ranges or ranges[-1][1] != code:
            ranges.append((start, code))
    return ranges


def _search(ranges: Sequence[tuple[int, Code]]) -> Code:
    """A balanced tree of comparisons with the range's code at each leaf."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    lower, upper = _search(ranges[:middle]), _search(ranges[middle:])
    return _unless_at_least(ranges[middle][0], lower) + upper


def _unless_at_least(k: int, block: Code) -> Code:
    """The block, which ends by itself, unless A >= k."""
    if len(block) <= _FARTHEST:
        return [Instruction(IF_AT_LEAST, k, len(block), 0), *block]
    return [Instruction(IF_AT_LEAST, k, 0, 1), Instruction(JUMP, len(block)), *block]


def _unless(test: int, k: int, block: Code) -> Code:
    """The block, which ends by itself, if the test holds."""
    if len(block) <= _FARTHEST:
        return [Instruction(test, k, 0, len(block)), *block]
    return [Instruction(test, k, 1, 0), Instruction(JUMP, len(block)), *block]
