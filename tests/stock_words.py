"""What a kubectl of today says, kept for machines whose kubectl is an old one.

Our own command line has the words of kubectl 1.33, and tests compare the two live where there is such a
kubectl. Debian's 1.20 says much of it differently: there, what the newer one said is read from a file
beside the test, which MK_RECORD=1 writes anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.stock_kubectl import NEWEST

TODAY = 27  # the oldest whose words are nearly those of the newest

Story = tuple[int, str, str]  # exit code, stdout, stderr

_VARIES = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "<time>",
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]+ [+-]\d{4}": "<time>",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}": "<uid>",
    r"\bsvc-[a-z0-9]{5}\b": "svc-<suffix>",
    r"(?<=\.)[0-9a-f]{16}\b": "<id>",  # of an Event
    r'(?<=resourceVersion: )"\d+"': "<version>",
    r"\b\d{1,2}[smh](\d{1,2}[smh])?\b": "<age>",
    r"/\S*/pytest-[^\s/]*/[^\s/]*/|/tmp/\S*/": "<folder>/",
    r"(?<=kube-api-access-)[a-z0-9]{5}": "<id>",
    r" +|-{3,}": " ",  # columns are as wide as their content
    r" $": "",
}


def settled(story: Story) -> Story:
    """Without what differs from run to run."""
    code, out, err = story
    for pattern, word in _VARIES.items():
        out, err = (re.sub(pattern, word, text, flags=re.M) for text in (out, err))
    return code, out, err


class StockWords:
    """The recorded answers of one test file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.told = json.loads(file.read_text()) if file.exists() else {}

    def compare(self, ours: Story, args: Sequence[str], live: Callable[[], Story]) -> tuple[Story, Story]:
        """Ours and kubectl's, ready to be compared."""
        key = " ".join(args)
        if NEWEST.minor < TODAY:
            code, out, err = self.told[key]
            return settled(ours), (code, out, err)
        theirs = live()
        if os.environ.get("MK_RECORD"):
            self.told[key] = settled(theirs)
            text = json.dumps(self.told, indent=1, sort_keys=True, ensure_ascii=False)
            self.file.write_text(f"{text}\n")
        return ours, theirs
