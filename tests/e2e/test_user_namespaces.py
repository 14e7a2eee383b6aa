"""hostUsers: false, from the manifest to the node's view of the process (KEP-127).

State and image lie on an ext4 of the test's own: ids can be mapped there on every kernel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.linux import capabilities
from minikubelet.runtime.seccomp.filters import kernel_version
from tests.ext4 import ext4

from .busybox_image import IMAGE, save_busybox
from .conftest import Agent, make_agent, remove_network, simple_pod, until

MAX_USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with ext4(tmp_path_factory.mktemp("ext4")) as root:
        started = make_agent(root)
        started.start()
        save_busybox(root / "busybox.tar")
        started.run("image", "load", str(root / "busybox.tar"))
        yield started
        started.delete_everything()
        assert started.stop() == 0
        remove_network(started)


def mapped_pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """Without a token: it lies on a tmpfs, which kernels before 6.3 cannot show with other ids."""
    container = {"image": IMAGE, "imagePullPolicy": "Never", **spec.pop("container", {})}
    spec.setdefault("automountServiceAccountToken", False)
    return simple_pod(name, *command, container=container, hostUsers=False, **spec)


def process_of(agent: Agent, name: str) -> Path:
    """/proc/PID of the container `main`."""
    status = agent.pod(name)
    state = json.loads((agent.root / "run/pods" / status["metadata"]["uid"] / "0/state.json").read_text())
    (container,) = [one for one in state["containers"] if one["state"] == "running"]
    return Path("/proc") / str(container["pid"])


def first_id(agent: Agent, name: str) -> int:
    """Of the pod, as the kubelet's file in its directory has it."""
    file = agent.root / "lib/pods" / agent.pod(name)["metadata"]["uid"] / "userns"
    (mapping,) = json.loads(file.read_text())["uidMappings"]
    assert (mapping["containerId"], mapping["length"]) == (0, 65536)
    return int(mapping["hostId"])


def test_the_pod_lives_with_ids_of_its_own(agent: Agent) -> None:
    """One pod for it all: node side, volumes, probes, exec, logs, and a restart of the agent."""
    shared = agent.root / "shared"
    shared.mkdir(mode=0o700)
    agent.apply(
        mapped_pod(
            "mapped", "sh", "-c", "id -u; touch /shared/made /scratch/made; exec sleep 1000",
            volumes=[
                {"name": "shared", "hostPath": {"path": str(shared)}},
                {"name": "scratch", "emptyDir": {}},
            ],
            container={
                "volumeMounts": [
                    {"name": "shared", "mountPath": "/shared"},
                    {"name": "scratch", "mountPath": "/scratch"},
                ],
                "readinessProbe": {
                    "exec": {"command": ["test", "-O", "/etc/hosts", "-a", "-e", "/scratch/made"]},
                    "periodSeconds": 1,
                },
            },
        )
    )  # fmt: skip
    agent.run("wait", "pod/mapped", "--for=condition=Ready", "--timeout=60s")
    first = first_id(agent, "mapped")
    assert first >= 65536
    assert first % 65536 == 0
    process = process_of(agent, "mapped")
    assert f"\nUid:\t{first}\t{first}\t{first}\t{first}\n" in (process / "status").read_text()
    assert (process / "uid_map").read_text().split() == ["0", str(first), "65536"]
    volume = agent.root / "lib/pods" / agent.pod("mapped")["metadata"]["uid"] / "volumes"
    made = [shared / "made", volume / "kubernetes.io~empty-dir/scratch/made"]
    assert [(file.stat().st_uid, file.stat().st_gid) for file in made] == [(0, 0)] * 2
    until(lambda: agent.run("logs", "mapped") == "0\n", what="its log")

    assert agent.stop() == 0
    agent.start()
    assert agent.run("exec", "mapped", "--", "sh", "-c", "id -u; cat /proc/self/uid_map").split() == [
        "0", "0", str(first), "65536",
    ]  # fmt: skip
    assert process_of(agent, "mapped") == process


def test_two_pods_share_no_id_and_ids_are_given_back(agent: Agent) -> None:
    for name in ("one", "two"):
        agent.apply(mapped_pod(name, "sleep", "1000"))
        agent.wait_running(name)
    one, two = first_id(agent, "one"), first_id(agent, "two")
    assert one != two
    agent.run("delete", "pod", "one", "two")
    agent.apply(mapped_pod("three", "sleep", "1000"))
    agent.wait_running("three")
    assert first_id(agent, "three") == min(one, two)


