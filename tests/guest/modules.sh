#!/bin/sh
# Build what Debian's User-Mode Linux lacks: nftables NAT.
#
#   modules.sh CACHE          builds if need be, prints the directory to mount on the guest's /lib/modules
#   modules.sh --find CACHE   only prints it, and fails when it is not there yet
#
# The stock kernel has NF_TABLES_IPV4, _IPV6, _INET and NFT_NAT switched off. Only modules need to change, so
# the kernel itself stays Debian's and a handful of modules is rebuilt from the source of exactly that version
# (the module loader compares version and configuration). About a minute and a half; the result is kept in
# CACHE under a name made from the kernel's version, its configuration and this recipe, so that any change of
# these builds anew.
#
# Two at once are safe: the second waits on a lock. What is unfinished never has the final name.
set -eu

only_find=
if [ "$1" = --find ]; then
    only_find=yes
    shift
fi
cache=$1
recipe=$0
say() { echo "guest: $*" >&2; }
die() { say "$*"; exit 1; }

release=$(find /usr/lib/uml/modules -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
[ -n "$release" ] || die 'cannot find the modules of User-Mode Linux in /usr/lib/uml/modules: install user-mode-linux'
config=/usr/share/doc/user-mode-linux/config.gz
[ -r "$config" ] || die "cannot read $config (is dpkg told to leave out documentation?): it is the kernel's configuration"
source=/usr/src/linux-source-${release%.*}.tar.xz

# Comments may change freely.
key=$release-$({ cat "$config"; grep -v "^ *#" "$recipe"; } | sha256sum | cut -c 1-12)
done_dir=$cache/$key
if [ -d "$done_dir" ]; then
    echo "$done_dir"
    exit 0
fi
[ -z "$only_find" ] || exit 1
mkdir -p "$cache"

exec 9>"$cache/lock"
if ! flock -n 9; then
    say 'another build is running, waiting for it'
    flock 9
fi
if [ -d "$done_dir" ]; then
    echo "$done_dir"
    exit 0
fi
[ -r "$source" ] || die "cannot read $source: install linux-source-${release%.*}=$release-1"

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
        die "cannot build the kernel modules: $* failed"
    fi
}

say "building nftables modules for Linux $release once, into $done_dir"
# Whole: without Documentation/ or drivers/gpu/drm/amd Kconfig stops parsing.
step 'unpacking the source' tar -C "$build" -xJf "$source"
cd "$build"/linux-source-*
zcat "$config" >.config
step 'configuring' scripts/config -e NF_TABLES_INET -e NF_TABLES_IPV4 -e NF_TABLES_IPV6 -e NF_TABLES_NETDEV \
    -m NFT_NAT -m NFT_FIB_IPV4 -m NFT_FIB_IPV6 -m NFT_FIB_INET -d LOCALVERSION_AUTO
jobs=-j$(nproc)
step 'configuring' make ARCH=um olddefconfig
step 'preparing' make ARCH=um "$jobs" modules_prepare
built=$(cat include/config/kernel.release)
[ "$built" = "$release" ] || die "cannot use $source: it is Linux $built, the kernel is $release"

# Named one by one: all modules of the two directories would take three times as long. nf_nat is among them
# because nft_chain_nat needs nf_nat_inet_register_fn, which is compiled in only with NF_TABLES_INET. There is
# no Module.symvers, so symbols of the kernel are "undefined" to modpost; the loader resolves them.
step 'compiling net/netfilter' make ARCH=um "$jobs" KBUILD_MODPOST_WARN=1 M=net/netfilter \
    nf_nat.ko nf_tables.ko nft_chain_nat.ko nft_nat.ko nft_masq.ko nft_redir.ko nft_ct.ko nft_reject_inet.ko \
    nft_fib.ko nft_fib_inet.ko
step 'compiling net/ipv4/netfilter' make ARCH=um "$jobs" KBUILD_MODPOST_WARN=1 M=net/ipv4/netfilter \
    nft_reject_ipv4.ko nft_fib_ipv4.ko

tree=$build/tree
mkdir -p "$tree/lib/modules"
step 'putting the modules together' cp -r "/usr/lib/uml/modules/$release" "$tree/lib/modules/"
for ko in net/netfilter/*.ko net/ipv4/netfilter/*.ko; do
    strip --strip-debug "$ko"
    install -D -m 644 "$ko" "$tree/lib/modules/$release/kernel/$ko"
done
step 'indexing' depmod -b "$tree" "$release"
mv "$tree/lib/modules" "$done_dir"
say "kernel modules are ready ($(($(date +%s) - began)) s)"
echo "$done_dir"
