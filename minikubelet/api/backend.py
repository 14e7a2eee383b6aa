"""What the API asks of the node. `agent.node` implements it; tests have a small one of their own.

Everything that is an *object* goes through the store and wakes whoever watches it; only what cannot be an
object (a stream, an image) is a call here. Errors: `ApiError` reaches the client as it is;
`RuntimeServiceError` becomes an error of the stream or a 500 with its text; anything else is a bug, is
logged, and the client reads "Internal error occurred".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from minikubelet.agent.logs import LogOptions
from minikubelet.agent.usage import NodeUsage
from minikubelet.errors import FieldError
from minikubelet.runtime.cri import ExecSession, PortConnection
from minikubelet.store import Store
from minikubelet.v1 import Pod

Object = dict[str, Any]


class Backend(Protocol):
    """The node, as the API sees it. `namespace` and `name` are of a pod that existed a moment ago."""

    @property
    def store(self) -> Store: ...

    @property
    def node_name(self) -> str: ...

    def probe_metrics(self) -> str:
        """The body of `/metrics/probes`, in Prometheus' text format."""

    def refuse(self, pod: Pod) -> list[FieldError]:
        """What a new pod asks for and this node cannot enforce (a limit without its controller)."""

    async def usage(self) -> NodeUsage:
        """What the node and every running container use now; takes half a second at most."""

    async def exec(
        self, namespace: str, name: str, container: str, command: list[str], *, stdin: bool, tty: bool
    ) -> ExecSession:
        """Start a command in a running container, attached to a client."""

    async def attach(
        self, namespace: str, name: str, container: str, *, stdin: bool, tty: bool
    ) -> ExecSession:
        """A client on the container's own streams; its end is the container's."""

    async def port_forward(self, namespace: str, name: str, port: int) -> PortConnection:
        """A connection to a TCP port of the pod's own loopback. PortForwardError holds what to tell."""

    def logs(
        self, pod: Object, container: str, container_id: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        """The log of one instance (`container_id`: 64 hex digits), in pieces that end with whole lines
        where possible.

        With `follow` it ends when that instance has ended and everything was read.
        """

    async def list_images(self) -> list[Object]:
        """The images on this node: `{"id", "names": […], "size", "created", …}`."""

    def load_image(self, archive: AsyncIterator[bytes]) -> AsyncIterator[Object]:
        """Unpack a tar of `docker save` or an OCI layout; yields progress, at last `{"loaded": [names]}`."""

    def save_image(self, name: str) -> AsyncIterator[bytes]:
        """The image as an archive. NotFound."""

    def pull_image(self, name: str) -> AsyncIterator[Object]:
        """Fetch an image; yields progress, at last `{"pulled": name, "id": …}`."""

    async def remove_image(self, name: str) -> Object:
        """Forget a name, and the image with its last one. NotFound, Conflict when it is in use."""

    async def prune_images(self) -> Object:
        """Remove what no pod uses: `{"removed": [names], "bytes": N}`."""
