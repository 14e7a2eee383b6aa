"""What all descriptions share: indented lines with elastic tabs, labels, annotations, and the Events at the
end.

Layout and wording follow kubectl's `describe.go`, so that whoever reads one reads the other. Texts from the
API pass through `safe`: a message made inside a container cannot drive the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minikubelet.cli import ages
from minikubelet.cli.client import Client
from minikubelet.cli.commands.events import interval, last_seen
from minikubelet.cli.resources import EVENTS
from minikubelet.cli.tables import elastic, safe

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
LONGEST_ANNOTATION = 140


class Writer:
    """Collects lines; `text` aligns them."""

    def __init__(self) -> None:
        self.blocks: list[list[str]] = [[]]

    def line(self, level: int, text: str) -> None:
        r"""One line (or several) at an indentation of two blanks per level; cells end with \t."""
        self.blocks[-1] += ["  " * level + safe(part) for part in text.split("\n")]

    def flush(self) -> None:
        """What follows is aligned by itself."""
        self.blocks.append([])

    def text(self) -> str:
        return "\n".join(line for block in self.blocks for line in elastic(block))

    def labels(self, title: str, labels: dict[str, str] | None) -> None:
        """One `key=value` per line, all in the second column."""
        pairs = [f"{key}={value}" for key, value in sorted((labels or {}).items())]
        self.many(title, pairs)

    def many(self, title: str, values: Iterable[str]) -> None:
        values = list(values) or ["<none>"]
        self.line(0, f"{title}:\t{values[0]}")
        for value in values[1:]:
            self.line(0, f"\t{value}")

    def annotations(self, annotations: dict[str, str] | None) -> None:
        """`key: value`; long or many-lined values below their key."""
        lines: list[str] = []
        for key, value in sorted((annotations or {}).items()):
            if key == LAST_APPLIED:
                continue
            value = value.removesuffix("\n")
            if len(key) + len(value) + 2 <= LONGEST_ANNOTATION and "\n" not in value:
                lines.append(f"{key}: {value}")
                continue
            lines.append(f"{key}:")
            lines += [f"  {shorten(part, LONGEST_ANNOTATION - 2)}" for part in value.split("\n")]
        self.many("Annotations", lines)

    def events(self, events: list[dict[str, Any]] | None) -> None:
        """kubectl's Events table, oldest first; the field path says which container it is about."""
        if events is None:
            return
        if not events:
            self.line(0, "Events:\t<none>")
            return
        self.flush()
        self.line(0, "Events:")
        self.line(1, "Type\tReason\tAge\tFrom\tMessage")
        self.line(1, "----\t------\t----\t----\t-------")
        for event in sorted(events, key=last_seen):
            source = (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""
            path = (event.get("involvedObject") or {}).get("fieldPath")
            message = (event.get("message") or "").strip()
            message = f"{path}: {message}" if path else message
            row = [event.get("type", ""), event.get("reason", ""), interval(event), source]
            self.line(1, "\t".join([*row, message.replace("\t", " ")]))

    def header(self, item: dict[str, Any], *, namespaced: bool = True) -> None:
        """Name, namespace, labels, annotations, as most kinds begin."""
        metadata = item["metadata"]
        self.line(0, f"Name:\t{metadata['name']}")
        if namespaced:
            self.line(0, f"Namespace:\t{metadata.get('namespace', '')}")
        self.labels("Labels", metadata.get("labels"))
        self.annotations(metadata.get("annotations"))


def events_of(client: Client, item: dict[str, Any]) -> list[dict[str, Any]]:
    """The Events about one object."""
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    wanted = {"involvedObject.name": metadata["name"]}
    if namespace:
        wanted["involvedObject.namespace"] = namespace
        # Events about a static pod carry its own uid, which its mirror knows.
        mirrored = (metadata.get("annotations") or {}).get("kubernetes.io/config.mirror")
        wanted["involvedObject.uid"] = mirrored or metadata.get("uid", "")
    else:
        wanted["involvedObject.kind"] = item["kind"]
    selector = ",".join(f"{key}={value}" for key, value in wanted.items())
    found = client.get(EVENTS.path(namespace), {"fieldSelector": selector, "limit": 500})
    return list(found["items"])


def shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def stamp(value: Any) -> str:
    return ages.long_form(value)


def yes(value: Any) -> str:
    return "True" if value else "False"
