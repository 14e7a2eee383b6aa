"""What the API may ask about images: list, load, remove, prune. The store of images does the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from minikubelet.errors import BadRequest, Conflict, ImageError, NotFound
from minikubelet.runtime.images import Image, ImageStore
from minikubelet.runtime.images.reference import Reference
from minikubelet.runtime.images.store import HOST_ID
from minikubelet.runtime.service import Service

MAX_IMAGES = 50  # nodeStatusMaxImages


class NodeImages:
    """A part of `Node` (`api.backend.Backend`)."""

    def __init__(self, images: ImageStore, service: Service) -> None:
        self._images = images
        self._service = service

    def images_of_status(self) -> list[dict[str, Any]]:
        """`status.images` of the Node (13.3): the largest first, and no more than 50."""
        images = sorted(self._images.list(), key=lambda image: image.size, reverse=True)
        return [
            {"names": [*image.digests, *image.tags], "sizeBytes": image.size}
            for image in images[:MAX_IMAGES]
            if image.id != HOST_ID
        ]

    async def list_images(self) -> list[dict[str, Any]]:
        return [_shown(image) for image in self._images.list()]

    async def load_image(self, archive: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
        try:
            loaded = await self._images.load(archive)
        except ImageError as error:
            raise BadRequest(str(error)) from error
        yield {"loaded": [image.name for image in loaded]}

    async def save_image(self, name: str) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._images.save(name):
                yield chunk
        except ImageError as error:
            raise NotFound(str(error), name=name, kind="images") from error

    async def pull_image(self, name: str) -> AsyncIterator[dict[str, Any]]:
        """Step by step, with the node's own credentials; whoever stops listening stops the pull."""
        steps: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # None: that was the last
        try:
            known = self._images.node_credentials(Reference.parse(name))
            pull = asyncio.create_task(
                self._images.ensure(name, "Always", lambda: known, told=steps.put_nowait), name=f"pull {name}"
            )
            pull.add_done_callback(lambda _: steps.put_nowait(None))
            try:
                while step := await steps.get():
                    yield step
                image = pull.result()
            finally:
                pull.cancel()
        except ImageError as error:
            raise NotFound(str(error), name=name, kind="images") from error
        yield {"pulled": image.image, "id": image.image_id}

    async def remove_image(self, name: str) -> dict[str, Any]:
        try:
            return {"removed": list(await self._images.remove(name, await self._in_use()))}
        except ImageError as error:
            kind = Conflict if error.reason == "ImageInUse" else NotFound
            raise kind(str(error), name=name, kind="images") from error

    async def prune_images(self) -> dict[str, Any]:
        removed, freed = await self._images.prune(await self._in_use(), every=True)
        return {"removed": list(removed), "bytes": freed}

    async def inspect_image(self, name: str) -> dict[str, Any]:
        try:
            return self._images.inspect(name)
        except ImageError as error:
            raise NotFound(str(error), name=name, kind="images") from error

    async def _in_use(self) -> set[str]:
        """The ids of all images that an instance of a container was made from."""
        pods = [await self._service.pod_status(uid) for uid in await self._service.list_pods()]
        return self._images.ids_of(c.image_id for pod in pods for c in pod.containers if c.image_id)


def _shown(image: Image) -> dict[str, Any]:
    return {"id": image.id, "names": [*image.tags, *image.digests], "size": image.size}
