"""One pod sandbox as the agent knows it: the shim's record, and the line to the shim while it lives.

The record is the truth about containers; it is the shim's, written to state.json before it is told. Here is a
copy, kept current by the shim's answers and events. When the shim is gone, what the file says last is all
there will ever be: what it calls running was killed with the pod's cgroup, so it is reported as the
runtime's loss (exit code 255, reason Unknown, as containerd does).
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from minikubelet.errors import ShimError
from minikubelet.runtime.cri import ContainerStatus, ContainerUser, SandboxStatus
from minikubelet.runtime.shim_client import ShimClient
from minikubelet.runtime.termination import termination_message
from minikubelet.shim.protocol import STATE, ContainerRecord, ProcessSpec, SandboxRecord, load, plain
from minikubelet.v1 import ResourceRequirements, from_dict, to_dict

# The labels of a container: what the agent must know again after a restart; the shim only carries them.
IMAGE, IMAGE_ID, HASH = "image", "imageID", "hash"
TERMINATION_FILE, TERMINATION_POLICY = "terminationMessageFile", "terminationMessagePolicy"
STOP_SIGNAL = "stopSignal"
USER = "user"  # uid:gid:group,group
RESOURCES = "resources"  # cpu and memory as applied, as JSON
CGROUP = "cgroup"  # of a sandbox

LOST_EXIT_CODE = 255
START_ERROR_PREFIX = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: "
)
EXEC_ERROR_PREFIX = (
    "failed to exec in container: failed to start exec: "
    "OCI runtime exec failed: exec failed: unable to start container process: "
)


@dataclass(slots=True)
class Sandbox:
    """`client` is None when the shim is gone; `watch` waits for that."""

    record: SandboxRecord
    directory: Path
    client: ShimClient | None = None
    watch: asyncio.Task[None] | None = None
    messages: dict[str, str] = field(default_factory=dict)  # container id → termination message, read once

    @property
    def uid(self) -> str:
        return self.record.spec.uid

    @property
    def cgroup(self) -> str:
        """The pod's, below the cgroup2 mount."""
        return self.record.spec.labels[CGROUP]

    def let_go(self) -> ShimClient | None:
        """The line to the shim, which from now on may break without anybody minding."""
        if self.watch is not None:
            self.watch.cancel()
        client, self.client = self.client, None
        return client

    def status(self) -> SandboxStatus:
        network = self.record.network
        return SandboxStatus(
            id=self.record.spec.sandbox_id,
            attempt=self.record.spec.attempt,
            ready=self.client is not None,
            created_at=self.record.created_at,
            ip=network.address if network and self.client else "",
            host_network=self.record.spec.host_network,
        )

    def container_statuses(self) -> list[ContainerStatus]:
        return [self._container_status(record) for record in self.record.containers]

    def container(self, container_id: str) -> ContainerRecord | None:
        return next((c for c in self.record.containers if c.id == container_id), None)

    def remember(self, record: ContainerRecord) -> None:
        """Put the newest record of a container in place of the old.

        A container that ends at once: the event of its death may be read before the one who asked for its
        start gets to see the answer, "running". What is stopped stays so.
        """
        known = self.container(record.id)
        if known is not None and known.state == "stopped" and record.state != "stopped":
            return
        others = [c for c in self.record.containers if c.id != record.id]
        self.record.containers = [*others, record]

    def forget(self, container_id: str) -> None:
        self.record.containers = [c for c in self.record.containers if c.id != container_id]
        self.messages.pop(container_id, None)

    def lose_shim(self) -> None:
        """The shim is gone, the pod's cgroup was killed: take what was written last, nothing runs any
        more. When that was found is written down, so that the next agent does not find it again.
        """
        self.client = None
        now = time.time()
        self.record = read_record(self.directory) or self.record
        for container in self.record.containers:
            if container.state != "stopped":
                container.state = "stopped"
                container.exit_code = LOST_EXIT_CODE
                container.finished_at = now
                container.labels["lost"] = "true"
        if self.directory.exists():
            self.write()

    def write(self) -> None:
        """Keep the record of a sandbox without a shim: nobody else writes it any more."""
        temporary = self.directory / f"{STATE}.new"
        temporary.write_text(json.dumps(plain(self.record)))
        temporary.replace(self.directory / STATE)

    def _container_status(self, record: ContainerRecord) -> ContainerStatus:
        labels = record.labels
        status = ContainerStatus(
            id=record.id,
            name=record.name,
            attempt=record.attempt,
            state={"stopped": "exited"}.get(record.state, record.state),
            image=labels.get(IMAGE, ""),
            image_id=labels.get(IMAGE_ID, ""),
            created_at=record.created_at,
            started_at=record.started_at,
            log_path=record.log_path,
            hash=labels.get(HASH, ""),
            sandbox_id=self.record.spec.sandbox_id,
            user=_user(labels.get(USER, "")),
            resources=applied_resources(labels.get(RESOURCES, "")),
        )
        if record.state != "stopped":
            return status
        return replace(
            status,
            finished_at=record.finished_at,
            exit_code=record.exit_code,
            reason=exit_reason(record),
            message=self._message(record),
        )

    def _message(self, record: ContainerRecord) -> str:
        if record.id not in self.messages:
            self.messages[record.id] = termination_message(
                record.labels.get(TERMINATION_FILE, ""),
                record.labels.get(TERMINATION_POLICY, "File"),
                exit_code=record.exit_code,
                log_path=record.log_path,
                runtime_message=start_error(record),
            )
        return self.messages[record.id]


def user_label(process: ProcessSpec) -> str:
    groups = ",".join(str(group) for group in process.groups or ())
    return f"{process.uid or 0}:{process.gid or 0}:{groups}"


def _user(label: str) -> ContainerUser | None:
    """None of a container that an agent without this label started."""
    if not label:
        return None
    uid, gid, groups = label.split(":")
    return ContainerUser(int(uid), int(gid), tuple(int(group) for group in groups.split(",") if group))


def resources_label(resources: ResourceRequirements) -> str:
    return json.dumps(to_dict(resources))


@lru_cache(maxsize=1024)
def applied_resources(label: str) -> ResourceRequirements | None:
    """None of a container that an agent without this label started."""
    return from_dict(ResourceRequirements, json.loads(label)) if label else None


def exit_reason(record: ContainerRecord) -> str:
    """kubelet-behaviour 1.10."""
    if record.error:
        return "StartError"
    if record.labels.get("lost"):
        return "Unknown"
    if record.oom_killed:
        return "OOMKilled"
    return "Error" if record.exit_code else "Completed"


def start_error(record: ContainerRecord) -> str:
    """Why it never ran, in containerd's words; empty when it did."""
    return START_ERROR_PREFIX + record.error if record.error else ""


def exec_error(error: ShimError) -> str:
    """Why a command could not be started in a container, in containerd's words."""
    return f"{EXEC_ERROR_PREFIX}{error}"


def exec_sync_error(error: ShimError) -> str:
    """The same as a probe hears it, over the CRI (3.6)."""
    return f"rpc error: code = Unknown desc = {exec_error(error)}"


def read_record(directory: Path) -> SandboxRecord | None:
    """state.json, or None when the shim died before it wrote one."""
    try:
        return load(SandboxRecord, json.loads((directory / STATE).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
