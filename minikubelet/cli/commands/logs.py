"""`logs`: what containers wrote, as the agent reads it from the CRI log files.

With `-f` and several containers one thread reads each stream, and a lock keeps lines whole.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import containers, targets
from minikubelet.cli.base import Session, command, complain, duration, selector_option
from minikubelet.cli.client import CHUNK
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.resources import PODS


@dataclass(frozen=True)
class Options:
    container: str
    follow: bool
    previous: bool
    timestamps: bool
    prefix: bool
    all_containers: bool
    ignore_errors: bool
    tail: int | None
    since: str
    since_time: str
    limit_bytes: int | None
    max_log_requests: int

    def query(self, container: str, from_selector: bool) -> dict[str, Any]:
        tail = self.tail if self.tail is not None else 10 if from_selector else -1
        return {
            "container": container,
            "follow": self.follow or None,
            "previous": self.previous or None,
            "timestamps": self.timestamps or None,
            "tailLines": tail if tail >= 0 else None,
            # kubectl rounds up to whole seconds
            "sinceSeconds": -int(-duration(self.since) // 1) if self.since else None,
            "sinceTime": self.since_time or None,
            "limitBytes": self.limit_bytes,
        }


@dataclass(frozen=True)
class Stream:
    """The log of one container."""

    path: str
    query: dict[str, Any]
    prefix: str


@command(
    "logs",
    examples="""
    # Of a pod with one container; of one container of a pod
    minikubelet logs web
    minikubelet logs web -c sidecar
    # Follow, from the last ten lines on
    minikubelet logs web -f --tail=10
    # Of the instance before the last restart
    minikubelet logs web -p
    # Of one of the pods of a Deployment or Job
    minikubelet logs deploy/web
    # Of every pod with a label, each line with its origin
    minikubelet logs -l app=web --all-containers --prefix
    """,
)
@click.argument("args", nargs=-1, metavar="POD | TYPE/NAME [CONTAINER]")
@click.option("-c", "--container", default="", metavar="NAME", help="Which container.")
@click.option("-f", "--follow", is_flag=True, help="Go on as more is written, until the container ends.")
@click.option("-p", "--previous", is_flag=True, help="Of the instance before this one.")
@click.option("--timestamps", is_flag=True, help="Put the time in front of each line.")
@click.option("--prefix", is_flag=True, help="Put [pod/NAME/CONTAINER] in front of each line.")
@click.option("--all-containers", is_flag=True, help="Of all containers of the pod.")
@click.option("--ignore-errors", is_flag=True, help="Show what can be read.")
@click.option("--tail", type=int, metavar="N", help="Only the last N lines; -1: all. With -l: 10.")
@click.option("--since", default="", metavar="DURATION", help="Only what is newer, e.g. 5s, 2m, 3h.")
@click.option("--since-time", default="", metavar="TIME", help="Only what is newer than an RFC 3339 time.")
@click.option("--limit-bytes", type=int, metavar="N", help="Stop after N bytes.")
@click.option("--max-log-requests", type=int, default=5, show_default=True, help="With -f: streams at once.")
@selector_option
def logs_command(session: Session, args: tuple[str, ...], selector: str, **given: Any) -> None:
    """Print what a container wrote to stdout and stderr."""
    options = _checked(args, selector, Options(**given))
    pods = _pods(session, args, selector)
    if not pods:
        complain(f"No resources found in {session.namespace} namespace.")
        return
    streams = [stream for pod in pods for stream in _streams(pod, options, bool(selector))]
    if options.follow and len(streams) > options.max_log_requests:
        raise CliError(
            f"you are attempting to follow {len(streams)} log streams, but maximum allowed concurrency is "
            f"{options.max_log_requests}, use --max-log-requests to increase the limit"
        )
    if options.follow and len(streams) > 1:
        _follow_all(session, streams, options)
    else:
        targets.each(streams, lambda stream: _print(session, stream, options, None))


def _checked(args: tuple[str, ...], selector: str, options: Options) -> Options:
    """kubectl's own checks, in its words."""
    if selector and args:
        raise UsageError("only a selector (-l) or a POD name is allowed")
    if not selector and not 1 <= len(args) <= 2:
        raise UsageError("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'")
    if len(args) == 2 and options.container:
        raise UsageError("only one of -c or an inline [CONTAINER] arg is allowed")
    if options.all_containers and (options.container or len(args) == 2):
        raise UsageError("--all-containers=true should not be specified with container name")
    if options.since and options.since_time:
        raise UsageError("at most one of `sinceTime` or `sinceSeconds` may be specified")
    if options.limit_bytes is not None and options.limit_bytes <= 0:
        raise UsageError("--limit-bytes must be greater than 0")
    if options.since and duration(options.since) <= 0:
        raise UsageError("--since must be greater than 0")
    if options.tail is not None and options.tail < -1:
        raise UsageError("--tail must be greater than or equal to -1")
    return Options(**{**vars(options), "container": args[1]}) if len(args) == 2 else options


