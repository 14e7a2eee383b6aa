"""The memory of the node: every API object, and the log of how they came to be.

`Store` is the only writer. Objects are JSON dicts in Kubernetes' own shape, keyed by (resource, namespace,
name); one growing revision counts all writes of all kinds and is what clients see as `resourceVersion`.
"""

from minikubelet.store.seal import Seal
from minikubelet.store.store import Change, Store
from minikubelet.store.watch import Watch

__all__ = ["Change", "Seal", "Store", "Watch"]
