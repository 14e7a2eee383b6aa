"""The kubectl of this machine, for tests marked `kubectl`; `conftest` rules where there may be none."""

from __future__ import annotations

import shutil

KUBECTL = shutil.which("kubectl") or ""
