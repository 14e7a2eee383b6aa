"""`api-resources` and `api-versions`: what the agent says it serves."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli.base import Session, command, say
from minikubelet.cli.client import Client
from minikubelet.cli.errors import UsageError
from minikubelet.cli.tables import layout


@command(
    "api-resources",
    examples="""
    # Every kind, with its short names
    minikubelet api-resources
    # What can be deleted in a namespace
    minikubelet api-resources --namespaced --verbs=list,delete -o name
    """,
)
@click.option("--api-group", default=None, metavar="GROUP", help='Only of this group; "" is the core.')
@click.option(
    "--namespaced", is_flag=True, default=None, help="Only what is in namespaces; =false: the rest."
)
@click.option("--verbs", default="", metavar="VERB,…", help="Only what has all these verbs.")
@click.option("--categories", default="", metavar="NAME,…", help="Only what is in these, such as all.")
@click.option("--no-headers", is_flag=True, help="Leave the header line out.")
@click.option("--sort-by", type=click.Choice(["", "name", "kind"]), default="")
@click.option("-o", "--output", default="", metavar="FORMAT", help="wide or name.")
def api_resources_command(
    session: Session,
    api_group: str | None,
    namespaced: bool | None,
    verbs: str,
    categories: str,
    no_headers: bool,
    sort_by: str,
    output: str,
) -> None:
    """Print the kinds that there are."""
    if output not in ("", "wide", "name"):
        raise UsageError(f"--output {output} is not available")
    found = [
        one
        for one in _resources(session.client)
        if (api_group is None or one["group"] == api_group)
        and (namespaced is None or one["namespaced"] == namespaced)
        and set(filter(None, verbs.split(","))) <= set(one["verbs"])
        and set(filter(None, categories.split(","))) <= set(one.get("categories") or ())
    ]
    key = {"": ("group", "name"), "name": ("name", "group"), "kind": ("kind", "name")}[sort_by]
    found.sort(key=lambda one: tuple(one[field] for field in key))
    if output == "name":
        for one in found:
            say(f"{one['name']}.{one['group']}" if one["group"] else one["name"])
        return
    headers = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    wide = output == "wide"
    rows = [] if no_headers else [headers + (["VERBS", "CATEGORIES"] if wide else [])]
    for line in layout([*rows, *(_row(one, wide) for one in found)]):
        say(line)


def _row(one: dict[str, Any], wide: bool) -> list[str]:
    short = ",".join(one.get("shortNames") or ())
    row = [one["name"], short, one["version"], str(one["namespaced"]).lower(), one["kind"]]
    if wide:
        row += [",".join(one["verbs"]), ",".join(one.get("categories") or ())]
    return row


@command("api-versions", examples="minikubelet api-versions")
def api_versions_command(session: Session) -> None:
    """Print the groups and versions that there are."""
    for version in sorted(_versions(session.client)):
        say(version)


def _versions(client: Client) -> list[str]:
    groups = client.get("/apis").get("groups") or ()
    named = [version["groupVersion"] for group in groups for version in group["versions"]]
    return [*client.get("/api")["versions"], *named]


def _resources(client: Client) -> list[dict[str, Any]]:
    """Every row of discovery that is no subresource, with its group and version."""
    found = []
    for version in _versions(client):
        group = version.rpartition("/")[0]
        listing = client.get(f"/apis/{version}" if group else f"/api/{version}")
        found += [
            {**one, "group": group, "version": version}
            for one in listing.get("resources") or ()
            if "/" not in one["name"]
        ]
    return found
