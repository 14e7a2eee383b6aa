"""Which devices a container may open: a BPF program on its cgroup (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE).

Root in a container may mknod(2) whatever it likes, as with every runtime; what it cannot do is *open* the
node's disk by that. The rule is the one of runc: making nodes is free; the harmless character devices and
terminals can be used; the rest is EPERM. It holds for every process in the cgroup and below, in any mount
namespace.

The program is assembled here by hand: a dozen comparisons, each two instructions.
"""

from __future__ import annotations

import struct

from minikubelet.linux import syscalls

_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2  # other programs, of systemd for one, stay in force: all of them must agree

_TYPE_CHAR = 2
_ACCESS_MKNOD = 1
_MEMORY_DEVICES, _TERMINAL_DEVICES, _PSEUDO_TERMINALS = 1, 5, 136
_USABLE = (
    (_MEMORY_DEVICES, (3, 5, 7, 8, 9)),  # null, zero, full, random, urandom
    (_TERMINAL_DEVICES, (0, 1, 2)),  # tty, console, ptmx
)

# Instructions, and the registers they use: r1 is the context, r2 type and then access, r3 major, r4 minor.
_LOAD_WORD, _MOVE, _AND, _SHIFT_RIGHT = 0x61, 0xBC, 0x54, 0x74
_JUMP_IF_EQUAL, _JUMP_IF_NOT_EQUAL, _SET, _EXIT = 0x15, 0x55, 0xB7, 0x95


def load_policy() -> int:
    """The program, verified by the kernel; its descriptor. One is enough for all containers."""
    program = syscalls.buffer_of(assemble())
    license = syscalls.buffer_of(b"GPL\0")
    attributes = struct.pack(
        "IIQQ",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        syscalls.address_of(program),
        syscalls.address_of(license),
    )
    return syscalls.bpf(syscalls.BPF_PROG_LOAD, attributes)


def attach_policy(program: int, cgroup: int) -> None:
    """From now on the program judges for the cgroup behind the descriptor. It goes with the cgroup."""
    syscalls.bpf(
        syscalls.BPF_PROG_ATTACH, struct.pack("IIII", cgroup, program, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
    )


def assemble() -> bytes:
    """The instructions. `struct bpf_cgroup_dev_ctx` is (access << 16 | type), major, minor."""
    allow = [_instruction(_SET, 0, value=1), _instruction(_EXIT)]
    deny = [_instruction(_SET, 0, value=0), _instruction(_EXIT)]
    code = [
        _instruction(_LOAD_WORD, 2, source=1, offset=0),
        _instruction(_LOAD_WORD, 3, source=1, offset=4),
        _instruction(_LOAD_WORD, 4, source=1, offset=8),
        _instruction(_MOVE, 5, source=2),
        _instruction(_SHIFT_RIGHT, 5, value=16),
        _instruction(_JUMP_IF_NOT_EQUAL, 5, value=_ACCESS_MKNOD, offset=len(allow)),
        *allow,
        _instruction(_AND, 2, value=0xFFFF),
        _instruction(_JUMP_IF_EQUAL, 2, value=_TYPE_CHAR, offset=len(deny)),
        *deny,
        _instruction(_JUMP_IF_NOT_EQUAL, 3, value=_PSEUDO_TERMINALS, offset=len(allow)),
        *allow,
    ]
    for major, minors in _USABLE:
        for minor in minors:
            code += [
                _instruction(_JUMP_IF_NOT_EQUAL, 3, value=major, offset=1 + len(allow)),
                _instruction(_JUMP_IF_NOT_EQUAL, 4, value=minor, offset=len(allow)),
                *allow,
            ]
    return b"".join([*code, *deny])


def _instruction(code: int, target: int = 0, *, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """`struct bpf_insn`."""
    return struct.pack("=BBhi", code, target | source << 4, offset, value)
