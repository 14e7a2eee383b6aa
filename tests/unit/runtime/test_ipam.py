"""Addresses: never twice, round robin, and as before after a restart."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from minikubelet.runtime.network.ipam import AddressPool, AddressPoolEmpty

NETWORK = IPv4Network("10.244.0.0/29")  # .1 is the bridge's, .2 to .6 are the pods'


def pool_in(directory: Path, network: IPv4Network = NETWORK) -> AddressPool:
    pool = AddressPool(network, directory)
    pool.load()
    return pool


def test_the_first_pod_gets_the_address_behind_the_bridge(tmp_path: Path) -> None:
    pool = pool_in(tmp_path)
    assert str(pool.gateway) == "10.244.0.1"
    assert str(pool.allocate("a")) == "10.244.0.2"


def test_a_pod_keeps_the_address_it_holds(tmp_path: Path) -> None:
    pool = pool_in(tmp_path)
    assert pool.allocate("a") == pool.allocate("a")


def test_a_freed_address_is_not_reused_at_once(tmp_path: Path) -> None:
    pool = pool_in(tmp_path)
    pool.allocate("a")
    pool.release("a")
    assert str(pool.allocate("b")) == "10.244.0.3"


def test_the_round_starts_again_at_the_beginning(tmp_path: Path) -> None:
    pool = pool_in(tmp_path)
    for uid in "abcde":
        pool.allocate(uid)
    pool.release("b")
    assert str(pool.allocate("f")) == "10.244.0.3"


def test_an_empty_pool_names_its_range(tmp_path: Path) -> None:
    pool = pool_in(tmp_path)
    for uid in "abcde":
        pool.allocate(uid)
    with pytest.raises(AddressPoolEmpty, match=r"in range set: 10\.244\.0\.2-10\.244\.0\.6"):
        pool.allocate("f")


def test_a_restarted_agent_knows_the_holders_and_goes_on_behind_the_last(tmp_path: Path) -> None:
    before = pool_in(tmp_path)
    before.allocate("a")
    before.allocate("b")
    after = pool_in(tmp_path)
    assert after.holders() == {"a", "b"}
    assert after.address_of("b") == IPv4Address("10.244.0.3")
    assert str(after.allocate("c")) == "10.244.0.4"


def test_two_agents_on_one_directory_never_hand_out_the_same_address(tmp_path: Path) -> None:
    one, other = pool_in(tmp_path), pool_in(tmp_path)
    assert one.allocate("a") != other.allocate("b")


def test_release_accepts_that_nothing_is_held(tmp_path: Path) -> None:
    pool = pool_in(tmp_path)
    pool.allocate("a")
    for _ in range(2):
        pool.release("a")
    assert pool.holders() == set()
    assert list(tmp_path.iterdir()) == []


def test_a_running_pod_is_adopted_with_the_address_it_was_seen_with(tmp_path: Path) -> None:
    pool = pool_in(tmp_path)
    pool.adopt("a", IPv4Address("10.244.0.2"))
    pool.adopt("a", IPv4Address("10.244.0.2"))
    assert str(pool.allocate("b")) == "10.244.0.3"


@pytest.mark.parametrize(
    "address", ["10.244.0.2", "10.245.0.2"], ids=["held by another pod", "not of this network"]
)
def test_an_address_that_is_not_free_is_not_adopted(tmp_path: Path, address: str) -> None:
    pool = pool_in(tmp_path)
    pool.allocate("a")
    with pytest.raises(ValueError, match="cannot adopt address"):
        pool.adopt("b", IPv4Address(address))


def test_addresses_of_a_former_pod_network_are_remembered_but_do_not_steer(tmp_path: Path) -> None:
    pool_in(tmp_path, IPv4Network("10.99.0.0/24")).allocate("old")
    pool = pool_in(tmp_path)
    assert str(pool.allocate("new")) == "10.244.0.2"
    pool.release("old")
    assert pool.holders() == {"new"}
