"""`drain`: let no new pods onto a node, and evict those that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import targets, waiting
from minikubelet.cli.base import Session, command, complain, duration, say, selector_option
from minikubelet.cli.client import Client, warn
from minikubelet.cli.commands.apply import DRY, dry_run_option
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.resources import NODES, PODS
from minikubelet.cli.targets import Target

MIRROR = "kubernetes.io/config.mirror"
UNMANAGED = "cannot delete cannot delete Pods that declare no controller (use --force to override)"
LOCAL = "cannot delete Pods with local storage (use --delete-emptydir-data to override)"


@dataclass(frozen=True)
class Options:
    force: bool
    delete_emptydir_data: bool
    ignore_daemonsets: bool
    grace_period: int
    timeout: str
    pod_selector: str
    disable_eviction: bool
    dry_run: str


@command(
    "drain",
    examples="""
    # Also pods that nobody will make again elsewhere
    minikubelet drain node1 --force
    # What an emptyDir holds may be lost
    minikubelet drain node1 --force --delete-emptydir-data --timeout=60s
    minikubelet uncordon node1
    """,
)
@click.argument("names", nargs=-1, metavar="NODE…")
@selector_option
@click.option("--force", is_flag=True, help="Also pods without a controller.")
@click.option("--delete-emptydir-data", is_flag=True, help="Also pods with an emptyDir.")
@click.option("--ignore-daemonsets", is_flag=True, help="There are none; for scripts that say it.")
@click.option("--grace-period", type=int, default=-1, metavar="SECONDS", help="Instead of the pods' own.")
@click.option("--timeout", default="0s", metavar="DURATION", help="How long to wait; 0: as long as it takes.")
@click.option("--pod-selector", default="", metavar="QUERY", help="Only these pods.")
@click.option("--disable-eviction", is_flag=True, help="Delete instead of evicting.")
@dry_run_option
def drain_command(session: Session, names: tuple[str, ...], selector: str, **given: Any) -> None:
    """Make a node empty."""
    options = Options(**given)
    if bool(names) == bool(selector):
        raise UsageError("USAGE: drain NODE [flags]")
    client = session.client
    nodes = targets.select(client, None, [NODES.name, *names], selector=selector, every=False)
    for node in nodes:
        _cordon(client, node, options)
    pending = [node["metadata"]["name"] for node in nodes]
    while pending:
        pods = _pods(client, pending[0], options)
        refused = _refused(pods, options)
        if refused:
            listed = "".join(f"\n {name}" for name in pending)
            unable = f'unable to drain node "{pending[0]}" due to error: {refused}, continuing command...'
            raise CliError(f"{unable}\nThere are pending nodes to be drained:{listed}\n{refused}")
        _empty(client, pods, options)
        say(f"node/{pending.pop(0)} drained{DRY.get(options.dry_run, '')}")


def _cordon(client: Client, node: dict[str, Any], options: Options) -> None:
    name = node["metadata"]["name"]
    if (node.get("spec") or {}).get("unschedulable"):
        say(f"node/{name} already cordoned{DRY.get(options.dry_run, '')}")
        return
    if options.dry_run != "client":
        query = {"fieldManager": "kubectl-drain", "dryRun": "All" if options.dry_run == "server" else None}
        client.patch(NODES.path(None, name), {"spec": {"unschedulable": True}}, query)
    say(f"node/{name} cordoned{DRY.get(options.dry_run, '')}")


def _pods(client: Client, node: str, options: Options) -> list[dict[str, Any]]:
    """Those to evict: static pods stay, they are the node's own."""
    query = {"fieldSelector": f"spec.nodeName={node}", "labelSelector": options.pod_selector or None}
    items = [item for page in targets.pages(client, PODS.path(None), query) for item in page["items"]]
    return [item for item in items if MIRROR not in (item["metadata"].get("annotations") or {})]


def _refused(pods: list[dict[str, Any]], options: Options) -> str:
    """kubectl's reasons, joined as it joins them; empty when all may go."""
    live = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    alone = [_place(pod) for pod in live if not _has_controller(pod)]
    local = [_place(pod) for pod in live if _has_local_data(pod)]
    reasons = []
    if local and not options.delete_emptydir_data:
        reasons.append(f"{LOCAL}: {', '.join(local)}")
    if alone and not options.force:
        reasons.append(f"{UNMANAGED}: {', '.join(alone)}")
    elif alone:
        warn(f"deleting Pods that declare no controller: {', '.join(alone)}")
    return f"[{', '.join(reasons)}]" if len(reasons) > 1 else "".join(reasons)


def _has_controller(pod: dict[str, Any]) -> bool:
    return any(owner.get("controller") for owner in pod["metadata"].get("ownerReferences") or ())


def _has_local_data(pod: dict[str, Any]) -> bool:
    return any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ())


def _place(pod: dict[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _empty(client: Client, pods: list[dict[str, Any]], options: Options) -> None:
    """Ask all to go, then wait for each."""
    verb, done = ("deleting", "deleted") if options.disable_eviction else ("evicting", "evicted")
    seconds = duration(options.timeout)
    end = waiting.deadline(seconds) if seconds else None
    grace = {"gracePeriodSeconds": options.grace_period} if options.grace_period >= 0 else {}

    def ask(pod: dict[str, Any]) -> None:
        target = targets.of_object(client, {"apiVersion": "v1", "kind": "Pod", **pod})
        complain_dry = DRY.get(options.dry_run, "")
        say(f"{verb} pod {_place(pod)}{complain_dry}")
        if options.dry_run != "none":
            return
        if options.disable_eviction:
            client.delete(target.path, grace or None)
        else:
            _evict(client, target, grace)

    def wait(pod: dict[str, Any]) -> None:
        target = targets.of_object(client, {"apiVersion": "v1", "kind": "Pod", **pod})
        waiting.gone(client, target, pod["metadata"]["uid"], end)
        say(f"{target} {done}")

    targets.each(pods, ask)
    if options.dry_run == "none":
        targets.each(pods, wait)


def _evict(client: Client, target: Target, grace: dict[str, Any]) -> None:
    metadata = {"name": target.name, "namespace": target.namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": grace}
    try:
        client.post(PODS.path(target.namespace, target.name, "eviction"), eviction)
    except StatusError as error:
        if error.code != 404:
            raise
        complain(f'pod "{target.name}" has gone already')
