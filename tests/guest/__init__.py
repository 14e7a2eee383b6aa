"""The throw-away test kernel, and the running of the whole test suite.

`launch` boots User-Mode Linux, a Linux kernel that is an ordinary process, and runs one command in it as
root. `machine` says whether this machine's own kernel would do instead. `suite` is `./dev test`: it sends
each test to the kernel it needs. `stage1.sh` and `stage2.sh` run inside the guest before the command,
`modules.sh` builds the kernel modules that Debian's kernel lacks.

Everything here is standard library only and knows nothing of minikubelet: it must run before the venv is
there.
"""
