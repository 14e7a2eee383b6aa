"""The Kubernetes API of one node, and the only way into it.

Read `routes` first (the whole API as one table), then `objects` (what get, list, create, update, patch and
delete mean), then `server` (sockets, who may come in, errors). Each endpoint decodes, asks, encodes.
Objects live in the store; what only the node can do (exec, logs, images) is asked of the `Backend`.
"""

from minikubelet.api.server import PodsDoor, Server, serve

__all__ = ["PodsDoor", "Server", "serve"]
