"""Make the interpreter's own binary unwritable for whoever finds it through /proc/PID/exe (CVE-2019-5736).

A container can make one of our processes run `/proc/self/exe` inside it (an entry point `#!/proc/self/exe`)
and then write through that link to the node's python. So the zygote runs its interpreter from a read-only
clone of the mount it lies on: the file is the same, but every process that descends from the zygote holds
it through a mount on which nothing can be opened for writing, and which nobody can remount, because it is
attached nowhere.
"""

from __future__ import annotations

import os
import sys

from minikubelet.linux import syscalls

_SEALED = "sealed"


def seal() -> None:
    """Execute this very program again from a sealed interpreter; returns when that has happened."""
    if sys.argv[-1] == _SEALED:
        return
    binary = os.path.realpath(sys.executable)
    tree = syscalls.open_tree(syscalls.AT_FDCWD, binary, syscalls.OPEN_TREE_CLONE)
    syscalls.mount_setattr(tree, attr_set=syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID)
    os.execve(f"/proc/self/fd/{tree}", [*sys.orig_argv, _SEALED], dict(os.environ))
