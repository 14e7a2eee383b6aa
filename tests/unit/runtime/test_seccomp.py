"""Filters against libseccomp's, call by call: both programs run in a BPF interpreter and must decide alike."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.linux import capabilities
from minikubelet.runtime.seccomp import default_profile as default
from minikubelet.runtime.seccomp.numbers import (
    IPCS,
    MACHINES,
    PRIVATE_CALLS,
    SOCKETCALLS,
    X86,
    X86_64,
    Abi,
    table,
)
from minikubelet.runtime.seccomp.profile import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRAP,
    BadProfile,
    Circumstances,
    Condition,
    Profile,
    Rule,
    read_profile,
)
from minikubelet.runtime.seccomp.program import compile_profile
from tests.unit.runtime import bpf_machine, libseccomp

EVERY_ABI = [abi for abis in MACHINES.values() for abi in abis]
EPERM, ENOSYS = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
USUAL = frozenset(capabilities.DEFAULT)
NEWEST_OF_LIBSECCOMP = 450  # 2.5.4, of Debian 12


def here(*more: str, machine: str = "x86_64") -> Circumstances:
    return Circumstances(machine, (6, 1), USUAL | set(more))


@pytest.mark.parametrize("abi", EVERY_ABI, ids=lambda abi: abi.name)
def test_numbers_are_libseccomps(abi: Abi) -> None:
    own = table(abi)
    known = {name: libseccomp.number(abi, name) for name in own}
    wrong = {
        name: (own[name], number) for name, number in known.items() if number >= 0 and number != own[name]
    }
    assert wrong == {}
    unknown = {name for name, number in known.items() if number < 0}
    multiplexed = {*SOCKETCALLS, *IPCS} if abi is X86 else set()  # it has them as parts of one call, first
    unexpected = {name for name in unknown - multiplexed if own[name] - abi.base <= NEWEST_OF_LIBSECCOMP}
    assert unexpected <= {"uretprobe", "sync_file_range2"}  # on arm the latter has another name


def last(profile: Profile, abi: Abi) -> int:
    """The newest call of this interface a profile speaks of."""
    names = {name for rule in profile.rules if rule.answer != profile.default for name in rule.names}
    numbers = [number for name, number in table(abi).items() if name in names]
    return max((number for number in numbers if number < abi.base + PRIVATE_CALLS), default=-1)


def arguments_for(profile: Profile) -> Iterator[list[int]]:
    """Around every value a rule compares with, at its place, and in both halves."""
    yield [0] * 6
    for place, value in sorted(
        {
            (condition.argument, number)
            for rule in profile.rules
            for condition in rule.conditions
            for number in (condition.value, condition.other)
        }
    ):
        for near in (value - 1, value, value + 1, value ^ 1 << 32, value | 1 << 63, ~value):
            for rest in (0, (1 << 64) - 1):
                arguments = [rest] * 6
                arguments[place] = near & (1 << 64) - 1
                yield arguments


def assert_alike(profile: Profile, machine: str = "x86_64") -> None:
    """Only above the newest call of the profile there is ENOSYS, as runc patches it into libseccomp's program."""
    ours = bpf_machine.load(compile_profile(profile, machine))
    theirs = bpf_machine.load(libseccomp.export(profile, machine))
    abis = [abi for abi in MACHINES[machine] if abi is MACHINES[machine][0] or abi.name in profile.architectures]
    cases = list(arguments_for(profile))
    for abi in abis:
        conditional = {
            table(abi).get(name) for rule in profile.rules if rule.conditions for name in rule.names
        } | {table(abi).get(name) for name in ("socketcall", "ipc")}
        newest = last(profile, abi)
        narrow = {  # there we look as the kernel does, and libseccomp does not
            table(abi).get(name) for rule in profile.rules for name in rule.names for c in rule.conditions if c.narrow
        }
        named = {table(abi).get(name) for rule in profile.rules for name in rule.names}
        unknown = {
            number
            for name, number in table(abi).items()
            if NEWEST_OF_LIBSECCOMP < number - abi.base < 512 or name == "uretprobe"
        } & named
        for number in [*range(abi.base, abi.base + 600), *table(abi).values(), abi.base + 70000]:
            if number in unknown:
                continue
            for arguments in cases if number in conditional else cases[:1]:
                if not abi.wide:
                    arguments = [value & 0xFFFFFFFF for value in arguments]
                answer = bpf_machine.run(ours, abi.audit, number, arguments)
                if 0 <= newest < number and number not in named and profile.default not in (ALLOW, LOG):
                    assert answer == ENOSYS, (abi.name, number)
                else:
                    asked = (abi.name, number - abi.base, [hex(value) for value in arguments])
                    seen = [arguments[0] & 0xFFFFFFFF, *arguments[1:]] if number in narrow else arguments
                    assert answer == bpf_machine.run(theirs, abi.audit, number, seen), asked
    for audit in (0, 0xC0000016, 0x40000003, 0xC000003E, 0xC00000B7):
        if audit not in {abi.audit for abi in abis}:
            assert bpf_machine.run(ours, audit, 1) == bpf_machine.run(theirs, audit, 1) == KILL_THREAD


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "more",
    [(), ("SYS_ADMIN",), ("SYS_PTRACE", "SYS_TIME", "SYSLOG", "BPF"), capabilities.NAMES],
    ids=["usual", "admin", "some", "all"],
)
def test_the_default_profile_decides_as_libseccomp_does(machine: str, more: tuple[str, ...]) -> None:
    assert_alike(default.default_profile(here(*more, machine=machine)), machine)


# Profiles nobody would write


ANSWERS = [ALLOW, LOG, TRAP, KILL_PROCESS, ERRNO | errno.EPERM, ERRNO | errno.EACCES]
VALUES = st.sampled_from(
    [0, 1, 2, 40, 0x7FFFFFFF, 0xFFFFFFFF, 0x1_0000_0000, 0x1_0000_0028, (1 << 63) + 5, (1 << 64) - 1]
)
CONDITIONS = st.builds(
    Condition,
    st.integers(0, 5),
    st.sampled_from(["LT", "LE", "EQ", "NE", "GE", "GT", "MASKED_EQ"]),
    VALUES,
    VALUES,
).map(lambda c: c if c.operator != "MASKED_EQ" else Condition(c.argument, c.operator, c.value, c.other & c.value))
SINGLE = ["read", "write", "openat", "clone", "personality", "mmap2", "futex", "ioctl"]
SHARED = ["socket", "listen", "shmget", "semop", "ipc", "socketcall"]  # on i386 several names, one call
PLAIN_RULES = st.builds(
    Rule, st.lists(st.sampled_from(SINGLE + SHARED), min_size=1, max_size=4, unique=True).map(tuple), st.just(ALLOW)
)
CONDITIONAL_RULES = st.builds(
    Rule,
    st.lists(st.sampled_from(SINGLE), min_size=1, max_size=3, unique=True).map(tuple),
    st.just(ALLOW),
    st.lists(CONDITIONS, max_size=3, unique_by=lambda condition: condition.argument).map(tuple),
)
RULES = st.one_of(PLAIN_RULES, CONDITIONAL_RULES)
PROFILES = st.builds(
    Profile,
    st.sampled_from([answer for answer in ANSWERS if answer != ALLOW]),
    st.lists(RULES, min_size=1, max_size=5).map(tuple),
    st.sets(st.sampled_from(["X86", "X32"])).map(frozenset),
)


@settings(max_examples=40, deadline=None)
@given(profile=PROFILES)
def test_any_profile_decides_as_libseccomp_does(profile: Profile) -> None:
    assert_alike(profile)
