"""`doctor`: is this machine fit to be a node? Needs no agent.

Exit code 0: the node can run pods, perhaps without some comfort; 1: it lacks something it cannot do without.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from minikubelet.cli.base import Session, command, output_option, say
from minikubelet.cli.errors import UsageError
from minikubelet.runtime.doctor import Check, checks

COLOURS = {"ok": "32", "lacks": "33", "FAIL": "31;1"}


@command(
    "doctor",
    examples="""
    # What this machine has and lacks, with the remedy for each
    sudo minikubelet doctor
    # For a script; the exit code is 0 when pods can run
    sudo minikubelet doctor -o json
    """,
)
@output_option("json")
def doctor_command(session: Session, output: str) -> int:
    """Say whether this machine can run pods, and what it lacks."""
    if output not in ("", "json"):
        raise UsageError(
            f'unable to match a printer suitable for the output format "{output}": json is known'
        )
    found = checks(session.paths.lib)
    if output:
        say(json.dumps([asdict(check) for check in found], indent=2))
    else:
        _print(found)
    return 0 if fit(found) else 1


def fit(found: list[Check]) -> bool:
    return all(check.ok for check in found if check.required)


def _print(found: list[Check]) -> None:
    width = max(len(check.name) for check in found)
    for check in found:
        say(f"{_word(check)}  {check.name:<{width}}  {check.detail}")
        if check.remedy:
            say(f"{'':5}  {'':<{width}}  → {check.remedy}")
    lacking = sum(not check.ok for check in found)
    if not fit(found):
        say("\nThis machine cannot run pods yet: see what is marked FAIL.")
    elif lacking:
        say("\nThis machine can run pods, without what it lacks above.")
    else:
        say("\nThis machine can run pods.")


def _word(check: Check) -> str:
    word = "ok" if check.ok else "FAIL" if check.required else "lacks"
    padded = f"{word:<5}"
    return f"\x1b[{COLOURS[word]}m{padded}\x1b[0m" if sys.stdout.isatty() else padded
