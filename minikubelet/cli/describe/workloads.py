"""`describe` of Deployments, ReplicaSets and Jobs, in kubectl's layout."""

from __future__ import annotations

from typing import Any

from minikubelet.cli import ages
from minikubelet.cli.client import Client
from minikubelet.cli.describe.template import describe_template
from minikubelet.cli.describe.writer import Writer, events_of, stamp
from minikubelet.cli.history import history, new_of
from minikubelet.cli.resources import PODS
from minikubelet.cli.workload_pods import selector_text

Object = dict[str, Any]


def describe_workload(client: Client, item: Object, *, show_events: bool) -> str:
    """The whole description."""
    writer = Writer()
    describe = {"Deployment": _deployment, "ReplicaSet": _replica_set, "Job": _job}[item["kind"]]
    describe(writer, client, item)
    writer.events(events_of(client, item) if show_events else None)
    return writer.text()


def _deployment(writer: Writer, client: Client, item: Object) -> None:
    metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    writer.line(0, f"Name:\t{metadata['name']}")
    writer.line(0, f"Namespace:\t{metadata['namespace']}")
    writer.line(0, f"CreationTimestamp:\t{stamp(metadata.get('creationTimestamp'))}")
    writer.labels("Labels", metadata.get("labels"))
    writer.annotations(metadata.get("annotations"))
    writer.line(0, f"Selector:\t{selector_text(spec.get('selector'))}")
    counts = [f"{spec.get('replicas', 0)} desired"] + [
        f"{status.get(field, 0)} {word}"
        for field, word in (
            ("updatedReplicas", "updated"),
            ("replicas", "total"),
            ("availableReplicas", "available"),
            ("unavailableReplicas", "unavailable"),
        )
    ]
    writer.line(0, f"Replicas:\t{' | '.join(counts)}")
    strategy = spec.get("strategy") or {}
    writer.line(0, f"StrategyType:\t{strategy.get('type')}")
    writer.line(0, f"MinReadySeconds:\t{spec.get('minReadySeconds', 0)}")
    if rolling := strategy.get("rollingUpdate"):
        limits = f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
        writer.line(0, f"RollingUpdateStrategy:\t{limits}")
    describe_template(writer, spec["template"])
    _conditions(writer, status)
    sets = history(client, item)
    new = new_of(item, sets)
    writer.line(0, f"OldReplicaSets:\t{_listed([one for one in sets if one is not new])}")
    writer.line(0, f"NewReplicaSet:\t{_listed([] if new is None else [new])}")


def _listed(sets: list[Object]) -> str:
    return ", ".join(
        f"{one['metadata']['name']} ({(one.get('status') or {}).get('replicas', 0)}/"
        f"{one['spec'].get('replicas', 0)} replicas created)"
        for one in sets
    ) or "<none>"  # fmt: skip


def _conditions(writer: Writer, status: Object) -> None:
    if status.get("conditions"):
        writer.line(0, "Conditions:")
        writer.line(1, "Type\tStatus\tReason")
        writer.line(1, "----\t------\t------")
        for one in status["conditions"]:
            writer.line(1, f"{one['type']} \t{one['status']}\t{one.get('reason', '')}")


def _replica_set(writer: Writer, client: Client, item: Object) -> None:
    spec, status = item["spec"], item.get("status") or {}
    _head(writer, item)
    writer.line(0, f"Replicas:\t{status.get('replicas', 0)} current / {spec.get('replicas', 0)} desired")
    phases = [_phase(pod) for pod in _pods(client, item)]
    counts = [
        f"{phases.count(phase)} {word}"
        for phase, word in (
            ("Running", "Running"),
            ("Pending", "Waiting"),
            ("Succeeded", "Succeeded"),
            ("Failed", "Failed"),
        )
    ]
    writer.line(0, f"Pods Status:\t{' / '.join(counts)}")
    describe_template(writer, spec["template"])
    _conditions(writer, status)


def _job(writer: Writer, client: Client, item: Object) -> None:
    spec, status = item["spec"], item.get("status") or {}
    _head(writer, item)
    writer.line(0, f"Parallelism:\t{spec.get('parallelism', '<unset>')}")
    writer.line(0, f"Completions:\t{spec.get('completions', '<unset>')}")
    writer.line(0, f"Completion Mode:\t{spec.get('completionMode')}")
    writer.line(0, f"Suspend:\t{str(bool(spec.get('suspend'))).lower()}")
    writer.line(0, f"Backoff Limit:\t{spec.get('backoffLimit')}")
    if "ttlSecondsAfterFinished" in spec:
        writer.line(0, f"TTL Seconds After Finished:\t{spec['ttlSecondsAfterFinished']}")
    start, end = status.get("startTime"), status.get("completionTime")
    if start:
        writer.line(0, f"Start Time:\t{stamp(start)}")
    if end:
        writer.line(0, f"Completed At:\t{stamp(end)}")
    if start and end:
        lasted = ages.human((ages.parse(end) - ages.parse(start)).total_seconds())
        writer.line(0, f"Duration:\t{lasted}")
    if "activeDeadlineSeconds" in spec:
        writer.line(0, f"Active Deadline Seconds:\t{spec['activeDeadlineSeconds']}s")
    active = f"{status.get('active', 0)} Active ({status.get('ready', 0)} Ready)"
    ended = f"{status.get('succeeded', 0)} Succeeded / {status.get('failed', 0)} Failed"
    writer.line(0, f"Pods Statuses:\t{active} / {ended}")
    if spec.get("completionMode") == "Indexed":
        writer.line(0, f"Completed Indexes:\t{status.get('completedIndexes') or '<none>'}")
    describe_template(writer, spec["template"])


def _head(writer: Writer, item: Object) -> None:
    metadata = item["metadata"]
    writer.line(0, f"Name:\t{metadata['name']}")
    writer.line(0, f"Namespace:\t{metadata['namespace']}")
    writer.line(0, f"Selector:\t{selector_text(item['spec'].get('selector'))}")
    writer.labels("Labels", metadata.get("labels"))
    writer.annotations(metadata.get("annotations"))
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            writer.line(0, f"Controlled By:\t{owner['kind']}/{owner['name']}")


def _pods(client: Client, item: Object) -> list[Object]:
    """The pods it controls."""
    query = {"labelSelector": selector_text(item["spec"].get("selector"))}
    found = client.get(PODS.path(item["metadata"]["namespace"]), query)["items"]
    uid = item["metadata"]["uid"]
    return [
        pod
        for pod in found
        if any(
            ref.get("controller") and ref["uid"] == uid
            for ref in pod["metadata"].get("ownerReferences") or ()
        )
    ]


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase"))
