"""Network interfaces seen from inside a network namespace: up, address, default route.

The shim is inside its pod's namespace already, so the old ioctls (netdevice(7)) do the work of five netlink
messages and need no library. IPv4 only, as the pod network is.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

SIOCADDRT = 0x890B
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
SIOCSIFMTU = 0x8922

_IFF_UP = 0x1
_RTF_UP, _RTF_GATEWAY = 0x1, 0x2


def set_up(name: str) -> None:
    """Bring a link up; `lo` gets 127.0.0.1 and ::1 from the kernel by that."""
    with _control() as control:
        request = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16s16x", name.encode()))
        flags = struct.unpack_from("16xh", request)[0]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), flags | _IFF_UP))


def configure(name: str, address: str, prefix: int, mtu: int) -> None:
    """Address, netmask, MTU; then up."""
    netmask = socket.inet_ntoa(struct.pack("!I", (0xFFFF_FFFF << (32 - prefix)) & 0xFFFF_FFFF))
    with _control() as control:
        fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si12x", name.encode(), mtu))
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16s16s", name.encode(), _socket_address(address)))
        fcntl.ioctl(control, SIOCSIFNETMASK, struct.pack("16s16s", name.encode(), _socket_address(netmask)))
    set_up(name)


def add_default_route(gateway: str) -> None:
    """Everything else goes there; the same route may exist."""
    nowhere = _socket_address("0.0.0.0")
    # struct rtentry of <linux/route.h> on 64-bit machines: pad, dst, gateway, genmask, flags, and no more
    # that matters
    route = struct.pack("8x16s16s16sH62x", nowhere, _socket_address(gateway), nowhere, _RTF_UP | _RTF_GATEWAY)
    with _control() as control:
        try:
            fcntl.ioctl(control, SIOCADDRT, route)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise


def _control() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _socket_address(address: str) -> bytes:
    """`struct sockaddr_in`."""
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
