"""Filters against libseccomp's, call by call: both programs run in a BPF interpreter and decide alike."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator

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
    """The newest call of this interface a profile speaks of; the one that stands for several on i386, too."""
    names = {name for rule in profile.rules if rule.answer != profile.default for name in rule.names}
    names |= {one for one, parts in (("ipc", IPCS), ("socketcall", SOCKETCALLS)) if names & parts.keys()}
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
    """Above the newest call of the profile there is ENOSYS: runc puts that before libseccomp's program."""
    ours = bpf_machine.load(compile_profile(profile, machine))
    theirs = bpf_machine.load(libseccomp.export(profile, machine))
    abis = [
        abi for abi in MACHINES[machine] if abi is MACHINES[machine][0] or abi.name in profile.architectures
    ]
    cases = list(arguments_for(profile))
    for abi in abis:
        conditional = {
            table(abi).get(name) for rule in profile.rules if rule.conditions for name in rule.names
        } | {table(abi).get(name) for name in ("socketcall", "ipc")}
        newest = last(profile, abi)
        narrow = {  # there we look as the kernel does, and libseccomp does not
            table(abi).get(name)
            for rule in profile.rules
            for name in rule.names
            for c in rule.conditions
            if c.narrow
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
).map(
    lambda c: (
        c if c.operator != "MASKED_EQ" else Condition(c.argument, c.operator, c.value, c.other & c.value)
    )
)
SINGLE = ["read", "write", "openat", "clone", "personality", "mmap2", "futex", "ioctl"]
SHARED = ["socket", "listen", "shmget", "semop", "ipc", "socketcall"]  # on i386 several names, one call
CONDITION_LISTS = st.lists(CONDITIONS, max_size=3, unique_by=lambda condition: condition.argument).map(tuple)
PLAIN_RULES = st.builds(
    Rule,
    st.lists(st.sampled_from(SINGLE + SHARED), min_size=1, max_size=4, unique=True).map(tuple),
    st.just(ALLOW),
)
CONDITIONAL_RULES = st.builds(
    Rule,
    st.lists(st.sampled_from(SINGLE), min_size=1, max_size=3, unique=True).map(tuple),
    st.just(ALLOW),
    CONDITION_LISTS,
)
RULES = st.one_of(PLAIN_RULES, CONDITIONAL_RULES)


def profiles(answers: list[int]) -> st.SearchStrategy[Profile]:
    rules = st.builds(Rule, RULES.map(lambda r: r.names), st.sampled_from(answers), CONDITION_LISTS)
    return st.builds(
        Profile,
        st.sampled_from([answer for answer in ANSWERS if answer != ALLOW]),
        st.lists(st.one_of(RULES, rules) if len(answers) > 1 else RULES, min_size=1, max_size=5).map(tuple),
        st.sets(st.sampled_from(["X86", "X32"])).map(frozenset),
    )


def one_condition_a_call(profile: Profile) -> bool:
    """libseccomp 2.5.4 merges several conditional rules of a call wrongly: `< 0` or `< 2**32` refuses 1."""
    names = [name for rule in profile.rules if rule.conditions for name in rule.names]
    return len(names) == len(set(names))


@settings(max_examples=40, deadline=None)
@given(profile=profiles([ALLOW]).filter(one_condition_a_call))
def test_any_profile_decides_as_libseccomp_does(profile: Profile) -> None:
    assert_alike(profile)


@settings(max_examples=40, deadline=None)
@given(profile=profiles(ANSWERS))
def test_any_profile_decides_as_it_is_meant(profile: Profile) -> None:
    program = bpf_machine.load(compile_profile(profile, "x86_64"))
    numbers = table(X86_64)
    for name in numbers.keys() & set(SINGLE):
        for arguments in arguments_for(profile):
            answer = bpf_machine.run(program, X86_64.audit, numbers[name], arguments)
            assert answer in (meant(profile, name, arguments), ENOSYS)
            if answer == ENOSYS:
                assert numbers[name] > last(profile, X86_64)


def meant(profile: Profile, name: str, arguments: list[int]) -> int:
    """The first rule that fits, one without conditions last; those that repeat the default are none."""
    rules = [rule for rule in profile.rules if name in rule.names and rule.answer != profile.default]
    for rule in sorted(rules, key=lambda rule: not rule.conditions):
        if all(COMPARE[c.operator](arguments[c.argument], c) for c in rule.conditions):
            return rule.answer
    return profile.default


