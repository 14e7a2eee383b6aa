"""Attacks on Secrets: A13, a volume turned against the node (CVE-2017-1002102); A29, secrets on a disk."""

from __future__ import annotations

import base64
import json
import os
import resource
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .conftest import Agent, simple_pod, until
from .test_api_volumes import config_map, inside, pod_with, secret

# What an attacker does who holds a volume of another pod, writable, at /v, and knows a directory of the node.
SWAP = """
cd /v
old=$(readlink ..data)
mkdir stolen && mv "$old" stolen/ && ln -s {node} "$old"
ln -sfn {node} ..data
ln -sfn {node}/file kept
ln -sfn {node} gone
ln -s {node} ..data_tmp
ln -s {node} ..2020_01_01_00_00_00.1
echo done
"""

# Where an agent leaves anything: its root, which is below /tmp here, and its places without --root.
PLACES = ("/tmp", "/run", "/dev/shm", "/var/lib/minikubelet", "/var/log/pods", "/etc/minikubelet")


def test_links_in_a_volume_lead_neither_an_update_nor_its_end_to_the_node(
    agent: Agent, tmp_path: Path
) -> None:
    """A13. The attacker has the volumes of another pod by hostPath; through their own mounts nobody could.

    Defence: `follow_symlinks=False` in `atomic_writer._is_directory` (a link is removed as a link). Without
    it no update succeeds, and only O_NOFOLLOW in `removal._DIRECTORY` still keeps the node's files.
    """
    node = tmp_path / "node"
    node.mkdir(0o755)
    (node / "file").write_text("the node's")
    before = (node / "file").stat()
    agent.apply(config_map("attacked", {"kept": "1", "gone": "1"}))
    agent.apply(secret("attacked", {"kept": "1", "gone": "1"}))
    sources = {
        "configmap": {"configMap": {"name": "attacked"}},
        "secret": {"secret": {"secretName": "attacked"}},
    }
    agent.apply(pod_with("victim", *({"name": name, **source} for name, source in sources.items())))
    uid = agent.wait_running("victim")["metadata"]["uid"]
    assert "Read-only file system" in inside(agent, "victim", "ln -sfn /etc /v/secret/..data")

    for plugin in sources:
        path = agent.root / f"lib/pods/{uid}/volumes/kubernetes.io~{plugin}/{plugin}"
        attacker = simple_pod(
            f"attacks-{plugin}",
            *("sh", "-c", SWAP.format(node=node)),
            volumes=[{"name": "v", "hostPath": {"path": str(path)}}],
            container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            restartPolicy="Never",
        )
        agent.apply(attacker)
        until(lambda name=f"attacks-{plugin}": agent.phase(name) == "Succeeded", what="the links are there")
        assert os.readlink(path / "..data") == str(node)

    agent.apply(config_map("attacked", {"kept": "2"}))
    agent.apply(secret("attacked", {"kept": "2", "gone": "2"}))
    for name in sources:
        until(
            lambda name=name: inside(agent, "victim", f"cat /v/{name}/kept") == "2", what=f"{name} is updated"
        )
    agent.run("delete", "pod", "victim", "--grace-period=1")
    assert not (agent.root / "lib/pods" / uid).exists()
    assert os.listdir(node) == ["file"]
    after = (node / "file").stat()
    assert (after.st_mode, after.st_uid, after.st_mtime) == (before.st_mode, before.st_uid, before.st_mtime)
    assert (node / "file").read_text() == "the node's"