@pytest.mark.limits  # this one of the kernel's; to set it needs CAP_SYS_RESOURCE
def test_without_user_namespaces_the_pod_waits_and_says_why(agent: Agent) -> None:
    """Rather than run with the node's ids. The refusal is `user_namespaces.make`."""
    before = MAX_USER_NAMESPACES.read_text()
    MAX_USER_NAMESPACES.write_text("0")
    try:
        agent.apply(mapped_pod("later", "sleep", "1000"))
        until(
            lambda: any("failed to create user namespace" in e["message"] for e in agent.events("later")),
            what="an event that says why",
        )
        assert agent.phase("later") == "Pending"
    finally:
        MAX_USER_NAMESPACES.write_text(before)
    agent.wait_running("later")


def test_ids_of_a_shared_pid_namespace_and_a_terminal(agent: Agent) -> None:
    agent.apply(
        mapped_pod(
            "together", "sh", "-c", "stat -c %u:%g $(tty); exec sleep 1000",
            shareProcessNamespace=True, securityContext={"runAsUser": 1000}, container={"tty": True},
        )
    )  # fmt: skip
    agent.wait_running("together")
    first = first_id(agent, "together")
    assert f"\nUid:\t{first + 1000}\t" in (process_of(agent, "together") / "status").read_text()
    until(lambda: agent.run("logs", "together").strip() == "1000:5", what="its terminal is its own")


UNMASKED = """
grep -c ' /proc/.* - ' /proc/self/mountinfo
head -c 0 /proc/keys && echo keys=in
echo 7 > /proc/sys/kernel/panic && echo panic=in
echo done
"""
MIGHTY = """
grep CapEff /proc/self/status
mount -t tmpfs none /t && echo mount=in
mkdir /sys/fs/cgroup/child && echo cgroup=in
echo core > /proc/sys/kernel/core_pattern && echo core=in
mknod /tmp/disk b 7 0 && echo mknod=in
head -c 1 /dev/loop0 && echo disk=in
echo done
"""


def test_unmasked_and_privileged_reach_nothing_of_the_node(agent: Agent) -> None:
    """What the two take away is the defence of pods with the node's ids; here it is that root is nobody."""
    every = capabilities.mask(capabilities.held())
    pod = mapped_pod(
        "bold", "sh", "-c", UNMASKED, restartPolicy="Never",
        container={"securityContext": {"procMount": "Unmasked"}},
    )  # fmt: skip
    mighty = {"name": "mighty", "command": ["sh", "-c", MIGHTY], "securityContext": {"privileged": True}}
    pod["spec"]["containers"].append(pod["spec"]["containers"][0] | mighty)
    agent.apply(pod)
    until(lambda: agent.phase("bold") == "Succeeded", what="both have ended")
    unmasked, mighty_said = (agent.run("logs", "bold", "-c", one).splitlines() for one in ("main", "mighty"))
    assert {"0", "keys=in", "done"} <= set(unmasked)
    assert "panic=in" not in unmasked
    assert {f"CapEff:\t{every:016x}", "done"} <= set(mighty_said)
    assert [line for line in mighty_said if line.endswith("=in")] == ["mount=in"], mighty_said


def test_a_secret_needs_a_kernel_that_maps_ids_of_a_tmpfs(agent: Agent) -> None:
    """Linux 6.3; before that the pod says why it does not run."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key"},
        "stringData": {"key": "found"},
    }
    agent.apply(secret)
    volumes = [{"name": "v", "secret": {"secretName": "key", "defaultMode": 0o400}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    agent.apply(
        mapped_pod(
            "keeper", "cat", "/v/key", restartPolicy="Never",
            volumes=volumes, container={"volumeMounts": mounts},
        )
    )  # fmt: skip
    until(lambda: agent.phase("keeper") in ("Succeeded", "Failed"), what="it has ended")
    if kernel_version(os.uname().release) >= (6, 3):
        assert agent.run("logs", "keeper") == "found"
    else:
        message = agent.container("keeper")["state"]["terminated"]["message"]
        assert message.endswith("(maybe the filesystem used doesn't support idmap mounts on this kernel?)")
        assert "kubernetes.io~secret/v: invalid argument" in message
