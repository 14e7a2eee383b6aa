"""`image`: what is on the node to run. kubectl has no such command; the paths are the agent's own.

`load` and `pull` take long: the agent answers with one JSON line per step, shown as it comes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from minikubelet.cli import ages, printers
from minikubelet.cli.base import Session, command, output_option, say
from minikubelet.cli.client import Response
from minikubelet.cli.errors import CliError, StatusError
from minikubelet.cli.tables import layout

PATH = "/minikubelet/v1/images"
CHUNK = 256 << 10
OCTETS = "application/octet-stream"


@click.group("image", context_settings={"help_option_names": ["-h", "--help"]})
def image_command() -> None:
    """The images on the node."""


@command(
    "ls",
    examples="""
    # What is there, and how large it is
    minikubelet image ls
    minikubelet image ls -o json
    """,
)
@output_option("json, yaml, name")
def ls_command(session: Session, output: str) -> None:
    """List the images."""
    printers.check_format(output)
    items = session.client.get(PATH)["items"]
    if output == "name":
        for item in items:
            say("\n".join(item.get("names") or [item["id"]]))
    elif output:
        printers.print_object({"apiVersion": "v1", "kind": "ImageList", "items": items}, output)
    else:
        rows = [["NAME", "ID", "SIZE", "CREATED"], *(row for item in items for row in _rows(item))]
        say("\n".join(layout(rows)))


@command(
    "load",
    examples="""
    # What docker save, podman save or skopeo have written, and the directory of an OCI image layout
    minikubelet image load app.tar
    minikubelet image load layout/
    docker save app:1 | minikubelet image load -
    """,
)
@click.argument("file", metavar="FILE")
def load_command(session: Session, file: str) -> None:
    """Load images from a tar archive (docker save, or an OCI layout) or from an OCI layout's directory."""
    if file == "-":
        _load(session, _pieces(sys.stdin.buffer))
        return
    try:
        if Path(file).is_dir():
            _load(session, _archived(Path(file)))
            return
        with Path(file).open("rb") as stream:
            _load(session, _pieces(stream))
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}") from error


@command(
    "save",
    examples="""
    # An archive that docker load, podman load, skopeo and this command's sibling read
    minikubelet image save app:1 -o app.tar
    minikubelet image save app:1 | ssh other minikubelet image load -
    """,
)
@click.argument("name", metavar="NAME")
@click.option("-o", "--output", "file", metavar="FILE", help="Where to write it; else standard output.")
def save_command(session: Session, name: str, file: str | None) -> None:
    """Write an image as a tar archive (an OCI layout, readable as docker save's)."""
    if file is None and sys.stdout.isatty():
        raise CliError("cannot save to a terminal: use -o FILE or redirect standard output")
    with session.client.request("GET", f"{PATH}/archive", {"name": name}) as response:
        if file is None:
            _copy(response, sys.stdout.buffer)
            return
        aside = Path(f"{file}.part")
        try:
            with aside.open("wb") as stream:
                _copy(response, stream)
            aside.replace(file)
        except OSError as error:
            raise CliError(f"cannot write {file}: {error.strerror}") from error
        finally:
            aside.unlink(missing_ok=True)


def _copy(response: Response, stream: BinaryIO) -> None:
    for chunk in response.chunks():
        stream.write(chunk)
    stream.flush()


@command(
    "pull",
    examples="""
    # Fetch an image from its registry before a pod needs it
    minikubelet image pull docker.io/library/busybox:1.36
    """,
)
@click.argument("name", metavar="NAME")
def pull_command(session: Session, name: str) -> None:
    """Fetch an image from a registry."""
    _show(session.client.request("POST", f"{PATH}/pull", {"name": name}))


@command(
    "rm",
    examples="""
    # Forget a name; the image goes with its last one
    minikubelet image rm app:1
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
def rm_command(session: Session, names: tuple[str, ...]) -> None:
    """Remove images."""
    from minikubelet.cli import targets

    def remove(name: str) -> None:
        session.client.delete(PATH, query={"name": name})
        say(f'image "{name}" removed')

    targets.each(names, remove)


@command(
    "prune",
    examples="""
    # Remove what no pod uses
    minikubelet image prune
    """,
)
def prune_command(session: Session) -> None:
    """Remove the images that no pod uses."""
    result = session.client.request("POST", f"{PATH}/prune").json()
    for name in result.get("removed") or ():
        say(f'image "{name}" removed')
    say(f"{size_text(int(result.get('bytes') or 0))} freed")


@command(
    "inspect",
    examples="""
    # Everything the node knows of an image
    minikubelet image inspect localhost/host
    """,
)
@click.argument("name", metavar="NAME")
def inspect_command(session: Session, name: str) -> None:
    """Show one image in full, as JSON."""
    for item in session.client.get(PATH)["items"]:
        if {name, f"{name}:latest"} & {*(item.get("names") or ()), item["id"], _short(item["id"])}:
            say(json.dumps(item, indent=4, sort_keys=True, ensure_ascii=False))
            return
    raise CliError(f'image "{name}" not found')


for _command in (
    ls_command,
    load_command,
    save_command,
    pull_command,
    rm_command,
    prune_command,
    inspect_command,
):
    image_command.add_command(_command)


def _load(session: Session, archive: Iterator[bytes]) -> None:
    _show(session.client.request("POST", PATH, body=archive, content_type=OCTETS))


def _archived(directory: Path) -> Iterator[bytes]:
    """The files below it as a tar, made while it is sent."""
    import tarfile

    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            info = tarfile.TarInfo(str(path.relative_to(directory)))
            info.size = left = path.stat().st_size
            yield info.tobuf(tarfile.PAX_FORMAT)
            while left and (data := file.read(min(CHUNK, left))):
                left -= len(data)
                yield data
        if left:
            raise CliError(f"cannot read {path}: it became shorter meanwhile")
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while data := stream.read(CHUNK):
        yield data


def _show(response: Response) -> None:
    """The steps, as they come. A failure behind the first step is a line of its own."""
    with response:
        for line in response.lines():
            step: dict[str, Any] = json.loads(line)
            if sys.stderr.isatty():
                click.echo("\r\033[K", err=True, nl=False)  # the step before, if it was shown
            if "error" in step:
                raise StatusError(step["error"])
            if "loaded" in step:
                for name in step["loaded"]:
                    say(f'image "{name}" loaded')
            elif "pulled" in step:
                say(f'image "{step["pulled"]}" pulled')
            elif sys.stderr.isatty():
                _show_progress(step)


def _show_progress(step: dict[str, Any]) -> None:
    """One line of the terminal, which goes with the next step."""
    text = step.get("resolved") or f"{size_text(step.get('bytes', 0))} of {size_text(step.get('of', 0))}"
    click.echo(text, err=True, nl=False)


def _rows(item: dict[str, Any]) -> list[list[str]]:
    """One row per name."""
    created = item.get("created")
    age = f"{ages.since(created)} ago" if created else "<unknown>"
    rest = [_short(str(item["id"])), size_text(int(item.get("size") or 0)), age]
    return [[name, *rest] for name in item.get("names") or ["<none>"]]


def _short(image_id: str) -> str:
    """The first twelve digits of a digest; the host's image is not one."""
    digest = image_id.rpartition(":")[2]
    return digest[:12]


def size_text(size: int) -> str:
    """`12.3MB`, as container engines show sizes."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g}{unit}"
        amount /= 1000
    return f"{amount:.3g}GB"
