"""Boot the throw-away test kernel, run one command in it as root, and pass on its output and its exit code.

    python3 -P -m tests.guest.launch [--mem 3G] [--timeout SECONDS] [--share DIR] -- CMD [ARG...]

The guest is User-Mode Linux: one process tree on the host, no KVM, no terminal, no network. It sees the
host's files, the checkout among them, at their usual places, but writes to its own memory. The launcher and
the guest share one private directory, the run directory R:

    R/init, R/stage2.sh   what pid 1 runs        R/cmd  the command       R/plan  what to mount
    R/klog                the kernel's own log   R/rc   the exit code, written last

Standard output and error arrive on two pipes, whole and apart. The guest's end is the end of both pipes. Exit
codes of our own: 124 the command took too long, 125 the guest died (the end of its log is printed), 128 + n
we got signal n. Called by `./dev guest` and by `suite`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn

CHECKOUT = Path(__file__).resolve().parents[2]
STAGES = Path(__file__).parent
STOCK_KERNEL = Path("/usr/bin/linux.uml")

TIMED_OUT = 124
GUEST_DIED = 125

# Empty in every guest. The runtime's state must not lie on the guest's root: that is an overlay, and an
# overlay takes no other overlay as its upper layer.
FRESH = ("/tmp", "/run", "/var/lib/minikubelet")

# Not the caller's: shims of a version manager cost seconds in there.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = ("LANG", "TERM", "CI")
PASSED_ON_PREFIXES = ("MK_", "PYTEST_", "HYPOTHESIS_")

Sink = Callable[[bytes], None]


class GuestError(Exception):
    """The guest cannot be booted here; the text says why and what to do."""


MEMORY = "3G"  # a file with holes; the complete example of the course asks for 2Gi


@dataclass(frozen=True)
class Guest:
    """One boot: what to run, where, and with how much."""

    argv: Sequence[str]
    cwd: Path
    kernel: Path
    modules: Path | None
    memory: str = MEMORY
    timeout: float = 3600.0
    shares: Sequence[Path] = ()
    environment: dict[str, str] = field(default_factory=dict)


def run(guest: Guest, out: Sink, err: Sink) -> int:
    """Boot, run, halt; return the command's exit code, or one of our own."""
    memory_dir = directory_for_memory(guest.memory)
    run_dir = Path(tempfile.mkdtemp(prefix="minikubelet-guest-"))
    try:
        prepare_run_dir(run_dir, guest)
        ended_in_time = boot_and_wait(run_dir, guest, memory_dir, out, err)
        if not ended_in_time:
            err(f"guest: killed, {guest.timeout:g} s are over\n".encode())
            return TIMED_OUT
        return exit_code(run_dir, err)
    finally:
        shutil.rmtree(run_dir)


def prepare_run_dir(run_dir: Path, guest: Guest) -> None:
    if any(c.isspace() for c in str(run_dir)):
        raise GuestError(
            f"cannot use {run_dir}: the kernel's command line splits at spaces; set TMPDIR elsewhere"
        )
    shutil.copy(STAGES / "stage1.sh", run_dir / "init")
    shutil.copy(STAGES / "stage2.sh", run_dir / "stage2.sh")
    (run_dir / "init").chmod(0o755)
    (run_dir / "plan").write_text(plan(guest))
    (run_dir / "cmd").write_text(command_script(guest))


def plan(guest: Guest) -> str:
    """What stage 1 mounts, as shell variables; lists are one path a line."""
    lists = {
        "fresh": FRESH,
        "keep": [str(path) for path in hidden_by_fresh((CHECKOUT, guest.cwd))],
        "share": [str(path) for path in guest.shares],
        "modules": [str(guest.modules)] if guest.modules else [],
    }
    return "".join(f"{name}={shlex.quote(chr(10).join(paths))}\n" for name, paths in lists.items())


def hidden_by_fresh(paths: Sequence[Path]) -> list[Path]:
    """Those of `paths` that an empty directory would cover, without those inside another of them."""
    fresh = [Path(name) for name in FRESH]
    covered = {path for path in paths if any(path.is_relative_to(top) and path != top for top in fresh)}
    return sorted(path for path in covered if not any(other in covered for other in path.parents))


def command_script(guest: Guest) -> str:
    exports = "".join(
        f"export {name}={shlex.quote(text)}\n" for name, text in sorted(guest.environment.items())
    )
    return f"{exports}cd {shlex.quote(str(guest.cwd))} || exit 126\nexec {shlex.join(guest.argv)}\n"


def guest_environment(ours: dict[str, str]) -> dict[str, str]:
    """A clean environment: only what steers tests comes from the caller."""
    passed = {k: v for k, v in ours.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}
    return (
        {"LANG": "C.UTF-8", "MK_TEST_FACTOR": "4"}
        | passed
        | {"PATH": PATH, "HOME": "/root", "USER": "root", "MK_GUEST": "1"}
    )


def directory_for_memory(memory: str) -> Path | None:
    """The guest's memory is a file, mapped executable. None: /dev/shm, the kernel's own choice, will do."""
    shm = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    if shm and not shm.f_flag & os.ST_NOEXEC and shm.f_bavail * shm.f_frsize >= size_in_bytes(memory):
        return None
    fallback = Path("/var/tmp")
    found = os.statvfs(fallback)
    if found.f_flag & os.ST_NOEXEC or found.f_bavail * found.f_frsize < size_in_bytes(memory):
        raise GuestError(
            f"cannot place {memory} of guest memory: neither /dev/shm nor {fallback} has room and allows exec"
        )
    return fallback


