"""`set image`: change the images of containers, by name; kubectl's `set` has more parts, this has one."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import printers, targets
from minikubelet.cli.base import Command, Session, command, output_option, say, selector_option
from minikubelet.cli.client import Client
from minikubelet.cli.commands.apply import DRY, dry_run_option
from minikubelet.cli.commands.patch import TYPES
from minikubelet.cli.errors import CliError, UsageError

FIELDS = ("initContainers", "containers")


class SetGroup(Command, click.Group):
    """`set` is a word before others."""


@command("set", cls=SetGroup, examples="minikubelet set image pod/web main=localhost/other")
def set_command(session: Session) -> None:
    """Change one thing of objects: image."""
    click.get_current_context().obj = session


@command(
    "image",
    examples="""
    # Of one container; of all
    minikubelet set image pod/web main=localhost/other
    minikubelet set image pods -l app=web '*=localhost/other'
    """,
)
@click.argument("args", nargs=-1, metavar="TYPE NAME… | TYPE/NAME… CONTAINER=IMAGE…")
@selector_option
@click.option("--all", "every", is_flag=True, help="All objects of the type in the namespace.")
@dry_run_option
@output_option("yaml, json, name, jsonpath=…")
def image_command(
    session: Session, args: tuple[str, ...], selector: str, every: bool, dry_run: str, output: str
) -> None:
    """Change the images of containers."""
    printers.check_format(output)
    names = [arg for arg in args if "=" not in arg]
    images = dict(arg.split("=", 1) for arg in args if "=" in arg)
    if not names:
        raise UsageError("one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not images:
        raise UsageError("at least one image update is required")
    items = targets.select(session.client, session.namespace, names, selector=selector, every=every)

    def change(item: dict[str, Any]) -> None:
        _change(session.client, item, images, dry_run, output)

    targets.each(items, change)


set_command.add_command(image_command)  # type: ignore[attr-defined]


def _change(client: Client, item: dict[str, Any], images: dict[str, str], dry_run: str, output: str) -> None:
    target = targets.of_object(client, item)
    template = item["spec"] if item["kind"] == "Pod" else (item["spec"].get("template") or {}).get("spec")
    if not isinstance(template, dict):
        raise CliError(f"{target} has no containers")
    found = {field: [one["name"] for one in template.get(field) or ()] for field in FIELDS}
    unknown = [name for name in images if name != "*" and not any(name in names for names in found.values())]
    if unknown:
        raise CliError(f'unable to find container named "{unknown[0]}"')
    spec = {
        field: [
            {"name": name, "image": images.get(name, images.get("*"))}
            for name in names
            if name in images or "*" in images
        ]
        for field, names in found.items()
    }
    spec = {field: changes for field, changes in spec.items() if changes}
    patch = {"spec": spec if item["kind"] == "Pod" else {"template": {"spec": spec}}}
    after = item
    if dry_run != "client":
        query = {"fieldManager": "kubectl-set", "dryRun": "All" if dry_run == "server" else None}
        request = client.request("PATCH", target.path, query, body=patch, content_type=TYPES["strategic"])
        after = request.json()
    same = after["metadata"].get("resourceVersion") == item["metadata"].get("resourceVersion")
    if output == "name":
        say(str(target))
    elif output:
        printers.print_object(printers.hide_managed_fields(after), output)
    elif not same or dry_run != "none":
        say(f"{target} image updated{DRY.get(dry_run, '')}")