def _pods(session: Session, args: tuple[str, ...], selector: str) -> list[dict[str, Any]]:
    if not selector:
        kind, slash, name = args[0].rpartition("/")
        if not slash or kind.lower() in ("pod", "pods", "po"):
            return [_pod(session, name)]
        return [_pod_of(session, args[0])]
    path = PODS.path(session.namespace)
    pages = targets.pages(session.client, path, {"labelSelector": selector})
    return [pod for page in pages for pod in page["items"]]


def _pod(session: Session, name: str) -> dict[str, Any]:
    try:
        pod: dict[str, Any] = session.client.get(PODS.path(session.namespace, name))
    except StatusError as error:
        if error.code != 404:
            raise
        missing = f'error from server (NotFound): {error} in namespace "{session.namespace}"'
        raise CliError(missing) from error
    return pod


def _pod_of(session: Session, arg: str) -> dict[str, Any]:
    """One of the pods of a workload; kubectl says which, if there were several."""
    from minikubelet.cli import workload_pods

    pod, others = workload_pods.first(session.client, session.namespace, arg)
    if others:
        complain(f"Found {others + 1} pods, using pod/{pod['metadata']['name']}")
    return pod


def _streams(pod: dict[str, Any], options: Options, from_selector: bool) -> list[Stream]:
    metadata = pod["metadata"]
    names = (
        containers.all_names(pod) if options.all_containers else [containers.choose(pod, options.container)]
    )
    path = PODS.path(metadata["namespace"], metadata["name"], "log")
    return [
        Stream(
            path,
            options.query(name, from_selector),
            f"[pod/{metadata['name']}/{name}] " if options.prefix else "",
        )
        for name in names
    ]


def _print(session: Session, stream: Stream, options: Options, lock: threading.Lock | None) -> None:
    """Copy one log to stdout: whole lines when they are prefixed or mixed with others, else bytes as they
    come.
    """
    prefix = stream.prefix.encode()
    try:
        with session.client.request("GET", stream.path, stream.query, accept="*/*") as response:
            if not prefix and lock is None:
                for data in response.chunks():
                    _write(data)
                return
            for line in response.lines():
                with lock or contextlib.nullcontext():
                    _write(prefix + line + b"\n")
    except CliError as error:
        if not options.ignore_errors:
            raise
        complain(str(error))


def _write(data: bytes) -> None:
    for at in range(0, len(data), CHUNK):
        sys.stdout.buffer.write(data[at : at + CHUNK])
    sys.stdout.buffer.flush()


def _follow_all(session: Session, streams: list[Stream], options: Options) -> None:
    """All streams at once; the first that fails ends them all, as with kubectl."""
    lock, errors, ended = threading.Lock(), [], threading.Semaphore(0)

    def follow(stream: Stream) -> None:
        try:
            _print(session, stream, options, lock)
        except (CliError, BrokenPipeError) as error:
            errors.append(error)
        finally:
            ended.release()

    for stream in streams:
        threading.Thread(target=follow, args=(stream,), daemon=True, name=f"logs {stream.path}").start()
    for _ in streams:
        ended.acquire()
        if errors:
            raise errors[0]
