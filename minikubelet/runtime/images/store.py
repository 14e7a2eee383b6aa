"""The images on this node.

`localhost/host` is always there: the node's own root file system, so that every example runs offline. All
others are pulled (`ensure`: from their registry, by a process of its own), loaded (`load`: an archive, the
same way) or registered (`register`: a directory that holds a root file system already). Looking up is a
dictionary; everything that touches the disk runs in a worker thread.

Names below `localhost/` (without a port) are the node's own: no registry is asked for them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from minikubelet.config import Paths
from minikubelet.errors import ImageError
from minikubelet.runtime.cri import ImageRef
from minikubelet.runtime.images.config import ImageConfig
from minikubelet.runtime.images.credentials import Credentials, entries, matching
from minikubelet.runtime.images.pulls import Pulls, Told
from minikubelet.runtime.images.records import EVERYBODY, ImageRecord, Records
from minikubelet.runtime.images.reference import Reference, is_digest

logger = logging.getLogger(__name__)

T = TypeVar("T")

HOST_IMAGE = "localhost/host:latest"
HOST_ID = "sha256:" + hashlib.sha256(HOST_IMAGE.encode()).hexdigest()
NODE_DOMAIN = "localhost"
LOAD_HINT = "load it with: minikubelet image load FILE (a file made by docker save or podman save)"
CHUNK = 1 << 18
SHORTEST_ID = 4  # digits of an image id that people may abbreviate it to


@dataclass(frozen=True, slots=True)
class Image:
    """One image, ready to be mounted."""

    id: str  # "sha256:…"
    layers: tuple[str, ...]  # directories, top first: the lower layers of an overlay
    config: ImageConfig
    size: int = 0
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    allowed: tuple[str, ...] = (EVERYBODY,)  # fingerprints of credentials
    masked: tuple[str, ...] = ()  # paths in it that no container may see

    @property
    def name(self) -> str:
        """What people call it: the tag it got last, else its id."""
        return self.tags[-1] if self.tags else self.id

    def name_for(self, asked: Reference) -> str:
        """What status shows as image: the tag that was asked for, if that is how it was asked for."""
        return asked.tagged if asked.tagged in self.tags else self.name

    def is_open_to(self, credentials: Sequence[Credentials]) -> bool:
        """May who has these use it without asking its registry, though not everybody may
        (KubeletEnsureSecretPulledImages)?
        """
        return any(one.fingerprint in self.allowed for one in credentials)

    @property
    def reference(self) -> str:
        """What status shows as imageID: a name with the digest that a registry knows it by, else its id."""
        return self.digests[0] if self.digests else self.id


class ImageStore:
    """All images; `start` before anything else."""

    def __init__(self, paths: Paths) -> None:
        self._directory = paths.images
        self._docker_configs = (paths.etc / "config.json", Path.home() / ".docker/config.json")
        self._pulls = Pulls(paths.images, paths.etc / "certs.d")
        self._host = Image(
            HOST_ID, ("/",), ImageConfig(), tags=(HOST_IMAGE,), masked=tuple(_state_directories(paths))
        )
        self._images: dict[str, Image] = {}
        self._by_name: dict[str, Image] = {}
        self._reading = asyncio.Lock()  # a look that began earlier must not overwrite a later one's result
        self._changing = asyncio.Lock()  # one thread at a time waits for a load that holds the store's lock
        self.asked_for: dict[str, float] = {}  # image id → when a container last wanted it, monotonic

    async def start(self) -> None:
        await self._refresh()

    # Looking

    def resolve(self, reference: str) -> Image | None:
        """By name, by digest or by id, as a manifest names it. Raises ImageError, InvalidImageName."""
        if is_digest(reference):
            return self._images.get(reference)
        parsed = Reference.parse(reference)
        return self._by_name.get(parsed.digested or parsed.tagged)

    def find(self, reference: str) -> Image:
        """The same for people, who may abbreviate an id. Raises ImageError if there is none."""
        whole_id = f"sha256:{reference}"
        image = self.resolve(whole_id if is_digest(whole_id) else reference)
        digits = reference.removeprefix("sha256:")
        if image is None and len(digits) >= SHORTEST_ID:
            found = [image for key, image in self._images.items() if key[len("sha256:") :].startswith(digits)]
            image = found[0] if len(found) == 1 else None
        if image is None:
            raise ImageError("ImageNotFound", f'image "{reference}" is not on this node')
        return image

    def ids_of(self, references: Iterable[str]) -> set[str]:
        """Of those images that are here. A name that nobody can read names none: pods may have such."""
        found = set()
        for reference in references:
            try:
                image = self.resolve(reference)
            except ImageError:
                continue
            if image is not None:
                found.add(image.id)
        return found

    def list(self) -> Sequence[Image]:
        return sorted(self._images.values(), key=lambda image: image.name)

    def inspect(self, reference: str) -> dict[str, Any]:
        """JSON-ready: everything that is known of it."""
        image = self.find(reference)
        return {
            "id": image.id,
            "tags": list(image.tags),
            "digests": list(image.digests),
            "size": image.size,
            "layers": list(image.layers),
            "config": image.config.plain(),
        }

    async def ensure(
        self,
        image: str,
        pull_policy: str,
        credentials: Callable[[], Sequence[Credentials]] = tuple,
        about_to_pull: Callable[[], None] | None = None,
        told: Told | None = None,
    ) -> ImageRef:
        """The image of a container, by imagePullPolicy. Raises ImageError.

        Before a registry is asked `about_to_pull` is called, which may raise, then `credentials`; `told`
        hears of the progress.
        """
        found, name = self.resolve(image), Reference.parse(image)
        is_own = not is_digest(image) and name.domain == NODE_DOMAIN
        known: Sequence[Credentials] | None = None
        if found is not None and EVERYBODY not in found.allowed:
            known = credentials()
        may_use = found is not None and (known is None or found.is_open_to(known))
        if found is not None and may_use and (is_own or pull_policy != "Always"):
            self.asked_for[found.id] = time.monotonic()
            return ImageRef(found.name_for(name), found.reference, found.size)
        if pull_policy == "Never":
            raise ImageError(
                "ErrImageNeverPull", f'Container image "{image}" is not present with pull policy of Never'
            )
        if about_to_pull is not None:
            about_to_pull()
        if is_own:
            raise ImageError(
                "ErrImagePull",
                f'failed to pull and unpack image "{name}": it is not on this node; {LOAD_HINT}',
            )
        began = time.monotonic()
        image_id = await self._pulls.pull(name, credentials() if known is None else known, told)
        await self._refresh()
        pulled = self._here(image_id)
        now = self.asked_for[image_id] = time.monotonic()
        return ImageRef(pulled.name_for(name), pulled.reference, pulled.size, True, now - began)

    def node_credentials(self, image: Reference) -> Sequence[Credentials]:
        """Of the node's own docker configurations; one that cannot be read is left out, and said so."""
        known = []
        for file in self._docker_configs:
            try:
                known += entries(file.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                logger.warning("cannot use the credentials of %s: %s", file, error)
        return matching(image, known)

    # Changing

    async def load(self, archive: Path | AsyncIterable[bytes]) -> Sequence[Image]:
        """The images of an archive: file, directory (OCI layout), or bytes. Raises ImageError."""
        path = str(archive.absolute()) if isinstance(archive, Path) else "-"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-X", "utf8", "-m", f"{__package__}.loader", str(self._directory), path,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
        )  # fmt: skip
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            reading = asyncio.create_task(process.stdout.read())
            if not isinstance(archive, Path):
                await _feed(process.stdin, archive)
            process.stdin.close()
            answer = await reading
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return await self._loaded(answer)

    async def save(self, reference: str) -> AsyncIterator[bytes]:
        """The image as an archive that `load`, docker, podman and skopeo read. Raises ImageError."""
        image = self.find(reference)
        records = await asyncio.to_thread(lambda: {one.id: one for one in Records(self._directory).all()})
        record = records.get(image.id)
        if record is None or not record.manifest:
            raise ImageError("ImageSaveError", f"cannot save image {image.name}: its archive was not kept")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-X", "utf8", "-m", f"{__package__}.saver", str(self._directory), image.id,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            while chunk := await process.stdout.read(CHUNK):
                yield chunk
            if await process.wait():
                raise ImageError("ImageSaveError", f"cannot save image {image.name}: see the agent's log")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def register(self, name: str, directory: Path) -> Image:
        """A root file system that lies unpacked somewhere: used as it is, never copied. Raises ImageError."""
        tag = Reference.parse(name).tagged
        path = str(directory.resolve())
        if not tag or tag == HOST_IMAGE or not directory.is_dir():
            raise ImageError(
                "ErrImageLoad", f"cannot register {path} as {name!r}: no directory, or no free tag"
            )
        record = ImageRecord(
            id="sha256:" + hashlib.sha256(f"directory {path}".encode()).hexdigest(),
            layers=[],
            config=ImageConfig(),
            size=0,
            tags=[tag],
            directory=path,
        )
        await self._change(lambda: self._locked_add(record))
        return self._here(record.id)

    async def remove(self, reference: str, in_use: Collection[str]) -> Sequence[str]:
        """Take a name away, and with the last name the image; what was removed, in words. `in_use` holds ids.

        Raises ImageError, ImageInUse.
        """
        image = self.find(reference)
        if image.id == HOST_ID:
            raise ImageError("ImageInUse", f"image {HOST_IMAGE} is this node itself and cannot be removed")
        by_name = not image.id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
        tag = Reference.parse(reference).tagged if by_name else ""
        if tag in image.tags and len(image.tags) > 1:
            await self._change(lambda: self._untag(image.id, tag))
            return [f"untagged {tag}"]
        if image.id in in_use:
            raise ImageError("ImageInUse", f"image {image.name} is in use by a container")
        await self._change(lambda: self._remove([image.id]))
        return [*(f"untagged {name}" for name in image.tags), f"deleted {image.id}"]

    async def prune(self, in_use: Collection[str], *, every: bool = False) -> tuple[Sequence[str], int]:
        """Remove unused images without a tag (`every`: all unused); their ids, and the bytes freed."""
        ids = [
            image.id
            for image in self._images.values()
            if image.id not in in_use and image.id != HOST_ID and (every or not image.tags)
        ]
        return ids, await self._change(lambda: self._remove(ids))

    async def delete(self, ids: Collection[str]) -> int:
        """Those that are still here, with all their names; the bytes freed. For the garbage collector."""
        here = [self._images[image_id] for image_id in ids if image_id in self._images]
        for image in here:
            logger.info("removing image %s: nobody uses it", image.name)
        return await self._change(lambda: self._remove([image.id for image in here]))

    async def remove_unfinished(self, unused_for: float) -> None:
        """What killed loads and pulls have left; of a pull what nobody went on with for so many seconds."""
        older_than = time.time() - unused_for
        await asyncio.to_thread(lambda: Records(self._directory).remove_unfinished(older_than))

    # Below: in a worker thread, except where awaited

    async def _change(self, work: Callable[[], T]) -> T:
        async with self._changing:
            result = await asyncio.to_thread(work)
        await self._refresh()
        return result

    async def _refresh(self) -> None:
        async with self._reading:
            records = await asyncio.to_thread(lambda: Records(self._directory).all())
            images = [self._host, *(self._image(record) for record in records)]
            self._images = {image.id: image for image in images}
            self.asked_for = {key: at for key, at in self.asked_for.items() if key in self._images}
            self._by_name = {name: image for image in images for name in (*image.tags, *image.digests)}

    def _here(self, image_id: str) -> Image:
        """One that has just been recorded; somebody may have removed it already."""
        if image_id not in self._images:
            raise ImageError("ErrImagePull", f"image {image_id} was removed as soon as it was here")
        return self._images[image_id]

    def _image(self, record: ImageRecord) -> Image:
        paths = Records(self._directory)
        layers = (
            [record.directory] if record.directory else [paths.lower(diff_id) for diff_id in record.layers]
        )
        return Image(
            record.id,
            tuple(layers),
            record.config,
            record.size,
            tuple(record.tags),
            tuple(record.digests),
            tuple(record.allowed),
        )

    async def _loaded(self, answer: bytes) -> Sequence[Image]:
        try:
            result = json.loads(answer)
        except ValueError:
            raise ImageError("ErrImageLoad", "cannot load image archive: the loader was killed") from None
        if "error" in result:
            raise ImageError(result["reason"], result["error"])
        await self._refresh()
        return [self._here(image_id) for image_id in result["images"]]

    def _locked_add(self, record: ImageRecord) -> None:
        records = Records(self._directory)
        with records.lock():
            records.add(record)

    def _untag(self, image_id: str, tag: str) -> None:
        records = Records(self._directory)
        with records.lock():
            for record in records.all():
                if record.id == image_id:
                    records.write(_without(record, tag))

    def _remove(self, ids: Iterable[str]) -> int:
        records = Records(self._directory)
        with records.lock():
            for image_id in ids:
                records.remove(image_id)
            return records.remove_unused_layers() + records.remove_unused_blobs()


def _without(record: ImageRecord, tag: str) -> ImageRecord:
    return replace(record, tags=[other for other in record.tags if other != tag])


async def _feed(stdin: asyncio.StreamWriter, archive: AsyncIterable[bytes]) -> None:
    """The loader may give up early; it has said why on its own."""
    try:
        async for chunk in archive:
            stdin.write(chunk)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return


def _state_directories(paths: Paths) -> list[str]:
    """What a container of localhost/host must not see: secrets and logs of this agent and the usual one."""
    own = [paths.run, paths.lib, paths.log_pods, paths.log_containers, paths.etc]
    standard = Paths.under(None)
    usual = [standard.run, standard.lib, standard.log_pods, standard.log_containers, standard.etc]
    return sorted({os.path.realpath(path) for path in (*own, *usual)})
