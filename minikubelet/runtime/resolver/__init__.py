"""The node's own cluster DNS: Services and pods by name, everything else by asking the node's servers.

Bound to the bridge's address, so that pods find it and the world does not. `Names` says what there is;
`answers` makes messages of it; `forwarding` asks on. All of it runs in the agent's event loop and is bounded:
who is no pod and not this node gets no answer, who asks too much gets none either.

While no agent runs nobody answers here; running pods keep everything but names until it is back.
"""

from minikubelet.runtime.resolver.answers import Names, Record
from minikubelet.runtime.resolver.forwarding import Forwarder
from minikubelet.runtime.resolver.server import Resolver

__all__ = ["Forwarder", "Names", "Record", "Resolver"]
