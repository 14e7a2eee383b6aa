r"""Shell sessions as tests: Markdown in which commands stand above what they print.

    ## A section is one test          (a heading may end in "(since 1.27)": of kubectl's minor version)

    ```yaml web.yaml                  a file is written
    ```console
    $ kubectl get pod web             run by sh, in a folder of the section's own; `> ` goes on with a command
    NAME   READY   STATUS    RESTARTS   AGE
    web    1/1     Running   0          <age>
    $ kubectl get pod nope
    ! Error from server (NotFound): pods "nope" not found
    [1]
    ```

stdout comes first, then stderr behind `! `, then the exit code unless it is 0; a block is compared whole.
`<age>`, `<time>`, `<ip>`, `<id>` and `<any>` stand for what differs from run to run, a line `...` for any
lines; how wide columns are is not compared. What only some versions print is written `(<1.30) line`; a
command that old ones do not know ends in `# since 1.27`, one that minikubelet has not, or answers on purpose
in other words, in `# kubectl only`.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PATTERNS = {
    "<age>": r"(?:\d+[smhdy]){1,2}|<invalid>",
    "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|"
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]+ [+-]\d{4}",
    "<ip>": r"\d+\.\d+\.\d+\.\d+",
    "<id>": r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}|[a-z0-9]{5}",
    "<any>": r".*?",
}
ANY_LINES = "..."
NOT_OURS = "kubectl only"


@dataclass(frozen=True)
class Step:
    """A command and what it prints; `line` is where it stands."""

    command: str
    expected: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class File:
    """What is written before the next command."""

    name: str
    text: str


@dataclass
class Section:
    """One heading's commands, in order."""

    title: str
    since: int = 0
    parts: list[Step | File] = field(default_factory=list)

    def __str__(self) -> str:
        return self.title

    @property
    def steps(self) -> list[Step]:
        return [part for part in self.parts if isinstance(part, Step)]


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    stdout: str
    stderr: str
    code: int

    @property
    def lines(self) -> list[str]:
        """As a transcript shows it."""
        told = self.stdout.splitlines() + [f"! {line}".rstrip() for line in self.stderr.splitlines()]
        return told + ([f"[{self.code}]"] if self.code else [])


def read(path: Path) -> list[Section]:
    """The sections of a file that have commands. The files of a section without any are there in all."""
    sections: list[Section] = []
    lines = enumerate(path.read_text().splitlines(), 1)
    for _, line in lines:
        if line.startswith("## "):
            title, _, since = line[3:].partition(" (since 1.")
            sections.append(Section(title, int(since.rstrip(")") or 0)))
        elif line == "```console":
            sections[-1].parts += _steps(lines)
        elif line.startswith("```") and " " in line:
            text = "".join(f"{inside}\n" for _, inside in _fenced(lines))
            sections[-1].parts.append(File(line.split()[1], text))
    shared = [part for section in sections if not section.steps for part in section.parts]
    told = [section for section in sections if section.steps]
    for section in told:
        section.parts[:0] = shared
    return told


def _fenced(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if line == "```":
            return
        yield number, line


def _steps(lines: Iterator[tuple[int, str]]) -> Iterator[Step]:
    number, command, expected = 0, "", list[str]()
    for at, line in _fenced(lines):
        if line.startswith("$ "):
            if command:
                yield Step(command, tuple(expected), number)
            number, command, expected = at, line[2:], []
        elif line.startswith("> ") and not expected:
            command += f"\n{line[2:]}"
        else:
            expected.append(line)
    yield Step(command, tuple(expected), number)


class Shell:
    """Where a section runs: a folder, and programs by the names that the commands use."""

    def __init__(self, folder: Path, programs: dict[str, str], **environment: str) -> None:
        self.folder = folder
        bin_folder = folder / ".bin"
        bin_folder.mkdir(parents=True)
        for name, script in programs.items():
            (bin_folder / name).write_text(f'#!/bin/sh\nexec {script} "$@"\n')
            (bin_folder / name).chmod(0o755)
        path = f"{bin_folder}:{os.environ['PATH']}"
        self.environment = {"PATH": path, "HOME": str(bin_folder), "TERM": "dumb", **environment}

    def write(self, file: File) -> None:
        (self.folder / file.name).write_text(file.text)

    def run(self, step: Step, limit: float = 60) -> Outcome:
        done = subprocess.run(
            ["bash", "-c", step.command], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=limit,
        )  # fmt: skip
        return Outcome(done.stdout, done.stderr, done.returncode)


def play(
    section: Section, shell: Shell, minor: int, limit: float = 60, *, ours: bool = False
) -> list[Outcome]:
    """Run a section; the first command that prints something else fails the test, with a diff. `ours`: by our
    own command line.
    """
    outcomes = []
    for part in section.parts:
        if isinstance(part, File):
            shell.write(part)
            continue
        if since_of(part) > minor or (ours and part.command.partition("\n")[0].endswith(NOT_OURS)):
            continue
        outcome = shell.run(part, limit)
        outcomes.append(outcome)
        expected = for_version(part.expected, minor)
        if not matches(expected, outcome.lines):
            diff = "\n".join(
                difflib.unified_diff(expected, outcome.lines, "expected", "printed", lineterm="")
            )
            raise AssertionError(f"line {part.line}: $ {part.command}\n{diff}")
    return outcomes


def since_of(step: Step) -> int:
    """The minor version of kubectl a command needs."""
    found = re.search(r"# since 1\.(\d+)\b", step.command.partition("\n")[0])
    return int(found[1]) if found else 0


def for_version(lines: tuple[str, ...], minor: int) -> list[str]:
    """Without the lines that other versions print."""
    chosen = []
    for line in lines:
        marked = re.match(r"\((<|>=)1\.(\d+)\) ?", line)
        if marked is None:
            chosen.append(line)
        elif (minor < int(marked[2])) == (marked[1] == "<"):
            chosen.append(line[marked.end() :])
    return chosen


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether the lines are those that were expected."""
    pattern = "".join(r"(?:.*\n)*" if line == ANY_LINES else f"{_pattern(line)}\n" for line in expected)
    return re.fullmatch(pattern, "".join(f"{squeezed(line)}\n" for line in printed)) is not None


def squeezed(line: str) -> str:
    """With the gaps between columns two spaces wide."""
    return re.sub(r"(?<=\S)(?:  +|\t+ *)(?=\S)", "  ", line).rstrip()


def _pattern(line: str) -> str:
    parts = re.split(f"({'|'.join(PATTERNS)})", squeezed(line))
    return "".join(f"(?:{PATTERNS[part]})" if part in PATTERNS else re.escape(part) for part in parts)