COMPARE: dict[str, Callable[[int, Condition], bool]] = {
    "LT": lambda argument, c: argument < c.value,
    "LE": lambda argument, c: argument <= c.value,
    "EQ": lambda argument, c: argument == c.value,
    "NE": lambda argument, c: argument != c.value,
    "GE": lambda argument, c: argument >= c.value,
    "GT": lambda argument, c: argument > c.value,
    "MASKED_EQ": lambda argument, c: argument & c.value == c.other,
}


# Files


def read(**fields: object) -> Profile:
    return read_profile(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"} | fields).encode(), here("SYS_TIME"))


def call(**fields: object) -> dict[str, object]:
    return {"names": ["read"], "action": "SCMP_ACT_ERRNO"} | fields


def test_a_file_is_read_as_runc_reads_it() -> None:
    two = [{"index": 1, "op": "SCMP_CMP_GT", "value": 1}, {"index": 1, "op": "SCMP_CMP_LT", "value": 9}]
    profile = read(
        defaultAction="SCMP_ACT_KILL",
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        flags=["SECCOMP_FILTER_FLAG_LOG"],
        syscalls=[call(errnoRet=13), call(action="SCMP_ACT_TRAP", args=two)],
    )
    assert profile.default == KILL_THREAD
    assert profile.architectures == {"X86_64", "X86"}
    assert profile.flags == 2
    assert profile.rules == (
        Rule(("read",), ERRNO | 13),
        Rule(("read",), TRAP, (Condition(1, "GT", 1),)),  # two conditions on one argument are two rules
        Rule(("read",), TRAP, (Condition(1, "LT", 9),)),
    )
    assert read(syscalls=[call()]).rules[0].answer == EPERM
    assert read(defaultAction="SCMP_ACT_ERRNO", defaultErrnoRet=38).default == ENOSYS


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ({"includes": {"caps": ["CAP_SYS_TIME"]}}, True),
        ({"includes": {"caps": ["CAP_SYS_TIME", "CAP_BPF"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_TIME"]}}, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.2"}}, False),
        ({"includes": {}, "excludes": {}, "comment": "as older files have them"}, True),
    ],
)
def test_dockers_conditions_are_understood(condition: dict[str, object], *, applies: bool) -> None:
    assert bool(read(syscalls=[call(**condition)]).rules) is applies


def test_dockers_map_of_architectures_is_understood() -> None:
    machines = [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ]
    assert read(archMap=machines).architectures == {"X86"}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "nobody"),
        ({"defaultAction": "ALLOW"}, "no action"),
        ({"listenerPath": "/run/x"}, "unknown field `listenerPath`"),
        ({"flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}, "not supported"),
        ({"architectures": ["amd64"]}, "no architecture"),
        ({"syscalls": [call(args=[{"index": 6, "op": "SCMP_CMP_EQ", "value": 0}])]}, "there is none"),
        ({"syscalls": [call(args=[{"index": 0, "op": "==", "value": 0}])]}, "no comparison"),
        ({"syscalls": [call(args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": -1}])]}, "64 bits"),
        ({"syscalls": [call(includes={"minKernel": "new"})]}, "no version"),
        ({"syscalls": [{"names": ["read"]}]}, "missing required field `action`"),
    ],
)
def test_what_cannot_be_done_is_refused(fields: dict[str, object], text: str) -> None:
    with pytest.raises(BadProfile, match=text):
        read(**fields)


def test_a_profile_may_be_too_long() -> None:
    rules = [Rule(("read",), TRAP, (Condition(0, "EQ", value),)) for value in range(2000)]
    with pytest.raises(BadProfile, match="the kernel takes 4096"):
        compile_profile(Profile(ALLOW, tuple(rules)), "x86_64")


def test_jumps_over_more_than_a_byte_holds() -> None:
    """Each of these calls has hundreds of instructions of its own."""
    rules = [
        Rule((name,), TRAP, (Condition(0, "EQ", value),))
        for name in ("read", "openat")
        for value in range(200)
    ]
    program = bpf_machine.load(compile_profile(Profile(ALLOW, tuple(rules)), "x86_64"))
    numbers = table(X86_64)
    for name in ("read", "write", "openat", "futex"):
        for value in (0, 199, 200):
            expected = TRAP if value < 200 and name in ("read", "openat") else ALLOW
            assert bpf_machine.run(program, X86_64.audit, numbers[name], [value]) == expected


def test_the_usual_filter_is_short_and_finds_its_answer_soon() -> None:
    """The kernel runs it at every system call."""
    program = bpf_machine.load(compile_profile(default.default_profile(here()), "x86_64"))
    assert len(program) < 700
    assert max(steps(program, X86_64.audit, number) for number in range(470)) <= 20


def steps(program: bpf_machine.Program, audit: int, number: int) -> int:
    counted = bpf_machine.Steps()
    bpf_machine.run(program, audit, number, counted=counted)
    return counted.steps
