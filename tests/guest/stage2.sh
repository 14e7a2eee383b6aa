#!/bin/sh
# Pid 1 of the guest, in its own root: make it look like a node, run the command, say how it ended, power off.
#
# The exit code leaves in a file, because the kernel's own is always 0. The command's output leaves through
# the two ttys, which the launcher has connected to pipes: raw, or a line feed would become CR LF.
set -eu
umount -l /mnt/old
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr

hostname guest
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo '+cpu +memory +pids +io' >/sys/fs/cgroup/cgroup.subtree_control
# As systemd leaves it on a real node: mounts made in / are seen in namespaces made before, and many files may
# be open.
mount --make-rshared /
# shellcheck disable=SC3045 # every /bin/sh of the systems we run on has it
ulimit -Hn 524288

stty -F /dev/tty1 raw -echo
stty -F /dev/tty2 raw -echo
code=0
setsid sh /run/uml/cmd </dev/null >/dev/tty1 2>/dev/tty2 || code=$?
echo "$code" >/run/uml/rc.tmp
mv /run/uml/rc.tmp /run/uml/rc
sync
# The ttys hand on what they hold while the kernel is idle.
sleep 0.05
busybox poweroff -f
