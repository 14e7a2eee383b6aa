"""The oracle: libseccomp, the library every container engine makes its filters with, by ctypes."""

from __future__ import annotations

import ctypes
import os

from minikubelet.runtime.seccomp.numbers import MACHINES, Abi
from minikubelet.runtime.seccomp.profile import Condition, Profile, Rule

_library = ctypes.CDLL("libseccomp.so.2")
_library.seccomp_init.restype = ctypes.c_void_p
_library.seccomp_init.argtypes = (ctypes.c_uint32,)
_library.seccomp_release.argtypes = (ctypes.c_void_p,)
_library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
_library.seccomp_arch_remove.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
_library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
_library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
_library.seccomp_syscall_resolve_name_arch.argtypes = (ctypes.c_uint32, ctypes.c_char_p)

TOKENS = {
    "X86_64": 0xC000003E,
    "X86": 0x40000003,
    "X32": 0x4000003E,
    "AARCH64": 0xC00000B7,
    "ARM": 0x40000028,
}
_NATIVE = 0
_OPERATORS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}
_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE


class _Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Refused(Exception):
    """libseccomp takes no such rule beside those it has."""


def number(abi: Abi, name: str) -> int:
    """As it resolves the name; negative: the interface does not have it, or the library does not know it."""
    return int(_library.seccomp_syscall_resolve_name_arch(TOKENS[abi.name], name.encode()))


def export(profile: Profile, machine: str) -> bytes:
    """The program libseccomp makes, its rules added as runc does. Raises Refused."""
    own, *others = MACHINES[machine]
    context = _library.seccomp_init(profile.default)
    try:
        _checked(_library.seccomp_attr_set(context, _OPTIMIZE, 2))
        if machine != os.uname().machine:
            _checked(_library.seccomp_arch_add(context, TOKENS[own.name]))
            _checked(_library.seccomp_arch_remove(context, _NATIVE))
        for abi in others:
            if abi.name in profile.architectures:
                _checked(_library.seccomp_arch_add(context, TOKENS[abi.name]))
        for rule in profile.rules:
            _add(context, rule, profile.default)
        file = os.memfd_create("bpf")
        try:
            _checked(_library.seccomp_export_bpf(context, file))
            return os.pread(file, 1 << 20, 0)
        finally:
            os.close(file)
    finally:
        _library.seccomp_release(context)


def _add(context: int, rule: Rule, default: int) -> None:
    if rule.answer == default:
        return
    comparisons = (_Comparison * len(rule.conditions))(*map(_comparison, rule.conditions))
    for name in rule.names:
        generic = int(_library.seccomp_syscall_resolve_name(name.encode()))
        if generic == -1:  # __NR_SCMP_ERROR
            continue
        _checked(
            _library.seccomp_rule_add_array(
                ctypes.c_void_p(context),
                ctypes.c_uint32(rule.answer),
                ctypes.c_int(generic),
                ctypes.c_uint(len(rule.conditions)),
                comparisons,
            )
        )


def _comparison(condition: Condition) -> _Comparison:
    return _Comparison(condition.argument, _OPERATORS[condition.operator], condition.value, condition.other)


def _checked(result: int) -> None:
    if result < 0:
        raise Refused(os.strerror(-result))
