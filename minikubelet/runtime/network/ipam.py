"""Which pod holds which address of the pod network.

One symbolic link per address, named like the address and pointing at the uid of its pod: `10.244.0.5 ->
3f2c…`. Making a symbolic link is one system call that creates name and content together and fails when the
name exists, so an address can neither be handed out twice nor be reserved for nobody by a crash in between.
The directory lives on tmpfs: it survives the agent, as the pods do, and is gone after a reboot, as the pods
are.

Addresses are handed out round robin, so that one just given back rests as long as possible: peers and
connection tracking may still remember its former owner.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path


class AddressPoolEmpty(Exception):
    """Every address of the pod network is held by a pod."""


class AddressPool:
    """The addresses of one pod network, less its own, the bridge's (the first) and the broadcast address."""

    def __init__(self, network: IPv4Network, directory: Path) -> None:
        self.network = network
        self.gateway = network.network_address + 1
        self._directory = directory
        self._held: dict[str, IPv4Address] = {}
        self._taken: set[IPv4Address] = set()
        self._last = self.gateway

    def load(self) -> None:
        """Read what an earlier agent left; call once before anything else."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for entry in sorted(self._directory.iterdir(), key=lambda entry: entry.lstat().st_mtime_ns):
            address = IPv4Address(entry.name)
            self._hold(os.readlink(entry), address)
            if address in self.network:  # another --pod-cidr may have been in force
                self._last = address

    def allocate(self, uid: str) -> IPv4Address:
        """The address of the pod; a new one unless it holds one already."""
        if uid in self._held:
            return self._held[uid]
        for address in self._round():
            if address not in self._taken and self._reserve(address, uid):
                self._hold(uid, address)
                self._last = address
                return address
        first, last = self.gateway + 1, self.network.broadcast_address - 1
        raise AddressPoolEmpty(f"no IP addresses available in range set: {first}-{last}")

    def adopt(self, uid: str, address: IPv4Address) -> None:
        """Make sure that a running pod holds the address it was seen with."""
        if self._held.get(uid) == address:
            return
        if address not in self.network or not self._reserve(address, uid):
            raise ValueError(
                f"cannot adopt address {address} for pod {uid}: it is not free in {self.network}"
            )
        self._hold(uid, address)

    def release(self, uid: str) -> None:
        """Give the pod's address back; nothing happens when it holds none."""
        address = self._held.pop(uid, None)
        if address is not None:
            (self._directory / str(address)).unlink(missing_ok=True)
            self._taken.discard(address)

    def holders(self) -> set[str]:
        """The uids of all pods that hold an address."""
        return set(self._held)

    def address_of(self, uid: str) -> IPv4Address | None:
        return self._held.get(uid)

    def _round(self) -> Iterator[IPv4Address]:
        """Every address a pod may have, beginning behind the last one handed out."""
        first, last = int(self.gateway) + 1, int(self.network.broadcast_address) - 1
        start = int(self._last) + 1
        for number in (*range(max(start, first), last + 1), *range(first, min(start, last + 1))):
            yield IPv4Address(number)

    def _reserve(self, address: IPv4Address, uid: str) -> bool:
        try:
            os.symlink(uid, self._directory / str(address))
        except FileExistsError:
            return False
        return True

    def _hold(self, uid: str, address: IPv4Address) -> None:
        self._held[uid] = address
        self._taken.add(address)
