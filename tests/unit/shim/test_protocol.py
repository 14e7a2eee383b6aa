"""Records survive the wire, and a newer peer's extra fields do no harm."""

from __future__ import annotations

import json

from minikubelet.shim import protocol
from minikubelet.shim.protocol import (
    ContainerRecord,
    ContainerSpec,
    MountSpec,
    NetworkSpec,
    ProcessSpec,
    RootfsSpec,
    SandboxRecord,
    SandboxSpec,
)

SANDBOX = SandboxSpec("uid", "name", "namespace", 1, "0" * 64, "/run/x", "host", sysctls={"net.a": "1"})


def over_the_wire(record: object) -> dict[str, object]:
    return json.loads(protocol.encode(protocol.plain(record)))  # type: ignore[no-any-return]


def test_a_container_specification_survives_the_wire() -> None:
    spec = ContainerSpec(
        "id", "name", 2, "/cg", RootfsSpec(["/a", "/b"], "/u", "/w", "/m", True),
        ProcessSpec(["x"], ["A=1"], uid=5),
        [MountSpec("bind", "/d", "/s", ["ro"])], ["/m"], ["/r"], "/log", labels={"k": "v"},
    )  # fmt: skip
    assert protocol.load(ContainerSpec, over_the_wire(spec)) == spec


def test_the_state_survives_the_wire_with_and_without_a_network() -> None:
    for network in (None, NetworkSpec("10.0.0.2", 24, "10.0.0.1")):
        record = SandboxRecord(
            1, SANDBOX, 7, "boot", 1.5, network, [ContainerRecord("id", "name", 0, "running")]
        )
        assert protocol.load(SandboxRecord, over_the_wire(record)) == record


def test_unknown_keys_of_a_newer_peer_are_left_out() -> None:
    data = over_the_wire(SANDBOX) | {"new_in_version_9": True}
    assert protocol.load(SandboxSpec, data) == SANDBOX


def test_a_frame_is_channel_length_and_payload() -> None:
    assert protocol.frame(protocol.STDERR, b"abc") == b"\x02\x00\x00\x00\x03abc"
