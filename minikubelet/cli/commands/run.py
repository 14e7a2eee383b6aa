"""`run`: a pod from an image and a few flags; with `-i` or `-t` attached to this terminal.

Attached, it waits until the container runs, joins the terminal to it, and at the end takes the container's
exit code for its own; `--rm` deletes the pod in any case.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import Any

import click

from minikubelet.cli import containers, printers, waiting
from minikubelet.cli.base import Session, command, complain, duration, label_pairs, output_option, say
from minikubelet.cli.commands.apply import DRY
from minikubelet.cli.commands.attach import FALLING_BACK, attach
from minikubelet.cli.errors import CliError, Exit, StatusError, UsageError
from minikubelet.cli.resources import PODS, SERVICES
from minikubelet.cli.targets import Target

POLICIES = ("Always", "OnFailure", "Never")
Object = dict[str, Any]


@dataclass(frozen=True)
class Options:
    image: str
    port: int | None
    labels: str
    annotations: tuple[str, ...]
    env: tuple[str, ...]
    restart: str
    image_pull_policy: str
    stdin: bool
    tty: bool
    attach: bool
    rm: bool
    as_command: bool
    expose: bool
    privileged: bool
    dry_run: str
    output: str
    quiet: bool
    timeout: str

    @property
    def attached(self) -> bool:
        return self.attach or self.stdin or self.tty


@command(
    "run",
    dash=True,
    examples="""
    # A pod that runs a shell command on the node's own image
    minikubelet run web --image=localhost/host --command -- python3 -m http.server 80
    # With a label, a variable and a port
    minikubelet run web --image=app:1 --labels=app=web --env=MODE=test --port=8080
    # A shell to look around, gone when it ends
    minikubelet run -it --rm shell --image=localhost/host --restart=Never -- bash
    # Only show what would be created
    minikubelet run web --image=app:1 --dry-run=client -o yaml
    """,
)
@click.argument("args", nargs=-1, metavar="NAME --image=IMAGE [-- ARG…]")
@click.option("--image", default="", metavar="IMAGE", help="The container's image.")
@click.option("--port", type=int, metavar="PORT", help="The port the container serves.")
@click.option("-l", "--labels", default="", metavar="A=B,…", help="The pod's labels. Default: run=NAME.")
@click.option("--annotations", multiple=True, metavar="A=B", help="An annotation; may be repeated.")
@click.option("--env", multiple=True, metavar="A=B", help="An environment variable; may be repeated.")
@click.option("--restart", default="Always", show_default=True, help="Always, OnFailure or Never.")
@click.option("--image-pull-policy", default="", metavar="POLICY", help="Always, IfNotPresent or Never.")
@click.option("-i", "--stdin", is_flag=True, help="Keep the container's stdin open, and attach.")
@click.option("-t", "--tty", is_flag=True, help="Give the container a terminal, and attach.")
@click.option("--attach", is_flag=True, help="Wait for the pod and show what it prints.")
@click.option("--rm", is_flag=True, help="Delete the pod when it has ended; only when attached.")
@click.option(
    "--command", "as_command", is_flag=True, help="What follows -- is the command, not its arguments."
)
@click.option("--expose", is_flag=True, help="Make a Service for the port, too.")
@click.option("--privileged", is_flag=True, help="Run the container privileged.")
@click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none")
@click.option("-q", "--quiet", is_flag=True, help="Print only what the container prints.")
@click.option("--pod-running-timeout", "timeout", default="1m0s", show_default=True, metavar="DURATION")
@output_option("yaml, json, name, jsonpath=…")
def run_command(session: Session, args: tuple[str, ...], **given: Any) -> int:
    """Create a pod from an image."""
    options = Options(**given)
    _check(args, options)
    words = [*args[1:], *(session.after_dash or [])]
    pod = manifest(args[0], session.namespace, words, options)
    query = {"fieldManager": "kubectl-run", "dryRun": "All" if options.dry_run == "server" else None}
    if options.expose:
        service = service_of(pod, options)
        if options.dry_run != "client":
            service = session.client.post(SERVICES.path(session.namespace), service, query)
        _show(service, options, f"created{DRY.get(options.dry_run, '')}", "service")
    if options.dry_run == "client":
        _show(pod, options, "created (dry run)")
        return 0
    made = session.client.post(PODS.path(session.namespace), pod, query)
    if options.dry_run == "server":
        _show(made, options, "created (server dry run)")
        return 0
    if not options.attached:
        _show(made, options, "created")
        return 0
    return _attached(session, made, options)


def manifest(name: str, namespace: str, words: list[str], options: Options) -> Object:
    """The pod that the flags describe."""
    container: Object = {"image": options.image, "name": name, "resources": {}}
    if words:
        container["command" if options.as_command else "args"] = words
    if options.env:
        container["env"] = [_variable(text) for text in options.env]
    if options.port is not None:
        container["ports"] = [{"containerPort": options.port}]
    if options.image_pull_policy:
        container["imagePullPolicy"] = options.image_pull_policy
    if options.privileged:
        container["securityContext"] = {"privileged": True}
    if options.stdin:
        container |= {"stdin": True, "stdinOnce": True}
    if options.tty:
        container["tty"] = True
    metadata: Object = {"labels": label_pairs(options.labels) or {"run": name}, "name": name}
    if options.annotations:
        metadata["annotations"] = label_pairs(",".join(options.annotations))
    if namespace != "default":
        metadata["namespace"] = namespace
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": options.restart}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}


def service_of(pod: Object, options: Options) -> Object:
    """For `--expose`: the pod's port, under its name."""
    metadata = {key: value for key, value in pod["metadata"].items() if key in ("name", "namespace")}
    port = {"port": options.port, "protocol": "TCP", "targetPort": options.port}
    spec = {"ports": [port], "selector": pod["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _check(args: tuple[str, ...], options: Options) -> None:
    printers.check_format(options.output)
    if not args:
        raise UsageError("NAME is required for run")
    if not options.image:
        raise UsageError('required flag(s) "image" not set')
    if options.restart not in POLICIES:
        raise UsageError(f"invalid restart policy: {options.restart}")
    if options.expose and options.port is None:
        raise UsageError("--port must be set when exposing a service")
    if options.rm and not options.attached:
        raise UsageError("--rm should only be used for attached containers")
    if options.attached and options.dry_run != "none":
        raise UsageError(
            "--dry-run=client or --dry-run=server can't be used with attached containers options"
        )


def _show(made: Object, options: Options, done: str, kind: str = "pod") -> None:
    if not options.output:
        say(f"{kind}/{made['metadata']['name']} {done}")
    elif options.output == "name":
        say(f"{kind}/{made['metadata']['name']}")
    else:
        printers.print_object(printers.hide_managed_fields(made), options.output)


def _variable(text: str) -> Object:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"invalid env: {text}")
    return {"name": name, "value": value}


# Attached


def _attached(session: Session, made: Object, options: Options) -> int:
    metadata = made["metadata"]
    target = Target(PODS, metadata["namespace"], metadata["name"])
    try:
        pod = waiting.until(session.client, target, _has_begun, waiting.deadline(duration(options.timeout)))
        if pod is None:
            raise CliError(f"pod {target.name} was deleted")
        _join(session, pod, options)
        return _exit_code(session, target, options)
    finally:
        if options.rm:
            _remove(session, target, metadata["uid"])


def _has_begun(pod: Object | None) -> bool:
    return pod is None or (pod.get("status") or {}).get("phase") in ("Running", "Succeeded", "Failed")


def _join(session: Session, pod: Object, options: Options) -> None:
    """Attach; a container that has ended already is told from its log."""
    name = pod["metadata"]["name"]
    state = containers.status_of(pod, name).get("state") or {}
    if "terminated" not in state:
        try:
            attach(session, pod, container=name, stdin=options.stdin, tty=options.tty, quiet=options.quiet)
            return
        except CliError as error:  # as a rule because it has ended since that look
            complain(FALLING_BACK.format(name, error))
    path = PODS.path(pod["metadata"]["namespace"], name, "log")
    with session.client.request("GET", path, {"container": name, "follow": True}, accept="*/*") as log:
        for data in log.chunks():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def _exit_code(session: Session, target: Target, options: Options) -> int:
    """Of the container; a pod that restarts it for ever has none."""
    if options.restart == "Always":
        if not options.quiet and not options.rm:
            complain(f"Session ended, resume using 'minikubelet attach {target.name} -i -t'")
        return 0

    def ended(pod: Object | None) -> bool:
        return pod is None or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")

    pod = waiting.until(session.client, target, ended, None)
    final = (containers.status_of(pod or {"status": {}}, target.name).get("state") or {}).get(
        "terminated"
    ) or {}
    code = int(final.get("exitCode") or 0)
    if code:
        complain(f"pod {target.namespace}/{target.name} terminated ({final.get('reason') or 'Error'})")
        raise Exit(code)
    return code


def _remove(session: Session, target: Target, uid: str) -> None:
    with contextlib.suppress(StatusError):
        session.client.delete(target.path, {"preconditions": {"uid": uid}})
        say(f'pod "{target.name}" deleted from {target.namespace} namespace')
        waiting.gone(session.client, target, uid, None)
