"""A node that only writes statuses: every pod runs as soon as it is there, and goes when it is deleted.

It stands behind the small API of these tests, so that whole sessions of kubectl need no kernel. A pod whose
command is `exit N` ends with N.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from minikubelet.errors import NotFound
from minikubelet.store import Store
from tests.unit.api.conftest import Api

Object = dict[str, Any]
STARTED = "2026-01-01T00:00:00Z"
NODE: Object = {
    "kind": "Node",
    "apiVersion": "v1",
    "metadata": {"name": "node", "labels": {"kubernetes.io/hostname": "node"}},
    "spec": {"podCIDR": "10.244.0.0/24"},
    "status": {
        "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"},
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                        "lastHeartbeatTime": STARTED, "lastTransitionTime": STARTED}],
        "nodeInfo": {"kubeletVersion": "v1.36.2", "osImage": "Linux", "kernelVersion": "6.1",
                     "containerRuntimeVersion": "minikubelet://0.1"},
    },
}  # fmt: skip


def start(api: Api) -> None:
    """Put it behind a running API; it ends with it."""
    assert api.post("/api/v1/nodes", NODE).code == 201
    api.inside(lambda: _tasks.add(asyncio.get_running_loop().create_task(_run(api.node.store))))


_tasks: set[asyncio.Task[None]] = set()


async def _run(store: Store) -> None:
    with contextlib.closing(store.watch("pods", None, 0)) as changes:
        async for kind, pod, _ in changes:
            metadata = pod["metadata"]
            place = metadata["namespace"], metadata["name"]
            if kind == "DELETED":
                continue
            with contextlib.suppress(NotFound):  # it went, or was forced
                if "deletionTimestamp" in metadata:
                    store.delete("pods", *place)
                elif not pod["spec"].get("nodeName"):
                    store.modify("pods", *place, _start)


def _start(pod: Object) -> None:
    """Bound, and every container begun or ended."""
    pod["spec"]["nodeName"] = NODE["metadata"]["name"]
    pod["status"] = _status(pod["spec"]["containers"])


def _status(containers: list[Object]) -> Object:
    codes = [
        int(words[1]) if (words := container.get("command", [""]))[0] == "exit" else None
        for container in containers
    ]
    ready = "False" if any(code is not None for code in codes) else "True"
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running" if None in codes else "Failed" if any(codes) else "Succeeded",
        "podIP": "10.244.0.7",
        "podIPs": [{"ip": "10.244.0.7"}],
        "hostIP": "192.0.2.1",
        "hostIPs": [{"ip": "192.0.2.1"}],
        "startTime": STARTED,
        "qosClass": "BestEffort",
        "conditions": [
            {"type": kind, "status": ready if "Ready" in (kind, kind[-5:]) and "To" not in kind else "True",
             "lastTransitionTime": STARTED}
            for kind in kinds
        ],
        "containerStatuses": [_container(*pair) for pair in zip(containers, codes, strict=True)],
    }  # fmt: skip


def _container(container: Object, code: int | None) -> Object:
    state: Object = {"running": {"startedAt": STARTED}}
    if code is not None:
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "containerID": _ID}
        state = {"terminated": {**ended, "startedAt": STARTED, "finishedAt": STARTED}}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": code is None,
        "started": code is None,
        "restartCount": 0,
        "containerID": _ID,
        "state": state,
    }


_ID = "minikubelet://" + "ab" * 32
