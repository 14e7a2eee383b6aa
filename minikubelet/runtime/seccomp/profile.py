"""A seccomp profile as data: which system calls get which answer, under which conditions.

The shape is that of an OCI runtime profile (`linux.seccomp` of the runtime specification), with the
conditions of Docker's own files (`includes`, `excludes`, `archMap`): either kind of file may be used as a
Localhost profile, and the default profile is made of the same pieces. What a file says and this program
does not know is refused: half a profile is no profile. Pure.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from minikubelet.errors import MinikubeletError

# What a filter answers (seccomp(2)); the lower 16 bits are data.
KILL_PROCESS, KILL_THREAD, TRAP, ERRNO = 0x8000_0000, 0x0000_0000, 0x0003_0000, 0x0005_0000
TRACE, LOG, ALLOW = 0x7FF0_0000, 0x7FFC_0000, 0x7FFF_0000
_ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}

# Flags of SECCOMP_SET_MODE_FILTER.
FLAG_LOG, FLAG_SPEC_ALLOW = 1 << 1, 1 << 2
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # there is one thread
    "SECCOMP_FILTER_FLAG_LOG": FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": FLAG_SPEC_ALLOW,
}

ARGUMENTS = 6
GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}
"""os.uname()'s word → the word of `includes.arches`."""


class BadProfile(MinikubeletError):
    """The file is no profile, or asks for what cannot be done; the message says what."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one argument. `operator` is LT, LE, EQ, NE, GE, GT or MASKED_EQ.

    For MASKED_EQ `value` is the mask and `other` what has to be left. `narrow`: the kernel takes an int
    here and never looks at the upper half, so neither may the filter: what is equal for the one must be for
    the other.
    """

    argument: int
    operator: str
    value: int
    other: int = 0
    narrow: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """These calls get this answer, if all conditions on their arguments hold."""

    names: tuple[str, ...]
    answer: int
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """`architectures` are interfaces besides the machine's own (`numbers.Abi.name`)."""

    default: int
    rules: tuple[Rule, ...]
    architectures: frozenset[str] = frozenset()
    flags: int = FLAG_SPEC_ALLOW


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What conditional rules look at."""

    machine: str  # os.uname().machine
    kernel: tuple[int, int]
    capabilities: frozenset[str]  # the bounding set, without CAP_


# Files


class _Filter(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    caps: list[str] = []
    arches: list[str] = []
    min_kernel: str = ""


class _Argument(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    index: int
    op: str
    value: int
    value_two: int = 0


class _Call(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    action: str
    names: list[str] = []
    name: str = ""
    errno_ret: int | None = None
    args: list[_Argument] | None = None
    comment: str = ""
    includes: _Filter | None = None
    excludes: _Filter | None = None


class _Machine(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    architecture: str
    sub_architectures: list[str] | None = None


class _File(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] | None = None
    arch_map: list[_Machine] | None = None
    flags: list[str] | None = None
    syscalls: list[_Call] | None = None


_read_file = msgspec.json.Decoder(_File).decode  # made here, in one thread: see `v1.wire`


def read_profile(data: bytes, circumstances: Circumstances) -> Profile:
    """The profile a file holds, its conditional rules decided. Raises BadProfile."""
    try:
        file = _read_file(data)
    except msgspec.DecodeError as error:
        raise BadProfile(str(error)) from None
    rules: list[Rule] = []
    for call in file.syscalls or ():
        if _applies(call, circumstances):
            rules += _rules(call)
    return Profile(
        default=_answer(file.default_action, file.default_errno_ret),
        rules=tuple(rules),
        architectures=frozenset(_architectures(file, circumstances.machine)),
        flags=_flags(file.flags),
    )


def _applies(call: _Call, here: Circumstances) -> bool:
    includes, excludes = call.includes or _Filter(), call.excludes or _Filter()
    arch = GOARCH.get(here.machine, here.machine)
    return not (
        (includes.arches and arch not in includes.arches)
        or not _plain(includes.caps) <= here.capabilities
        or here.kernel < _kernel(includes.min_kernel)
        or arch in excludes.arches
        or _plain(excludes.caps) & here.capabilities
        or (excludes.min_kernel and here.kernel >= _kernel(excludes.min_kernel))
    )


def _plain(names: Collection[str]) -> set[str]:
    return {name.removeprefix("CAP_") for name in names}


def _kernel(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not text:
        return (0, 0)
    if not (major.isdigit() and minor.isdigit()):
        raise BadProfile(f"minKernel {text!r} is no version: write it as 4.8")
    return (int(major), int(minor))


def _rules(call: _Call) -> list[Rule]:
    """One rule; if two conditions look at the same argument, as in runc, each is a rule of its own."""
    names = tuple(call.names or ([call.name] if call.name else []))
    answer = _answer(call.action, call.errno_ret)
    conditions = tuple(map(_condition, call.args or ()))
    if len({condition.argument for condition in conditions}) < len(conditions):
        return [Rule(names, answer, (condition,)) for condition in conditions]
    return [Rule(names, answer, conditions)]


def _condition(argument: _Argument) -> Condition:
    operator = argument.op.removeprefix("SCMP_CMP_")
    if operator not in ("LT", "LE", "EQ", "NE", "GE", "GT", "MASKED_EQ"):
        raise BadProfile(f"{argument.op} is no comparison")
    if not 0 <= argument.index < ARGUMENTS:
        raise BadProfile(
            f"system calls have {ARGUMENTS} arguments, there is none with the index {argument.index}"
        )
    for value in (argument.value, argument.value_two):
        if not 0 <= value < 1 << 64:
            raise BadProfile(f"{value} does not fit into 64 bits")
    return Condition(argument.index, operator, argument.value, argument.value_two)


def _answer(action: str, data: int | None) -> int:
    if action == "SCMP_ACT_NOTIFY":
        raise BadProfile("SCMP_ACT_NOTIFY needs somebody who is notified: there is nobody")
    if action not in _ACTIONS:
        raise BadProfile(f"{action} is no action")
    answer = _ACTIONS[action]
    if answer in (ERRNO, TRACE):
        return answer | ((errno.EPERM if data is None else data) & 0xFFFF)
    return answer


def _architectures(file: _File, machine: str) -> list[str]:
    named = list(file.architectures or ())
    for entry in file.arch_map or ():
        if entry.architecture == f"SCMP_ARCH_{machine.upper()}":
            named += entry.sub_architectures or ()
    if wrong := [name for name in named if not name.startswith("SCMP_ARCH_")]:
        raise BadProfile(f"{wrong[0]} is no architecture")
    return [name.removeprefix("SCMP_ARCH_") for name in named]


def _flags(names: Sequence[str] | None) -> int:
    """Without a list it is runc's: no mitigation of speculation that only costs time."""
    if names is None:
        return FLAG_SPEC_ALLOW
    if unknown := [name for name in names if name not in _FLAGS]:
        raise BadProfile(f"the flag {unknown[0]} is not supported")
    return sum({_FLAGS[name] for name in names})
