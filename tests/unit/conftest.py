"""What the unit tests share."""

from __future__ import annotations

from hypothesis import settings

# An example may take longer than 200 ms where processors are scarce. (In CI hypothesis knows that by itself.)
settings.register_profile("any machine", settings(), deadline=None)
settings.load_profile("any machine")
