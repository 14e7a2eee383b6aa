"""`create configmap` and `create secret`: objects from literals, files, directories and env files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from minikubelet.cli import applying, printers
from minikubelet.cli.base import Command, Session, command, output_option
from minikubelet.cli.commands.apply import DRY, Options, dry_run_option, show, validate_option
from minikubelet.cli.config_data import Collector, Data, read
from minikubelet.cli.errors import CliError, StatusError, UsageError
from minikubelet.cli.manifests import Manifested
from minikubelet.cli.resources import KNOWN
from minikubelet.cli.targets import Target

Object = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

TLS_UNREADABLE = "Cannot read file {0}, open {0}"
DOCKER_CONFIG = ".dockerconfigjson"
DOCKER_HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Making:
    """The flags that all of these commands have."""

    args: tuple[str, ...]
    append_hash: bool
    save_config: bool
    dry_run: str
    validate: str
    output: str

    @property
    def name(self) -> str:
        if len(self.args) != 1:
            raise UsageError(f"exactly one NAME is required, got {len(self.args)}")
        return self.args[0]


def making_options(function: F) -> F:
    for option in (
        output_option("yaml, json, name, jsonpath=…"),
        validate_option,
        dry_run_option,
        click.option("--save-config", is_flag=True, help="Remember the manifest, for a later apply."),
        click.option("--append-hash", is_flag=True, help="Append a hash of the content to the name."),
        click.argument("args", nargs=-1, metavar="NAME"),
    ):
        function = option(function)
    return function


def _source_options(function: F) -> F:
    for option in (
        click.option("--from-env-file", multiple=True, metavar="FILE", help="Lines of KEY=VALUE."),
        click.option(
            "--from-file", multiple=True, metavar="[KEY=]FILE", help="A file, or every file of a directory."
        ),
        click.option("--from-literal", multiple=True, metavar="KEY=VALUE", help="One value."),
    ):
        function = option(function)
    return function


@command(
    "configmap",
    examples="""
    # From values, from files, from every file of a directory
    minikubelet create configmap web --from-literal=color=blue --from-file=app.conf --from-file=conf.d
    # A file under another key; from lines of KEY=VALUE
    minikubelet create configmap web --from-file=settings=/etc/app.conf
    minikubelet create configmap web --from-env-file=app.env
    """,
)
@_source_options
@making_options
def configmap_command(session: Session, **given: Any) -> None:
    """Create a ConfigMap from literals, files, directories or an env file."""
    data, making = _collected("ConfigMap", given)
    text, binary = {}, {}
    for key, value in data.items():
        try:
            text[key] = value.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(value).decode()
    content: Object = {}
    if text:
        content["data"] = text
    if binary:
        content["binaryData"] = binary
    make(session, "ConfigMap", content, making)


@command(
    "generic",
    examples="""
    # What is in the shell's history is no secret: rather from files
    minikubelet create secret generic db --from-file=password=db.password
    minikubelet create secret generic db --from-env-file=db.env
    """,
)
@_source_options
@click.option("--type", "kind", default="", metavar="TYPE", help="The type of the Secret. Default: Opaque.")
@making_options
def generic_command(session: Session, kind: str, **given: Any) -> None:
    """Create a Secret from literals, files, directories or an env file."""
    data, making = _collected("Secret", given)
    _make_secret(session, data, kind, making)


@command(
    "tls",
    examples="""
    # A certificate and its key, both PEM
    minikubelet create secret tls web --cert=web.crt --key=web.key
    """,
)
@click.option("--cert", default="", metavar="FILE", help="The certificate, with those that signed it.")
@click.option("--key", default="", metavar="FILE", help="Its private key.")
@making_options
def tls_command(session: Session, cert: str, key: str, **given: Any) -> None:
    """Create a Secret from a certificate and its key."""
    making = Making(**given)
    _ = making.name
    if not cert or not key:
        raise CliError("key and cert must be specified")
    data = {"tls.crt": read(Path(cert), TLS_UNREADABLE), "tls.key": read(Path(key), TLS_UNREADABLE)}
    _check_pair(data["tls.crt"], data["tls.key"])
    _make_secret(session, data, "kubernetes.io/tls", making)


@command(
    "docker-registry",
    examples="""
    # From what docker login has written
    minikubelet create secret docker-registry hub --from-file=$HOME/.docker/config.json
    """,
)
@click.option("--docker-username", "username", default="", metavar="NAME", help="Who logs in.")
@click.option("--docker-password", "password", default="", metavar="PASSWORD", help="With which password.")
@click.option("--docker-email", "email", default="", metavar="ADDRESS", help="Of the user.")
@click.option(
    "--docker-server", "server", default=DOCKER_HUB, metavar="URL", show_default=True, help="Where."
)
@click.option("--from-file", "files", multiple=True, metavar="FILE", help="A config.json of docker.")
@making_options
def docker_registry_command(
    session: Session,
    username: str,
    password: str,
    email: str,
    server: str,
    files: tuple[str, ...],
    **given: Any,
) -> None:
    """Create a Secret that lets images be pulled from a registry."""
    making = Making(**given)
    _ = making.name
    if files:
        (data,) = (read(Path(path.rpartition("=")[2])) for path in files[-1:])
    elif username and password and server:
        data = _docker_config(server, username, password, email)
    else:
        required = (
            "--from-file or the combination of --docker-username, --docker-password and --docker-server"
        )
        raise CliError(f"either {required} is required")
    _make_secret(session, {DOCKER_CONFIG: data}, "kubernetes.io/dockerconfigjson", making)


class Kinds(Command, click.Group):
    """`create secret` alone says nothing: which kind?"""


@command(
    "secret",
    cls=Kinds,
    commands=(generic_command, tls_command, docker_registry_command),
    examples="""
    # The help of each has more
    minikubelet create secret generic db --from-file=password=db.password
    minikubelet create secret tls web --cert=web.crt --key=web.key
    """,
)
def secret_command(session: Session) -> None:
    """Create a Secret of a kind: generic, tls, docker-registry."""
    click.get_current_context().obj = session


def _collected(kind: str, given: Object) -> tuple[Data, Making]:
    literals, files = given.pop("from_literal"), given.pop("from_file")
    env_files = given.pop("from_env_file")
    making = Making(**given)
    collector = Collector(kind, making.name)
    if env_files and (literals or files):
        raise CliError("from-env-file cannot be combined with from-file or from-literal")
    collector.files(files)
    collector.literals(literals)
    collector.env_files(env_files)
    return collector.data, making


def _docker_config(server: str, username: str, password: str, email: str) -> bytes:
    entry = {"username": username, "password": password}
    if email:
        entry["email"] = email
    entry["auth"] = base64.b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {server: entry}}, separators=(",", ":")).encode()


def _check_pair(certificate: bytes, key: bytes) -> None:
    """They must belong together, as kubectl checks as well. Python's ssl reads files alone, and ours may be
    pipes, which are read once: it gets copies in memory.
    """
    if b"-----BEGIN " not in certificate:
        raise CliError("tls: failed to find any PEM data in certificate input")
    with _in_memory(certificate) as cert_path, _in_memory(key) as key_path:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert_path, key_path, password=_no_password)
        except ssl.SSLError as error:
            raise CliError(f"tls: certificate and key do not fit: {error.reason or error}") from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path to it, as long as the block lasts."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _no_password() -> str:
    """OpenSSL would ask the terminal."""
    raise CliError("tls: failed to parse private key: it is encrypted")


def _make_secret(session: Session, data: Data, kind: str, making: Making) -> None:
    content: Object = {"data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
    if not data:
        content = {}
    if kind:
        content["type"] = kind
    make(session, "Secret", content, making)


def make(session: Session, kind: str, content: Object, making: Making) -> None:
    """Create the object and say so; `content` is all but its kind and metadata."""
    printers.check_format(making.output)
    name = making.name + (f"-{_content_hash(kind, making.name, content)}" if making.append_hash else "")
    metadata = {"name": name}
    if session.given_namespace and kind != "Namespace":
        metadata["namespace"] = session.given_namespace
    manifest = {"apiVersion": "v1", **content, "kind": kind, "metadata": metadata}
    if making.save_config:
        manifest = applying.with_annotation(manifest)
    resource = next(known for known in KNOWN if known.kind == kind)
    item = Manifested(Target(resource, session.namespace, name), manifest, "")
    options = Options((), False, making.dry_run, making.validate, making.output)
    result = manifest if making.dry_run == "client" else _post(session, item, options)
    show(result, item, f"created{DRY.get(making.dry_run, '')}", making.output)


def _post(session: Session, item: Manifested, options: Options) -> Object:
    resource, namespace, _ = item.target
    try:
        made: Object = session.client.post(
            resource.path(namespace), item.data, options.query("kubectl-create")
        )
    except StatusError as error:
        if resource.kind == "Namespace":
            raise
        colon = "" if resource.kind == "Secret" else ":"  # as kubectl has it
        raise CliError(f"failed to create {resource.singular}{colon} {error}") from error
    return made


def _content_hash(kind: str, name: str, content: Object) -> str:
    """kubectl's (kubectl/pkg/util/hash): ten hex digits, those that could spell something replaced."""
    hashed: Object = {"kind": kind, "name": name, "data": content.get("data", {})}
    hashed |= {"type": content.get("type", "")} if kind == "Secret" else {}
    if "binaryData" in content:
        hashed["binaryData"] = content["binaryData"]
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":  # as Go's encoder
        text = text.replace(char, f"\\u{ord(char):04x}")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return digest[:10].translate(str.maketrans("013ae", "ghkmt"))
