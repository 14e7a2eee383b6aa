"""`create deployment` and `create job`: objects from an image and a command."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import applying, printers
from minikubelet.cli.base import Session, command, output_option
from minikubelet.cli.commands.apply import DRY, Options, dry_run_option, show, validate_option
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.manifests import Manifested
from minikubelet.cli.resources import DEPLOYMENTS, JOBS, Resource
from minikubelet.cli.targets import Target

Object = dict[str, Any]


@command(
    "deployment",
    examples="""
    # One pod; three, with a port
    minikubelet create deployment web --image=nginx
    minikubelet create deployment web --image=nginx --replicas=3 --port=80
    # With a command of its own
    minikubelet create deployment clock --image=busybox -- date
    """,
    dash=True,
)
@click.argument("args", nargs=-1, metavar="NAME")
@click.option("--image", "images", multiple=True, metavar="IMAGE", help="The image; may be repeated.")
@click.option(
    "-r", "--replicas", type=int, default=1, show_default=True, metavar="COUNT", help="How many pods."
)
@click.option("--port", type=int, default=-1, metavar="PORT", help="The port the container listens on.")
@click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply.")
@dry_run_option
@validate_option
@output_option("yaml, json, name, jsonpath=…")
def deployment_command(
    session: Session, args: tuple[str, ...], images: tuple[str, ...], **given: Any
) -> None:
    """Create a Deployment of an image."""
    name = _name(args)
    command_line = session.after_dash or []
    if not images:
        raise UsageError('required flag(s) "image" not set')
    if len(images) > 1 and command_line:
        raise CliError("cannot specify multiple --image options and command")
    if given["replicas"] < 0:
        raise CliError(f"invalid replicas: {given['replicas']}")
    containers = [_container(image, command_line) for image in images]
    if given["port"] >= 0:
        containers[0]["ports"] = [{"containerPort": given["port"]}]
    labels = {"app": name}
    spec = {
        "replicas": given["replicas"],
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    make(session, DEPLOYMENTS, {"name": name, "labels": labels}, spec, given)


@command(
    "job",
    examples="""
    # The image's own command; another
    minikubelet create job once --image=busybox
    minikubelet create job now --image=busybox -- date
    """,
    dash=True,
)
@click.argument("args", nargs=-1, metavar="NAME")
@click.option("--image", default="", metavar="IMAGE", help="The image.")
@click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply.")
@dry_run_option
@validate_option
@output_option("yaml, json, name, jsonpath=…")
def job_command(session: Session, args: tuple[str, ...], image: str, **given: Any) -> None:
    """Create a Job of an image."""
    name = _name(args)
    if not image:
        raise CliError("either --image or --from must be specified")
    container = {"name": name, "image": image}
    if session.after_dash:
        container["command"] = list(session.after_dash)  # type: ignore[assignment]
    pod = {"containers": [container], "restartPolicy": "Never"}
    make(session, JOBS, {"name": name}, {"template": {"spec": pod}}, given)


def _name(args: tuple[str, ...]) -> str:
    if len(args) != 1:
        raise UsageError(f"exactly one NAME is required, got {len(args)}")
    return args[0]


def _container(image: str, command_line: list[str]) -> Object:
    """Named as kubectl does: the image without registry, tag and digest."""
    name = image.rpartition("/")[2].partition(":")[0].partition("@")[0].replace("_", "-").lower()
    return {"name": name, "image": image, **({"command": list(command_line)} if command_line else {})}


def make(
    session: Session,
    resource: Resource,
    metadata: Object,
    spec: Object,
    given: Object,
    *,
    manager: str = "kubectl-create",
    done: str = "created",
    failed: str | None = None,
) -> None:
    """Create the object, or show what would be created."""
    printers.check_format(given["output"])
    if session.given_namespace:
        metadata["namespace"] = session.given_namespace
    manifest = {
        "apiVersion": resource.group_version,
        "kind": resource.kind,
        "metadata": metadata,
        "spec": spec,
    }
    if given["save_config"]:
        manifest = applying.with_annotation(manifest)
    item = Manifested(Target(resource, session.namespace, metadata["name"]), manifest, "")
    options = Options((), False, given["dry_run"], given["validate"], given["output"])
    result = manifest
    if given["dry_run"] != "client":
        try:
            result = session.client.post(resource.path(session.namespace), manifest, options.query(manager))
        except StatusError as error:
            if failed == "":
                raise
            raise CliError(f"{failed or f'failed to create {resource.singular}: '}{error}") from error
    show(result, item, f"{done}{DRY.get(given['dry_run'], '')}", given["output"])
