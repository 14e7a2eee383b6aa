"""What every field of every kind is for, in a sentence or two: the texts of `explain` and of OpenAPI.

One file per topic. A type stands at the margin (`EphemeralContainer < Container` has all that the other
has, unless it says otherwise), its fields below it, and a longer text goes on further to the right:

    PodSpec
      nodeName: The node the pod is placed on. Set by the scheduler; when given at creation, the scheduler is
        passed over.

The files are read only when somebody asks. What a type as a whole is stands in the docstring of its struct.
A field without a text fails a test.
"""

from __future__ import annotations

import importlib.resources

RESOURCE = "Resource"  # whose fields every kind has

Texts = dict[str, dict[str, str]]


def read() -> Texts:
    """Type → JSON name of the field → text."""
    texts: Texts = {}
    for file in sorted(importlib.resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".txt"):
            _read(file.read_text(), texts)
    return texts


def _read(lines: str, texts: Texts) -> None:
    """Add the types of one file."""
    fields: dict[str, str] = {}
    name = ""
    for line in lines.splitlines():
        if not line:
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            owner, _, other = line.partition(" < ")
            fields = texts[owner] = dict(texts[other]) if other else {}
        elif indent == 2:
            name, _, fields[name] = line.strip().partition(": ")
        else:
            fields[name] += f" {line.strip()}"
