#!/bin/sh
# Pid 1 of the guest: from the host's files, read-only, to a root of our own.
#
# The root we start on is the host's own file system through hostfs. Everything the guest writes goes to an
# overlay in the guest's memory, so that the host is never written: only $RUN (given on the kernel's command
# line) and the directories named with --share are the host's own, writable. Whatever fails here ends pid 1,
# hence the guest, and the launcher prints the kernel's log, where our messages are.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t proc proc /proc
grep -qw overlay /proc/filesystems || insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
# fresh: directories that start empty; keep: those of ours that would vanish below them; share: the host's
# own, writable
keep='' fresh='' share='' modules=''
# shellcheck source=/dev/null
. "$RUN/plan"

mount -t tmpfs -o size=75%,mode=755 memory /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/keep
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/root
root=/mnt/root

# each_line COMMAND LINES: paths may hold spaces, lines they do not hold
each_line() {
    printf '%s\n' "$2" | while IFS= read -r line; do
        [ -z "$line" ] || "$1" "$line"
    done
}
kept_as() { echo "/mnt/keep/$(printf %s "$1" | md5sum | cut -c 1-16)"; }
set_aside() {
    mkdir "$(kept_as "$1")"
    mount -n --bind "$root$1" "$(kept_as "$1")"
}
bring_back() {
    mkdir -p "$root$1"
    mount -n --move "$(kept_as "$1")" "$root$1"
}
share() {
    mkdir -p "$root$1"
    mount -t hostfs -o "$1" share "$root$1"
}
empty() {
    mkdir -p "$root$1"
    mount -t tmpfs -o mode=755 fresh "$root$1"
}

each_line set_aside "$keep"
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t cgroup2 none $root/sys/fs/cgroup
mount -t devtmpfs dev $root/dev
mkdir -p $root/dev/pts $root/dev/shm $root/dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts $root/dev/pts
mount -t tmpfs -o mode=1777 shm $root/dev/shm
mount -t mqueue mqueue $root/dev/mqueue
each_line empty "$fresh"
chmod 1777 $root/tmp
each_line bring_back "$keep"
mkdir -p $root/run/lock $root/run/uml
mount -t hostfs -o "$RUN" run $root/run/uml
each_line share "$share"
if [ -n "$modules" ]; then
    mkdir -p $root/lib/modules
    mount -t hostfs -o "$modules" modules $root/lib/modules
fi

cd $root
mkdir -p mnt/old
pivot_root . mnt/old
exec chroot . /bin/sh /run/uml/stage2.sh