def size_in_bytes(text: str) -> int:
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    number, unit = (text[:-1], units.get(text[-1:].upper()))
    if unit is None or not number.isdecimal():
        raise GuestError(f"cannot read memory size {text!r}: write it like 2G or 512M")
    return int(number) * unit


def boot_and_wait(run_dir: Path, guest: Guest, memory_dir: Path | None, out: Sink, err: Sink) -> bool:
    """True when the guest has ended by itself, False when it was killed for taking too long.

    The guest never gets our own stdout: it would set O_NONBLOCK on the file description we share with our
    caller.
    """
    deadline = time.monotonic() + guest.timeout
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    environment = dict(os.environ) | ({"TMPDIR": str(memory_dir)} if memory_dir else {})
    with (run_dir / "klog").open("wb") as klog:
        process = subprocess.Popen(
            kernel_command_line(run_dir, guest, out_write, err_write),
            stdin=subprocess.DEVNULL,
            stdout=klog,
            stderr=klog,
            pass_fds=(out_write, err_write),
            start_new_session=True,
            env=environment,
        )
    os.close(out_write)
    os.close(err_write)
    copiers = [copier(out_read, out), copier(err_read, err)]
    try:
        with killed_with_us(process.pid, run_dir):
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        kill_session(process)
        for thread in copiers:
            thread.join()


@contextlib.contextmanager
def killed_with_us(session: int, run_dir: Path) -> Iterator[None]:
    """Let nothing of the guest outlive us, even if we are killed with SIGKILL.

    PR_SET_PDEATHSIG would end the kernel, but not the traced processes of its user space. So a small process
    waits for the end of a pipe whose other end only we hold.
    """
    script = 'read -r _; kill -s KILL -- "-$1"; rm -rf "$2"'
    with subprocess.Popen(
        ["sh", "-c", script, "sh", str(session), str(run_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as keeper:
        try:
            yield
        finally:
            keeper.kill()


def kernel_command_line(run_dir: Path, guest: Guest, out_fd: int, err_fd: int) -> list[str]:
    return [
        *(
            str(guest.kernel),
            f"mem={guest.memory}",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
        ),
        *(f"init={run_dir}/init", f"RUN={run_dir}", f"uml_dir={run_dir}/", "umid=u"),
        *("con=null", "con0=null,fd:1", f"con1=null,fd:{out_fd}", f"con2=null,fd:{err_fd}", "ssl=null"),
        *("panic=-1", "quiet", "loglevel=4"),
    ]


def copier(descriptor: int, sink: Sink) -> threading.Thread:
    """Copy until the last writer is gone. Every byte counts: the thread is joined, never abandoned."""

    def copy() -> None:
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            while block := pipe.read(65536):
                sink(block)

    thread = threading.Thread(target=copy, name=f"copy fd {descriptor}")
    thread.start()
    return thread


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """The kernel's process and the traced ones that carry its user space are one process group."""
    with contextlib.suppress(ProcessLookupError):  # the usual end: everything has gone by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def exit_code(run_dir: Path, err: Sink) -> int:
    try:
        return int((run_dir / "rc").read_text())
    except FileNotFoundError:
        tail = (run_dir / "klog").read_bytes().splitlines(keepends=True)[-40:]
        err(b"guest: it died before the command ended; the end of its log:\n" + b"".join(tail))
        return GUEST_DIED


def find_kernel() -> Path:
    kernel = Path(os.environ.get("MK_GUEST_KERNEL") or STOCK_KERNEL)
    if not os.access(kernel, os.X_OK):
        raise GuestError(f"cannot run the kernel {kernel}: not there, or not executable")
    return kernel


def find_modules() -> Path | None:
    """The tree `modules.sh` made; `./dev` passes its place on. A kernel of the caller's own may need none."""
    named = os.environ.get("MK_GUEST_MODULES")
    return Path(named) if named else None


def writer(stream: BinaryIO) -> Sink:
    def write(block: bytes) -> None:
        stream.write(block)
        stream.flush()

    return write


def interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./dev guest", description="Run a command as root in the test kernel."
    )
    parser.add_argument(
        "--mem", default=MEMORY, help="memory of the guest; files written in it take from it, too"
    )
    parser.add_argument(
        "--timeout", type=float, default=3600.0, metavar="SECONDS", help="then: kill, exit code 124"
    )
    parser.add_argument(
        "--share", type=Path, action="append", default=[], metavar="DIR", help="writable in the guest"
    )
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD [ARG...]")
    options = parser.parse_args()
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        parser.error("no command given")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        guest = Guest(
            argv=argv,
            cwd=Path.cwd(),
            kernel=find_kernel(),
            modules=find_modules(),
            memory=options.mem,
            timeout=options.timeout,
            shares=[path.resolve() for path in options.share],
            environment=guest_environment(dict(os.environ)),
        )
        return run(guest, writer(sys.stdout.buffer), writer(sys.stderr.buffer))
    except GuestError as error:
        print(f"guest: {error}", file=sys.stderr)
        return GUEST_DIED


if __name__ == "__main__":
    sys.exit(main())
