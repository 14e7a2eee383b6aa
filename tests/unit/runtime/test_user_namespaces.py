"""Which ids a pod gets: as the kubelet gives them out, kept in the kubelet's file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minikubelet.config import Paths
from minikubelet.errors import CreatePodSandboxError
from minikubelet.runtime.user_namespaces import IdRange, UserNamespaces
from minikubelet.v1 import ObjectMeta, Pod, PodSpec


def pod(uid: str, host_users: bool | None = False) -> Pod:
    return Pod(metadata=ObjectMeta(name=uid, uid=uid), spec=PodSpec(host_users=host_users))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.under(tmp_path)


@pytest.mark.parametrize("host_users", [None, True])
def test_other_pods_have_the_ids_of_the_node(paths: Paths, host_users: bool | None) -> None:
    assert UserNamespaces(paths).of(pod("a", host_users)) == IdRange(0)
    assert not paths.lib.exists()


def test_ranges_begin_above_the_ids_of_the_node_and_do_not_overlap(paths: Paths) -> None:
    ids = UserNamespaces(paths)
    assert [ids.of(pod(uid)).first for uid in "abc"] == [65536, 131072, 196608]


def test_a_pod_keeps_its_range_over_restarts_of_the_agent(paths: Paths) -> None:
    first = UserNamespaces(paths).of(pod("a"))
    assert UserNamespaces(paths).of(pod("b")) != first
    assert UserNamespaces(paths).of(pod("a")) == first
    mappings = [{"hostId": 65536, "containerId": 0, "length": 65536}]
    written = json.loads((paths.pod("a") / "userns").read_text())
    assert written == {"uidMappings": mappings, "gidMappings": mappings}


def test_a_range_is_free_again_when_the_directory_of_its_pod_is_gone(paths: Paths) -> None:
    ids = UserNamespaces(paths)
    first = ids.of(pod("a"))
    ids.of(pod("b"))
    (paths.pod("a") / "userns").unlink()
    assert ids.of(pod("c")) == first


def test_ranges_of_another_length_are_respected(paths: Paths) -> None:
    """idsPerPod was changed while pods ran."""
    UserNamespaces(paths).of(pod("small"))
    assert UserNamespaces(paths, 131072).of(pod("large")) == IdRange(196608, 131072)


def test_no_range_is_left(paths: Paths) -> None:
    ids = UserNamespaces(paths, max_pods=1)
    ids.of(pod("a"))
    with pytest.raises(CreatePodSandboxError, match="could not find an empty slot to allocate a user namesp"):
        ids.of(pod("b"))


def test_a_damaged_file_is_no_free_range(paths: Paths) -> None:
    UserNamespaces(paths).of(pod("a"))
    (paths.pod("a") / "userns").write_text("{")
    with pytest.raises(CreatePodSandboxError, match="cannot read the ids of a pod"):
        UserNamespaces(paths).of(pod("b"))
