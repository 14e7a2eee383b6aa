"""Every namespace has a ServiceAccount named default: the one of pods that name no other. Whoever deletes it
finds a new one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from minikubelet.api.objects import Objects
from minikubelet.api.service_account import ACCOUNTS, DEFAULT
from minikubelet.controllers.reconciler import Reconciler
from minikubelet.controllers.work_queue import Key
from minikubelet.errors import Forbidden, NotFound
from minikubelet.v1.resources import BY_KEY

Object = dict[str, Any]


async def keep(objects: Objects) -> None:
    """For ever."""

    def sync(_: str, namespace: str) -> None:
        furnish(objects, namespace)

    await Reconciler(objects, "namespaces", sync, {ACCOUNTS: namespace_of}).run()


def namespace_of(account: Object) -> Iterable[Key]:
    """The namespace that an account of this name concerns."""
    metadata = account["metadata"]
    return [("", metadata["namespace"])] if metadata["name"] == DEFAULT else []


def furnish(objects: Objects, namespace: str) -> None:
    """What a namespace gets by itself; nothing when it is going."""
    account = {"metadata": {"name": DEFAULT, "namespace": namespace}}
    with contextlib.suppress(Forbidden, NotFound):
        objects.ensure(BY_KEY[ACCOUNTS], account)
