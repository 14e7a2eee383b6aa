"""What every command is made of: kubectl's flag grammar on top of click, and the session a command works in.

kubectl's flags differ from click's in four ways, all handled in `Command.parse_args`: a boolean may be given
as `--wait=false`; a short flag may carry `=` (`-o=json`); the first `--` is meaningful (what follows is a
command line for the container); and the global flags (`-n`, `--root`) may stand anywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from minikubelet.cli.client import Client
from minikubelet.cli.errors import UsageError
from minikubelet.config import Paths

ROOT_VARIABLE = "MINIKUBELET_ROOT"
AFTER_DASH = "minikubelet.after_dash"

F = TypeVar("F", bound=Callable[..., Any])


class Session:
    """Which agent, which namespace."""

    def __init__(self, root: str | None = None, namespace: str | None = None) -> None:
        self.root = Path(root) if root else None
        self.given_namespace = namespace

    @property
    def namespace(self) -> str:
        return self.given_namespace or "default"

    @property
    def paths(self) -> Paths:
        return Paths.under(self.root)

    @cached_property
    def client(self) -> Client:
        return Client(self.paths.socket)

    @property
    def after_dash(self) -> list[str] | None:
        """What stood behind `--`; None without one."""
        words: list[str] | None = click.get_current_context().meta.get(AFTER_DASH)
        return words


class Command(click.Command):
    """A click command that reads kubectl's flags and shows examples in its help."""

    def __init__(self, *args: Any, examples: str = "", dash: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.dash = dash

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args, words = _split(args)
        if words is not None and self.dash:
            ctx.meta[AFTER_DASH] = words
        elif words is not None:
            args += ["--", *words]
        args, booleans = self._normalise(ctx, args)
        rest = super().parse_args(ctx, args)
        ctx.params.update(booleans)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            error.command = error.command or ctx.command_path
            raise

    def _normalise(self, ctx: click.Context, args: list[str]) -> tuple[list[str], dict[str, bool]]:
        """Take out `--flag=true|false`, and write `-o=json` as `-ojson`."""
        flags = {opt: param for param in self.get_params(ctx) for opt in param.opts}
        kept, booleans = [], {}
        for arg in args:
            word, equals, value = arg.partition("=")
            param = flags.get(word)
            if equals and param is not None and getattr(param, "is_flag", False):
                booleans[str(param.name)] = _boolean(word, value)
            elif equals and param is not None and len(word) == 2:
                kept.append(word + value)
            else:
                kept.append(arg)
        return kept, booleans

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip("\n").splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}".rstrip() + "\n")


def command(
    name: str, *, examples: str, dash: bool = False, cls: type[Command] = Command, **kwargs: Any
) -> Callable[[F], Command]:
    """`@command("get", examples=…)`: a Command whose callback gets the Session first."""

    def decorate(function: F) -> Command:
        settings = {"help_option_names": ["-h", "--help"]}
        made: Command = click.command(
            name, cls=cls, examples=examples, dash=dash, context_settings=settings, **kwargs
        )(_with_session(function))
        return made

    return decorate


def _with_session(function: F) -> Callable[..., Any]:
    @click.option("-n", "--namespace", metavar="NS", help="The namespace; default: default.")
    @click.option("--root", metavar="DIR", help=f"The agent's --root; also ${ROOT_VARIABLE}.")
    @click.pass_context
    def call(ctx: click.Context, /, root: str | None, namespace: str | None, **options: Any) -> Any:
        outer: Session = ctx.obj or Session(os.environ.get(ROOT_VARIABLE))
        session = Session(
            root or (str(outer.root) if outer.root else None), namespace or outer.given_namespace
        )
        return function(session, **options)

    # click collects parameters on the function; ours belong behind the command's own.
    call.__click_params__ += getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    call.__doc__ = function.__doc__
    return call


def _split(args: list[str]) -> tuple[list[str], list[str] | None]:
    if "--" not in args:
        return args, None
    at = args.index("--")
    return args[:at], args[at + 1 :]


def _boolean(flag: str, value: str) -> bool:
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise UsageError(
        f'invalid argument "{value}" for "{flag}" flag: strconv.ParseBool: parsing "{value}": invalid syntax'
    )


def output_option(formats: str) -> Callable[[F], F]:
    return click.option("-o", "--output", default="", metavar="FORMAT", help=f"Output format: {formats}.")


def files_option(required: bool = False) -> Callable[[F], F]:
    help_text = "A manifest, a directory of manifests, or - for stdin; may be repeated."
    return click.option(
        "-f", "--filename", "files", multiple=True, required=required, metavar="FILE", help=help_text
    )


selector_option = click.option(
    "-l", "--selector", default="", metavar="QUERY", help="Label selector: a=b,c!=d,e in (f,g),h,!i."
)


def say(text: str = "") -> None:
    """One line for the user on stdout, shown at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def label_pairs(text: str) -> dict[str, str]:
    """`app=web,tier=front`, as an option for labels has it."""
    pairs = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"unexpected label spec: {part}, expected KEY=VALUE")
        pairs[key] = value
    return pairs


def duration(text: str) -> float:
    """Seconds of a Go duration: `90s`, `1h30m`, `1.5h`, `0`."""
    import re

    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    parts = re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise UsageError(f'time: invalid duration "{text}"')
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)