def test_a_secret_is_found_on_no_disk_in_no_log_and_in_no_command_line(agent: Agent, tmp_path: Path) -> None:
    """A29. Canaries go in by every door, are changed, deleted and used in every way; then all that was
    written since is searched, the agent alive and killed.

    Defence: `store.SEALED`, `in_memory` of `volumes.PLUGINS`, PR_SET_DUMPABLE in `daemon.run`; each alone
    makes this fail when it is taken out.
    """
    marker = begin(tmp_path)
    canaries = [f"canary-{number}-{secrets.token_hex(8)}" for number in range(4)]
    first, second, third, literal = canaries
    agent.apply(secret("canary", {"token": first}))
    agent.apply(secret("canary", {"token": second}))
    # By stdin: what this test writes to a file or puts on a command line would be found, too.
    agent.run("create", "secret", "generic", "gone", "--from-file=token=/dev/stdin", stdin=third)
    agent.run("create", "secret", "generic", "env", "--from-env-file=/dev/stdin", stdin=f"WORD={literal}\n")
    agent.run("delete", "secret", "gone")
    pod = pod_with(
        "uses",
        {"name": "secret", "secret": {"secretName": "canary"}},
        {"name": "joined", "projected": {"sources": [{"secret": {"name": "env"}}]}},
    )
    main = pod["spec"]["containers"][0]
    main["env"] = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "canary", "key": "token"}}}]
    main["envFrom"] = [{"secretRef": {"name": "env"}}]
    main["readinessProbe"] = {"exec": {"command": ["sh", "-c", 'test -n "$TOKEN"']}}
    # One that is told of in every way, since it never starts.
    pod["spec"]["containers"].append(main | {"name": "broken", "command": ["/nowhere"]})
    agent.apply(pod)
    until(lambda: agent.container("uses", "main").get("ready"), what="the container runs")
    until(lambda: agent.container("uses", "broken").get("restartCount"), what="the other does not")
    assert inside(agent, "uses", "cat /v/secret/token /v/joined/WORD; echo $TOKEN$WORD") == (
        f"{second}{literal}{second}{literal}\n"
    )

    shown = [
        agent.run("describe", "pod", "uses"),
        agent.run("describe", "secret", "canary", "env"),
        agent.run("get", "pods,events,configmaps", "-A", "-o", "json"),
        agent.run("get", "secrets"),
        agent.log(),
    ]
    for text in shown:
        assert not [canary for canary in canaries if canary in text]
    assert_in_no_process_but_the_containers(canaries)
    assert found_on_disk(canaries, marker) == []
    crash(agent, tmp_path)
    assert found_on_disk(canaries, marker) == []
    agent.start()
    key = json.loads(agent.run("get", "secret", "canary", "-o", "json"))["data"]["token"]
    assert base64.b64decode(key).decode() == second


def crash(agent: Agent, directory: Path) -> None:
    """SIGQUIT where a core dump is wanted and would be found: a signal that leaves one unless told not to."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    usual = pattern.read_text()
    pattern.write_text(f"{directory}/core")
    try:
        assert agent.process is not None
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(agent.process.pid, resource.RLIMIT_CORE, unlimited)
        assert agent.stop(signal.SIGQUIT) == -signal.SIGQUIT
    finally:
        pattern.write_text(usual)


def assert_in_no_process_but_the_containers(canaries: list[str]) -> None:
    """Neither in a command line, nor in the environment of a process that is no container's."""
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command, environment, cgroup = (
                (directory / name).read_bytes() for name in ("cmdline", "environ", "cgroup")
            )
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            assert directory.name == "1", "root reads the environment of all but an init that is out of reach"
            continue
        for canary in canaries:
            assert canary.encode() not in command, directory
            assert canary.encode() not in environment or b"kubepods" in cgroup, directory


def begin(directory: Path) -> Path:
    """A file older than whatever is written from now on: stamps have the grain of the kernel's tick."""
    marker = directory / "marker"
    marker.touch()
    before = time.time() - 2
    os.utime(marker, (before, before))
    return marker


def found_on_disk(canaries: list[str], marker: Path) -> list[str]:
    """The files written since that hold a canary in some form."""
    forms = [form for canary in canaries for form in forms_of(canary.encode())]
    return [path for path in written_since(marker) if any(form in content(path) for form in forms)]


def forms_of(text: bytes) -> Iterator[bytes]:
    """As it is, and in base64 wherever it begins in a longer text."""
    yield text
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + text)
        yield encoded[4 if offset else 0 : -4]


def written_since(marker: Path) -> list[str]:
    """-xdev leaves out the volumes, which are file systems of their own."""
    command = ["find", *PLACES, "-xdev", "-type", "f", "-newer", str(marker), "-print0"]
    listed = subprocess.run(command, capture_output=True, check=False, timeout=300).stdout
    return sorted({os.fsdecode(path) for path in listed.split(b"\0") if path})


def content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    marker = begin(tmp_path)
    canary = f"canary-{secrets.token_hex(8)}"
    written: dict[str, Any] = {
        "plain": canary.encode(),
        "sealed": base64.b64encode(b"x" + canary.encode() + b"yz"),
    }
    for name, value in written.items():
        (tmp_path / name).write_bytes(value)
    assert {Path(path).name for path in found_on_disk([canary], marker)} >= {"plain", "sealed"}
