"""`create -f`: make new objects; what exists already is an error."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import applying, printers, targets
from minikubelet.cli.base import Session, command, files_option, output_option
from minikubelet.cli.commands.apply import (
    DRY,
    Options,
    create,
    dry_run_option,
    recursive_option,
    show,
    validate_option,
)
from minikubelet.cli.errors import CliError
from minikubelet.cli.manifests import Manifested, objects_in


@command(
    "create",
    examples="""
    # Everything in a file
    minikubelet create -f web.yaml
    # Several objects from one manifest with metadata.generateName
    minikubelet create -f job.yaml -o name
    """,
)
@files_option(required=True)
@recursive_option
@dry_run_option
@validate_option
@click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply.")
@output_option("yaml, json, name, jsonpath=…")
def create_command(session: Session, save_config: bool, **given: Any) -> None:
    """Create objects from manifests."""
    options = Options(**given)
    printers.check_format(options.output)
    items = objects_in(session, options.files, recursive=options.recursive)
    if not items:
        raise CliError("no objects passed to create")

    def one(item: Manifested) -> None:
        data = applying.with_annotation(item.data) if save_config else item.data
        result = create(session.client, item, data, options, "kubectl-create")
        show(result, item, f"created{DRY.get(options.dry_run, '')}", options.output)

    targets.each(items, one)
