"""`debug`: an ephemeral container, with tools, beside those of a running pod, and a terminal in it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import containers, waiting, workload_pods
from minikubelet.cli.base import Session, command, complain
from minikubelet.cli.client import Client
from minikubelet.cli.commands.attach import FALLING_BACK, attach
from minikubelet.cli.commands.patch import TYPES
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import PODS
from minikubelet.cli.targets import Target

LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of generated names, as in Kubernetes


@dataclass(frozen=True)
class Options:
    image: str
    container: str
    target: str
    stdin: bool
    tty: bool
    attach: bool | None
    env: tuple[str, ...]
    image_pull_policy: str
    quiet: bool
    profile: str


@command(
    "debug",
    dash=True,
    examples="""
    # A shell beside the processes of container main
    minikubelet debug web -it --image=localhost/host --target=main -- sh
    # One command; its output is shown
    minikubelet debug web -i --image=localhost/host -- ip address
    """,
)
@click.argument("pod", metavar="POD")
@click.option("--image", default="", metavar="IMAGE", help="Of the new container.")
@click.option(
    "-c", "--container", default="", metavar="NAME", help="Of the new container; else one is made up."
)
@click.option("--target", default="", metavar="CONTAINER", help="See this container's processes.")
@click.option("-i", "--stdin", is_flag=True, help="Pass stdin to it.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("--attach", is_flag=True, default=None, help="Wait for it and attach; so does -i.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable of it.")
@click.option("--image-pull-policy", default="", metavar="POLICY", help="Always, IfNotPresent or Never.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what the container prints.")
@click.option("--profile", default="", metavar="NAME", help="Only general.", hidden=True)
def debug_command(session: Session, pod: str, **given: Any) -> int:
    """Debug a running pod with a container of its own."""
    options = Options(**given)
    if not options.image:
        raise UsageError("you must specify --image or --copy-to")
    if pod.startswith(("node/", "nodes/", "no/")):
        raise CliError("cannot debug a node: use its own shell; kubectl debug node/… works, too")
    if options.profile not in ("", "general"):
        raise UsageError(f"unknown profile: {options.profile}; only general is offered")
    client = session.client
    found, _ = workload_pods.find(client, session.namespace, pod)
    name = found["metadata"]["name"]
    container = _container(found, options, session.after_dash or [])
    if options.target and not options.quiet:
        complain(
            f'Targeting container "{options.target}". If you don\'t see processes from this container it may '
            "be because the container runtime doesn't support this feature."
        )
    if not options.container and not options.quiet:
        complain(f"Defaulting debug container name to {container['name']}.")
    patch = {"spec": {"ephemeralContainers": [container]}}
    path = PODS.path(session.namespace, name, "ephemeralcontainers")
    client.request("PATCH", path, {}, body=patch, content_type=TYPES["strategic"]).json()
    if options.stdin or options.attach:
        _join(session, Target(PODS, session.namespace, name), container["name"], options)
    return 0


def _container(pod: dict[str, Any], options: Options, words: list[str]) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": options.container or _unused_name(pod),
        "image": options.image,
        "terminationMessagePolicy": "File",
        "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}},  # profile general
    }
    if words:
        container["command"] = words
    if options.env:
        container["env"] = [
            dict(zip(("name", "value"), one.split("=", 1), strict=False)) for one in options.env
        ]
    if options.image_pull_policy:
        container["imagePullPolicy"] = options.image_pull_policy
    if options.target:
        container["targetContainerName"] = options.target
    if options.stdin:
        container["stdin"] = True
    if options.tty:
        container["tty"] = True
    return container


def _unused_name(pod: dict[str, Any]) -> str:
    import random

    taken = containers.all_names(pod)
    while (name := f"debugger-{''.join(random.choices(LETTERS, k=5))}") in taken:
        pass
    return name


def _join(session: Session, target: Target, container: str, options: Options) -> None:
    """Attach; what has ended before is told from its log."""
    pod = waiting.until(session.client, target, lambda item: item is None or _begun(item, container), None)
    if pod is None:
        raise CliError(f"pod {target.name} was deleted")
    state = containers.status_of(pod, container)["state"]
    if "terminated" in state:
        _print_log(session.client, target, container)
        return
    if "waiting" in state:
        raise CliError(f"container {container} not running: {state['waiting'].get('message', '')}")
    try:
        attach(session, pod, container=container, stdin=options.stdin, tty=options.tty, quiet=options.quiet)
    except CliError as error:  # as a rule because it has ended since that look
        complain(FALLING_BACK.format(target.name, error))
        _print_log(session.client, target, container)


def _begun(pod: dict[str, Any], container: str) -> bool:
    state = containers.status_of(pod, container).get("state") or {}
    failing = (state.get("waiting") or {}).get("reason", "ContainerCreating") != "ContainerCreating"
    return "running" in state or "terminated" in state or failing


def _print_log(client: Client, target: Target, container: str) -> None:
    path = PODS.path(target.namespace, target.name, "log")
    with client.request("GET", path, {"container": container}, accept="*/*") as log:
        for data in log.chunks():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
