"""`create -f`: make new objects; what exists already is an error. And kinds by name."""

from __future__ import annotations

import importlib
from typing import Any

import click

from minikubelet.cli import applying, printers, targets
from minikubelet.cli.base import Command, Session, command, files_option, output_option
from minikubelet.cli.commands.apply import (
    DRY,
    Options,
    create,
    dry_run_option,
    recursive_option,
    show,
    validate_option,
)
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.manifests import Manifested, objects_in

# What may be created by name → (its module, imported when it is called; what the help says).
KINDS = {
    "configmap": ("create_config", "Create a ConfigMap from literals, files, directories or an env file"),
    "secret": ("create_config", "Create a Secret of a kind: generic, tls, docker-registry"),
    "deployment": ("create_workload", "Create a Deployment of an image"),
    "job": ("create_workload", "Create a Job of an image"),
    "namespace": ("create_plain", "Create a Namespace"),
    "serviceaccount": ("create_plain", "Create a ServiceAccount"),
    "service": (
        "create_service",
        "Create a Service of a type: clusterip, nodeport, loadbalancer, externalname",
    ),
}
SHORT = {
    "cm": "configmap",
    "deploy": "deployment",
    "ns": "namespace",
    "sa": "serviceaccount",
    "svc": "service",
}


class Create(Command, click.Group):
    """`create -f FILE` is a command, `create configmap` another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(KINDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        name = SHORT.get(name, name)
        if name not in KINDS:
            return None
        module = importlib.import_module(f"minikubelet.cli.commands.{KINDS[name][0]}")
        found: click.Command = getattr(module, f"{name}_command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in KINDS.items()])


@command(
    "create",
    cls=Create,
    invoke_without_command=True,
    examples="""
    # Everything in a file
    minikubelet create -f web.yaml
    # Several objects from one manifest with metadata.generateName
    minikubelet create -f job.yaml -o name
    # One object from values or files; see the help of each
    minikubelet create configmap web --from-literal=color=blue
    minikubelet create secret generic db --from-file=password=db.password
    minikubelet create deployment web --image=nginx --replicas=3
    """,
)
@files_option()
@recursive_option
@dry_run_option
@validate_option
@click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply.")
@output_option("yaml, json, name, jsonpath=…")
def create_command(session: Session, save_config: bool, **given: Any) -> None:
    """Create objects from manifests."""
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        context.obj = session
        return
    options = Options(**given)
    if not options.files:
        raise UsageError("must specify one of -f and -k")
    printers.check_format(options.output)
    items = objects_in(session, options.files, recursive=options.recursive)
    if not items:
        raise CliError("no objects passed to create")

    def one(item: Manifested) -> None:
        data = applying.with_annotation(item.data) if save_config else item.data
        result = create(session.client, item, data, options, "kubectl-create")
        show(result, item, f"created{DRY.get(options.dry_run, '')}", options.output)

    targets.each(items, one)
