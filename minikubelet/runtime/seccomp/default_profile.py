"""The profile RuntimeDefault stands for: containerd's and Docker's, the one most containers run under.

It allows by name and refuses the rest with EPERM. What it leaves out is what reaches beyond the container
(other namespaces, modules, keys, the clock, tracing the kernel) and what has been a source of holes and is
rarely missed (userfaultfd, io_uring, vsock sockets). With a capability a container gets the calls that are
useless without it. Here the names are sorted by what they are about; some exist on one machine only, and a
name the machine does not have says nothing.

Source: the published profile of the Moby project (github.com/moby/profiles), state of Docker 28 and
containerd 2; compared by eye and by the test `test_seccomp_default.py`.
"""

from __future__ import annotations

import errno

from minikubelet.runtime.seccomp.profile import ALLOW, ERRNO, Circumstances, Condition, Profile, Rule

FILES = """
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat ioctl lchown lchown32
lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64
mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv
preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx
symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
utimensat_time64 utimes vmsplice write writev cachestat listmount statmount fanotify_mark inotify_add_watch
inotify_init inotify_init1 inotify_rm_watch
"""
WAITING = """
_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64
io_setup io_submit pause poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4
"""
PROCESSES = """
capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid
getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 ioprio_get ioprio_set
pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease restart_syscall rseq sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid
setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid
setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 times ugetrlimit
uretprobe vfork wait4 waitid waitpid landlock_add_rule landlock_create_ruleset landlock_restrict_self
seccomp process_vm_readv process_vm_writev ptrace
"""
SIGNALS = """
kill rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn tgkill tkill
"""
MEMORY = """
brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2
mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages
"""
CLOCKS = """
adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create
timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
"""
SOCKETS = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""
IPC = """
futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv
msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""
SYSTEM = "getrandom sysinfo uname"

BY_MACHINE = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
}

BY_CAPABILITY = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYSLOG": "syslog",
    "SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
        lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl
        quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
    """,
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}

NEW_NAMESPACES = 0x7E02_0000  # all CLONE_NEW… of clone(2) but CLONE_NEWTIME, which it does not take
PERSONALITIES = (
    0x0000_0000,  # PER_LINUX
    0x0000_0008,  # PER_LINUX32
    0x0002_0000,  # with UNAME26
    0x0002_0008,
    0xFFFF_FFFF,  # only asks
)
AF_VSOCK = 40  # talks to the hypervisor, past every network namespace


def default_profile(here: Circumstances) -> Profile:
    """For a container with these capabilities. clone3 hides its flags in memory, where no filter can look: it
    is ENOSYS, and the C library falls back to clone.
    """
    groups = (FILES, WAITING, PROCESSES, SIGNALS, MEMORY, CLOCKS, SOCKETS, IPC, SYSTEM)
    names = " ".join((*groups, BY_MACHINE.get(here.machine, ""))).split()
    for capability in sorted(here.capabilities & BY_CAPABILITY.keys()):
        names += BY_CAPABILITY[capability].split()
    rules = [
        Rule(tuple(dict.fromkeys(names)), ALLOW),
        Rule(("socket",), ALLOW, (Condition(0, "NE", AF_VSOCK, narrow=True),)),
        *(Rule(("personality",), ALLOW, (Condition(0, "EQ", value),)) for value in PERSONALITIES),
    ]
    if "SYS_ADMIN" not in here.capabilities:
        rules += [
            Rule(("clone",), ALLOW, (Condition(0, "MASKED_EQ", NEW_NAMESPACES, 0),)),
            Rule(("clone3",), ERRNO | errno.ENOSYS),
        ]
    return Profile(ERRNO | errno.EPERM, tuple(rules), frozenset({"X86", "X32", "ARM"}))
