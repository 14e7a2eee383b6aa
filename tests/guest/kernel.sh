#!/bin/sh
# Build a whole User-Mode Linux kernel, with everything in it, from Debian's kernel source.
#
#   kernel.sh --find CACHE TARBALL   prints the kernel's path, and fails when it is not there yet
#   kernel.sh CACHE TARBALL          builds if need be, prints the kernel's path
#
# The way out when the source of exactly the packaged kernel is no longer to be had, so that modules.sh cannot work: ten
# to fifteen minutes instead of one. Needs no modules. The result is kept in CACHE under a name made from the source and
# this recipe.
set -eu

only_find=
if [ "$1" = --find ]; then
    only_find=yes
    shift
fi
cache=$1
tarball=$2
say() { echo "guest: $*" >&2; }
die() { say "$*"; exit 1; }

[ -r "$tarball" ] || { [ -z "$only_find" ] || exit 1; die "cannot read $tarball"; }
# The tarball's size and date stand for its content: reading 130 MB each time would cost more than booting.
kernel=$cache/linux-$({ stat -c '%n %s %Y' "$tarball"; grep -v '^ *#' "$0"; } | sha256sum | cut -c 1-12)
if [ -x "$kernel" ]; then
    echo "$kernel"
    exit 0
fi
[ -z "$only_find" ] || exit 1

mkdir -p "$cache"
exec 9>"$cache/lock"
if ! flock -n 9; then
    say 'another build is running, waiting for it'
    flock 9
fi
if [ -x "$kernel" ]; then
    echo "$kernel"
    exit 0
fi

began=$(date +%s)
build=$cache/building
rm -rf "$build"
mkdir "$build"
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
log=$build/log
step() {
    say "$1 ($(($(date +%s) - began)) s)"
    shift
    if ! nice -n 5 "$@" >>"$log" 2>&1 9>&-; then
        tail -n 30 "$log" >&2
        die "cannot build the kernel: $* failed"
    fi
}

yes='HOSTFS BLK_DEV_UBD EXT4_FS DEVTMPFS DEVTMPFS_MOUNT TMPFS TMPFS_XATTR TMPFS_POSIX_ACL OVERLAY_FS FUSE_FS SQUASHFS
BLK_DEV_LOOP SYSVIPC POSIX_MQUEUE NAMESPACES UTS_NS IPC_NS PID_NS NET_NS USER_NS
CGROUPS MEMCG BLK_CGROUP BLK_DEV_THROTTLING CGROUP_SCHED FAIR_GROUP_SCHED CFS_BANDWIDTH CGROUP_PIDS CGROUP_FREEZER
CGROUP_DEVICE CGROUP_CPUACCT CGROUP_BPF PSI BPF_SYSCALL SECCOMP SECCOMP_FILTER KEYS KCMP FANOTIFY IO_URING BINFMT_MISC
PACKET UNIX UNIX_DIAG INET INET_DIAG NETLINK_DIAG IP_ADVANCED_ROUTER IP_MULTIPLE_TABLES IPV6 BRIDGE VETH DUMMY TUN
MACVLAN VLAN_8021Q NETFILTER NETFILTER_ADVANCED BRIDGE_NETFILTER NF_CONNTRACK NF_CONNTRACK_PROCFS NF_CONNTRACK_EVENTS
NF_CT_NETLINK NF_NAT NF_TABLES NF_TABLES_INET NF_TABLES_NETDEV NF_TABLES_IPV4 NF_TABLES_IPV6 NF_TABLES_ARP
NF_TABLES_BRIDGE NFT_CT NFT_LOG NFT_LIMIT NFT_MASQ NFT_REDIR NFT_NAT NFT_NUMGEN NFT_QUOTA NFT_REJECT NFT_COMPAT NFT_HASH
NFT_FIB NFT_FIB_IPV4 NFT_FIB_IPV6 NFT_FIB_INET NFT_SOCKET NFT_TPROXY NETFILTER_XTABLES_LEGACY IP_NF_IPTABLES_LEGACY
IP_NF_IPTABLES IP_NF_FILTER IP_NF_NAT IP_NF_TARGET_MASQUERADE NETFILTER_XT_MATCH_COMMENT NETFILTER_XT_MATCH_CONNTRACK
NETFILTER_XT_MATCH_ADDRTYPE NETFILTER_XT_MATCH_MULTIPORT NETFILTER_XT_MATCH_STATISTIC
NET_SCHED NET_SCH_TBF NET_SCH_HTB NET_SCH_NETEM NET_SCH_FQ_CODEL CC_OPTIMIZE_FOR_PERFORMANCE DEBUG_INFO_NONE'

say "building a kernel once, into $kernel: ten to fifteen minutes"
step 'unpacking the source' tar -C "$build" -xJf "$tarball"
cd "$build"/linux-source-*
for option in $yes; do echo "CONFIG_$option=y"; done >"$build/fragment"
printf '# CONFIG_MODULES is not set\n# CONFIG_RT_GROUP_SCHED is not set\n' >>"$build/fragment"
step 'configuring' make ARCH=um x86_64_defconfig
step 'configuring' env ARCH=um scripts/kconfig/merge_config.sh -m .config "$build/fragment"
step 'configuring' make ARCH=um olddefconfig
step 'compiling' make ARCH=um "-j$(nproc)" linux
strip linux
mv linux "$kernel"
say "the kernel is ready ($(($(date +%s) - began)) s)"
echo "$kernel"
