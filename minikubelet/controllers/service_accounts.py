"""Every namespace has a ServiceAccount named default: the one of pods that name no other."""

from __future__ import annotations

import contextlib
import logging

from minikubelet.api.objects import Objects
from minikubelet.errors import Expired, Forbidden, NotFound
from minikubelet.v1.resources import BY_KEY

log = logging.getLogger(__name__)


def furnish(objects: Objects, namespace: str) -> None:
    """What a namespace gets by itself; nothing when it is going."""
    account = {"metadata": {"name": "default", "namespace": namespace}}
    with contextlib.suppress(Forbidden, NotFound):
        objects.ensure(BY_KEY["serviceaccounts"], account)


async def keep(objects: Objects) -> None:
    """For ever: furnish what is new."""
    while True:
        try:
            watch = objects.store.watch("namespaces")
            for namespace in objects.list(BY_KEY["namespaces"], "").items:
                furnish(objects, namespace["metadata"]["name"])
            async for kind, obj, _ in watch:
                if kind == "ADDED":
                    furnish(objects, obj["metadata"]["name"])
            return
        except Expired:
            log.info("the watch of namespaces fell behind: looking at all of them again")
