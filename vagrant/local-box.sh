#!/bin/sh
# Make a Debian 12 box for libvirt out of Debian packages, where no box can be downloaded.
#
#   local-box.sh                then: MK_BOX_DEBIAN=minikubelet/debian-local vagrant up debian --provider=libvirt
#
# Needs root and an apt mirror; two to five minutes. The box has no boot loader: it carries its kernel and initrd as files, and
# the Vagrantfile in it tells libvirt to boot these. Everything ./dev wants to install is in it already, so that the
# machine need not reach a mirror.
set -eu

name=minikubelet/debian-local
suite=bookworm
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
say() { echo "local-box: $*" >&2; }

[ "$(id -u)" -eq 0 ] || { say 'cannot make a box: you are not root'; exit 1; }
missing=
for package in vagrant vagrant-libvirt libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients dnsmasq-base \
    qemu-system-x86 qemu-utils mmdebstrap rsync; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
if [ -n "$missing" ]; then
    say "installing with apt:$missing"
    apt-get update -qq >&2
    # shellcheck disable=SC2086 # a list of names
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $missing >/dev/null
fi

work=$(mktemp -d "${TMPDIR:-/var/tmp}/minikubelet-box.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

base=openssh-server,sudo,systemd-sysv,udev,dbus,ifupdown,isc-dhcp-client,ca-certificates,rsync,linux-image-cloud-amd64
tools=iproute2,nftables,busybox-static,e2fsprogs,procps,util-linux,kmod,curl,python3,python3-venv,git
say "1/4 installing Debian $suite (two to three minutes)"
mmdebstrap --quiet --variant=minbase --include="$base,$tools" "$suite" "$work/root.tar"
mkdir "$work/root" "$work/box"
tar -C "$work/root" -xf "$work/root.tar"
rm "$work/root.tar"

say '2/4 preparing it for Vagrant'
key=$(find /usr/share /opt/vagrant -path '*keys/vagrant.pub' -print -quit 2>/dev/null || true)
[ -n "$key" ] || { say "cannot find vagrant.pub, Vagrant's well-known public key"; exit 1; }
chroot "$work/root" useradd --create-home --shell /bin/bash vagrant
install -d -m 700 "$work/root/home/vagrant/.ssh"
install -m 600 "$key" "$work/root/home/vagrant/.ssh/authorized_keys"
chroot "$work/root" chown -R vagrant:vagrant /home/vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$work/root/etc/sudoers.d/vagrant"
chmod 440 "$work/root/etc/sudoers.d/vagrant"
echo '/dev/vda / ext4 errors=remount-ro 0 1' >"$work/root/etc/fstab"
printf 'auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n' >"$work/root/etc/network/interfaces"
echo 'UseDNS no' >"$work/root/etc/ssh/sshd_config.d/vagrant.conf"
echo debian >"$work/root/etc/hostname"

say '3/4 making the disk'
cp "$work"/root/boot/vmlinuz-* "$work/box/vmlinuz"
cp "$work"/root/boot/initrd.img-* "$work/box/initrd.img"
chmod 644 "$work/box/vmlinuz" "$work/box/initrd.img"
truncate -s 6G "$work/box.raw"
mkfs.ext4 -q -d "$work/root" "$work/box.raw"
qemu-img convert -O qcow2 "$work/box.raw" "$work/box/box.img"
echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 6}' >"$work/box/metadata.json"
cat >"$work/box/Vagrantfile" <<'RUBY'
Vagrant.configure("2") do |config|
  config.ssh.insert_key = false
  config.vm.provider "libvirt" do |libvirt|
    libvirt.kernel = File.join(__dir__, "vmlinuz")
    libvirt.initrd = File.join(__dir__, "initrd.img")
    libvirt.cmd_line = "root=/dev/vda rw console=ttyS0 net.ifnames=0"
  end
end
RUBY

say '4/4 adding the box'
tar -C "$work/box" -czf "$work/debian-local.box" .
vagrant box add --force --name "$name" "$work/debian-local.box" >&2
say "ready: cd $here && MK_BOX_DEBIAN=$name vagrant up debian --provider=libvirt"
