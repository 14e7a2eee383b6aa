"""`create service`: one of each type, before there is a pod; `expose` makes one for pods that exist."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import click

from minikubelet.cli.base import Command, Session, command, output_option
from minikubelet.cli.commands.apply import dry_run_option, validate_option
from minikubelet.cli.commands.create_workload import make
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import SERVICES

Object = dict[str, Any]

TYPES = {
    "clusterip": "Create a Service with an address of its own, or with --clusterip=None a headless one",
    "nodeport": "Create a Service that is reached at a port of the node, too",
    "loadbalancer": "Create a Service for a load balancer; without a cloud its address stays pending",
    "externalname": "Create an alias in the cluster's DNS",
}


class Service(Command, click.Group):
    """`create service TYPE NAME`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(TYPES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in TYPES:
            return None
        found: click.Command = getattr(importlib.import_module(__name__), f"{name}_command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(TYPES.items()))


@command(
    "service",
    cls=Service,
    invoke_without_command=True,
    examples="minikubelet create service clusterip web --tcp=80:8080",
)
def service_command(session: Session) -> None:
    """Create a Service of a type: clusterip, nodeport, loadbalancer, externalname."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        raise UsageError(f"say which type of service: {', '.join(TYPES)}")
    context.obj = session


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What all types have."""
    for option in (
        output_option("yaml, json, name, jsonpath=…"),
        validate_option,
        dry_run_option,
        click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply."),
        click.argument("args", nargs=-1, metavar="NAME"),
    ):
        function = option(function)
    return function


tcp_option = click.option(
    "--tcp", multiple=True, metavar="PORT[:TARGET]", help="A port, and where it leads to; may be repeated."
)


@command(
    "clusterip",
    examples="""
    # Port 80 of the Service, port 8080 of the pods
    minikubelet create service clusterip web --tcp=80:8080
    # Headless
    minikubelet create service clusterip web --clusterip=None
    """,
)
@_options
@tcp_option
@click.option("--clusterip", default="", metavar="ADDRESS", help="The address; None: headless.")
def clusterip_command(
    session: Session, args: tuple[str, ...], tcp: tuple[str, ...], clusterip: str, **given: Any
) -> None:
    """Create a Service with an address of its own."""
    address = {"clusterIP": clusterip} if clusterip else {}
    _make(session, args, "ClusterIP", _ports(tcp, needed=clusterip != "None") | address, given)


@command("nodeport", examples="minikubelet create service nodeport web --tcp=80:8080 --node-port=30080")
@_options
@tcp_option
@click.option("--node-port", type=int, default=0, metavar="PORT", help="The port of the node.")
def nodeport_command(
    session: Session, args: tuple[str, ...], tcp: tuple[str, ...], node_port: int, **given: Any
) -> None:
    """Create a Service that is reached at a port of the node, too."""
    spec = _ports(tcp, needed=True)
    for port in spec["ports"] if node_port else ():
        port["nodePort"] = node_port
    _make(session, args, "NodePort", spec, given)


@command("loadbalancer", examples="minikubelet create service loadbalancer web --tcp=80:8080")
@_options
@tcp_option
def loadbalancer_command(session: Session, args: tuple[str, ...], tcp: tuple[str, ...], **given: Any) -> None:
    """Create a Service for a load balancer."""
    _make(session, args, "LoadBalancer", _ports(tcp, needed=True), given)


@command("externalname", examples="minikubelet create service externalname db --external-name=db.example.com")
@_options
@tcp_option
@click.option("--external-name", default="", metavar="NAME", help="What it is an alias of.")
def externalname_command(
    session: Session, args: tuple[str, ...], tcp: tuple[str, ...], external_name: str, **given: Any
) -> None:
    """Create an alias in the cluster's DNS."""
    spec = {"externalName": external_name, **_ports(tcp, needed=False)}
    _make(session, args, "ExternalName", spec, given)


def _make(session: Session, args: tuple[str, ...], kind: str, spec: Object, given: Object) -> None:
    """The selector is kubectl's guess: pods with the label `app` of this name."""
    if len(args) != 1:
        raise UsageError(f"exactly one NAME is required, got {len(args)}")
    labels = {"app": args[0]}
    make(
        session,
        SERVICES,
        {"name": args[0], "labels": labels},
        {**spec, "selector": labels, "type": kind},
        given,
        failed=f"failed to create {kind} service: ",
    )


def _ports(tcp: tuple[str, ...], *, needed: bool) -> Object:
    words = [word for text in tcp for word in text.split(",")]
    if not words and needed:
        raise CliError("at least one tcp port specifier must be provided")
    return {"ports": [_port(word) for word in words]} if words else {}


def _port(word: str) -> Object:
    """80 or 80:8080 or 80:http; named after what was written, as kubectl does."""
    text, _, target = word.partition(":")
    if not text.isdecimal():
        raise CliError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 65535:
        raise CliError(f'strconv.ParseUint: parsing "{text}": value out of range')
    goal: int | str = int(target) if target.isdecimal() else target or int(text)
    name = word.replace(":", "-")
    return {"name": name, "port": int(text), "protocol": "TCP", "targetPort": goal}
