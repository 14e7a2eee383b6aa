"""Resource bombs in containers without privileges (A47): the node and its agent go on answering.

Nothing is timed here but by a bound that only a node that hangs would miss.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.linux import cgroup

from .conftest import Agent, make_agent, remove_network, simple_pod, until

pytestmark = pytest.mark.limits

PIDS = 128
FILES = 20_000
PATIENCE = 10  # seconds that one command may take

# Unlike a shell's, it does not die of a fork that fails: each of its processes tries for ever.
FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except BlockingIOError:
        continue
"""

OTHER_BOMBS = f"""
import ctypes, errno, os, resource
libc = ctypes.CDLL(None, use_errno=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
opened = []
try:
    while True:
        opened.append(os.dup(0))
except OSError as error:
    print("descriptors", errno.errorcode[error.errno], flush=True)
for fd in opened:
    os.close(fd)
made = sum(libc.unshare(0x40000000) == 0 for _ in range(1000))
print("network namespaces", made, errno.errorcode[ctypes.get_errno()], flush=True)
for number in range({FILES}):
    os.close(os.open(f"/v/{{number}}", os.O_CREAT | os.O_WRONLY))
print("files", len(os.listdir("/v")), flush=True)
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    made = make_agent(tmp_path_factory.mktemp("mk"))
    configuration = made.root / "kubelet.yaml"
    configuration.write_text(
        f"apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\npodPidsLimit: {PIDS}\n"
    )
    made.start("--config", str(configuration))
    yield made
    made.delete_everything()
    assert made.stop() == 0
    remove_network(made)


def answers(agent: Agent) -> bool:
    """The agent is asked, and starts a process in a pod that has nothing to do with it."""
    assert agent.call("get", "pods", limit=PATIENCE).returncode == 0
    assert agent.call("exec", "bystander", "--", "true", limit=PATIENCE).returncode == 0
    return True


def pod_cgroup(agent: Agent, name: str) -> Path:
    return Path(cgroup.find_mount()) / f"kubepods/besteffort/pod{agent.pod(name)['metadata']['uid']}"


def test_bombs_hurt_nobody_else(agent: Agent) -> None:
    """The defences: pids.max of the pod's cgroup (`resources.pod_cgroup`), the hard limit of descriptors,
    and for namespaces the capabilities and the seccomp filter a container is left with (`process.become`).
    """
    agent.apply(simple_pod("bystander", "sleep", "infinity"))
    agent.wait_running("bystander")

    agent.apply(simple_pod("forks", "python3", "-c", FORK_BOMB))
    agent.wait_running("forks")
    directory = pod_cgroup(agent, "forks")
    current = directory / "pids.current"
    until(lambda: int(current.read_text()) == PIDS, what="the bomb meets its limit")
    assert answers(agent)
    # (For a moment the kernel counts a fork that it is about to refuse.)
    until(lambda: int(current.read_text()) == PIDS, what="the bomb is still at its limit")
    agent.run("delete", "pod", "forks")
    assert not directory.exists()

    volumes = {"volumes": [{"name": "v", "emptyDir": {}}]}
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    agent.apply(
        simple_pod("others", "python3", "-c", OTHER_BOMBS, restartPolicy="Never", container=mounts, **volumes)
    )
    until(lambda: answers(agent) and agent.phase("others") == "Succeeded", 120, "the other bombs went off")
    assert agent.run("logs", "others").splitlines() == [
        "descriptors EMFILE",
        "network namespaces 0 EPERM",
        f"files {FILES}",
    ]
    agent.run("delete", "pod", "others", limit=120)
    assert json.loads(agent.run("get", "pods", "-o", "json"))["items"][0]["metadata"]["name"] == "bystander"
