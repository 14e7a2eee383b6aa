"""Attacks on the node through what pods may have as volumes or files; each test names its defence."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from .conftest import Agent, simple_pod, until

FILL = """
for file in /etc/hosts /etc/resolv.conf /etc/hostname /dev/termination-log; do
    dd if=/dev/zero bs=1024 count=600 >> $file 2>/dev/null || exit 1
done
sleep 1000
"""


def test_a28_nothing_of_the_agents_state_is_reachable_by_others(agent: Agent) -> None:
    """CVE-2024-25621. Defence: mode 0700 of `run`, `lib` and `etc` (`daemon.make_directories`)."""
    script = "cp /bin/sh /sh; chmod 4755 /sh /volume; cp /sh /volume/sh; chmod 4755 /volume/sh; sleep 1000"
    agent.apply(
        simple_pod(
            "setuid", "sh", "-c", script,
            container={"volumeMounts": [{"name": "v", "mountPath": "/volume"}]},
            volumes=[{"name": "v", "emptyDir": {}}],
        )
    )  # fmt: skip
    agent.wait_running("setuid")
    volume = "pods/*/volumes/kubernetes.io~empty-dir/v/sh"
    until(lambda: list((agent.root / "lib").glob(volume)), what="the setuid program")
    agent.root.chmod(0o755)
    found = subprocess.run(
        ["find", "run", "lib", "etc"], cwd=agent.root, user=1000, group=1000, extra_groups=[],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout.split() == ["run", "lib", "etc"]
    assert found.stderr.count("Permission denied") == 3
    agent.run("delete", "pod", "setuid")


def test_a40_what_a_container_writes_into_the_files_of_its_pod_counts_as_the_pods(agent: Agent) -> None:
    """CVE-2020-8557. Defence: `runtime.hostfiles.writable`, measured by `Service.disk_usage`. Only all of the
    files together are beyond the limit.
    """
    limits = {"limits": {"ephemeral-storage": "2Mi"}}
    agent.apply(simple_pod("filler", "sh", "-c", FILL, container={"resources": limits}))
    until(lambda: agent.phase("filler") == "Failed", limit=60, what="the eviction")
    status: dict[str, Any] = agent.pod("filler")["status"]
    assert status["reason"] == "Evicted"
    assert status["message"].startswith(
        "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi"
    )
    agent.run("delete", "pod", "filler")


def test_a41_a_repository_is_no_volume(agent: Agent) -> None:
    """CVE-2024-10220, CVE-2025-1767. Defence: gitRepo in `v1.support_table` (`STORAGE`)."""
    repository = {"repository": "https://example.com/hooks.git", "directory": ".git"}
    pod = simple_pod("cloner", "true", volumes=[{"name": "v", "gitRepo": repository}])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    done = agent.call("create", "-f", "-", stdin=json.dumps(pod))
    assert done.returncode != 0
    assert "spec.volumes[0].gitRepo: Forbidden: not supported by this node" in done.stderr
    assert agent.pod("cloner") == {}
