"""What can go wrong at the command line, and how it is told: kubectl's words, one mistake per line.

CliError                  exit code 1   error: …
├─ UsageError             exit code 2   a wrong flag or argument
├─ AgentUnreachable       exit code 3   no agent behind the socket, with how to start one
├─ TimedOut                exit code 1   a wait took longer than --timeout
├─ NodeNotFit             exit code 3   this machine lacks something
├─ StatusError            exit code 1   the agent refused: `Error from server (NotFound): pods "x" not found`
└─ ManyErrors             exit code 1   several of the above, from several objects; all are printed
Exit                      any           ends with an exit code and says nothing (exec passes codes through)

Commands raise; `cli.main` is the one place that prints and exits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class CliError(Exception):
    """Printed as `error: <message>`."""

    exit_code = 1

    def lines(self) -> list[str]:
        return [f"error: {self}"]


class UsageError(CliError):
    """A wrong flag or argument; `command` is filled in on the way out, to say where help is."""

    exit_code = 2
    command = ""

    def lines(self) -> list[str]:
        hint = [f"See '{self.command} -h' for help and examples"] if self.command else []
        return [*super().lines(), *hint]


class AgentUnreachable(CliError):
    """Nobody answers on the agent's socket."""

    exit_code = 3


class NodeNotFit(CliError):
    """The machine cannot run pods; the message says what is missing."""

    exit_code = 3


class TimedOut(CliError):
    """The deadline of a wait has passed."""


class Exit(Exception):
    """The command has said all there is to say."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class StatusError(CliError):
    """A Status object other than Success. `doing` is kubectl's prefix: `error when creating "web.yaml"`."""

    def __init__(self, status: dict[str, Any], doing: str = "") -> None:
        super().__init__(status.get("message") or "unknown error")
        self.status = status
        self.doing = doing

    @property
    def reason(self) -> str:
        return str(self.status.get("reason") or "")

    @property
    def code(self) -> int:
        return int(self.status.get("code") or 0)

    def lines(self) -> list[str]:
        """As kubectl's StandardErrorMessage: an Invalid object is told from its causes."""
        details = self.status.get("details") or {}
        if self.reason == "Invalid":
            return self._invalid(details)
        if self.reason == "Unauthorized":
            return [f"error: You must be logged in to the server ({self})"]
        message = f"{self.doing}: {self}" if self.doing else str(self)
        reason = f" ({self.reason})" if self.reason and self.reason != "Unknown" else ""
        return f"Error from server{reason}: {message}".splitlines()

    def _invalid(self, details: dict[str, Any]) -> list[str]:
        if not details.get("name") and not details.get("causes"):
            return [f"The request is invalid: {self}"]
        causes = [_cause(cause) for cause in details.get("causes") or ()]
        intro = f'The {details.get("kind")} "{details.get("name")}" is invalid'
        if len(causes) == 1:
            return [f"{intro}: {causes[0]}"]
        return [f"{intro}: ", *(f"* {cause}" for cause in causes)]


class ManyErrors(CliError):
    """What went wrong with several objects; the exit code is the gravest."""

    def __init__(self, errors: Sequence[CliError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = list(errors)
        self.exit_code = max(error.exit_code for error in errors)

    def lines(self) -> list[str]:
        return [line for error in self.errors for line in error.lines()]


def raise_all(errors: Sequence[CliError]) -> None:
    """Raise what was collected, if anything was."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ManyErrors(errors)


def _cause(cause: dict[str, Any]) -> str:
    field, message = cause.get("field"), cause.get("message", "")
    return f"{field}: {message}" if field else message
