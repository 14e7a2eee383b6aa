"""The entry point: imports the one command asked for, and turns every failure into text and an exit code.

Exit codes: 0 done, 1 the agent refused or something failed, 2 wrong usage, 3 the agent cannot be reached or
the node is not fit, 130 interrupted; `exec`, `run -i` and `play` have their own meaning on top (see there).
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from minikubelet.cli.base import ROOT_VARIABLE, Session
from minikubelet.cli.errors import CliError, Exit

# name → (module below `commands`, what `minikubelet --help` says). Help must not import 25 modules.
COMMANDS = {
    "play": ("play", "Run pods from manifests in the foreground, and clean up after them"),
    "agent": ("agent", "Run the node agent"),
    "doctor": ("doctor", "Say whether this machine can run pods, and what it lacks"),
    "apply": ("apply", "Create or change objects from manifests"),
    "create": ("create", "Create objects from manifests, or one of some kinds from flags"),
    "replace": ("replace", "Put whole objects in the place of those that are there"),
    "patch": ("patch", "Change fields of an object"),
    "edit": ("edit", "Change objects in an editor"),
    "diff": ("diff", "Show what apply would change"),
    "set": ("set", "Change the images of containers"),
    "get": ("get", "Show objects"),
    "describe": ("describe", "Show an object in detail, with its events"),
    "logs": ("logs", "Print what a container wrote"),
    "exec": ("exec", "Run a command in a container"),
    "attach": ("attach", "Attach to a running container"),
    "port-forward": ("port_forward", "Forward ports of this machine to a pod"),
    "cp": ("cp", "Copy files to and from containers"),
    "run": ("run", "Create a pod from an image"),
    "delete": ("delete", "Delete objects"),
    "scale": ("scale", "Change how many pods a Deployment or ReplicaSet has"),
    "rollout": ("rollout", "Follow, pause, undo or repeat the rollout of a Deployment"),
    "wait": ("wait", "Wait for a condition of objects"),
    "label": ("label", "Change the labels of objects"),
    "annotate": ("label", "Change the annotations of objects"),
    "taint": ("taint", "Change the taints of the node"),
    "expose": ("expose", "Make a Service for pods that exist"),
    "cordon": ("cordon", "Let no new pods onto the node"),
    "uncordon": ("cordon", "Let new pods onto the node again"),
    "top": ("top", "Show what pods or the node use of CPU and memory"),
    "drain": ("drain", "Make the node empty"),
    "debug": ("debug", "Debug a running pod with a container of its own"),
    "events": ("events", "Show Events in the order they happened"),
    "image": ("image", "The images on the node"),
    "explain": ("explain", "Say which fields are implemented"),
    "kubeconfig": ("kubeconfig", "Print the path of a kubeconfig for kubectl"),
    "auth": ("auth", "Say who one is and what one may do"),
    "api-resources": ("api_resources", "Print the kinds that there are"),
    "api-versions": ("api_resources", "Print the groups and versions that there are"),
    "cluster-info": ("cluster_info", "Say where the API is"),
    "version": ("version", "Print the versions of client and agent"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            import difflib

            for near in difflib.get_close_matches(args[0], COMMANDS, 1):
                ctx.fail(f'unknown command "{args[0]}", did you mean "{near}"?')
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"minikubelet.cli.commands.{COMMANDS[name][0]}")
        found: click.Command = getattr(module, f"{name.replace('-', '_')}_command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--root", metavar="DIR", help=f"Where the agent keeps its state; also ${ROOT_VARIABLE}.")
@click.option("-n", "--namespace", metavar="NS", help="The namespace; default: default.")
@click.pass_context
def cli(ctx: click.Context, root: str | None, namespace: str | None) -> None:
    """Kubernetes pods on one Linux machine, without a cluster.

    Start with `minikubelet doctor`, then `minikubelet play FILE`. Every command has examples in its --help.
    """
    ctx.obj = Session(root or os.environ.get(ROOT_VARIABLE), namespace)


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run the command line; its exit code."""
    try:
        result: Any = cli.main(args, prog_name="minikubelet", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except Exit as end:
        return end.code
    except CliError as error:
        return _report(error.lines(), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        return _report([error.format_message()], 2)
    except click.ClickException as error:
        return _report(_usage_lines(error), 2)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone; nothing may be flushed to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a file that was named to us
        return _report([f"error: {error}"], 1)


def _report(lines: list[str], code: int) -> int:
    sys.stdout.flush()
    for line in lines:
        print(line, file=sys.stderr)
    return code


def _usage_lines(error: click.ClickException) -> list[str]:
    lines = [f"error: {error.format_message()}"]
    context = getattr(error, "ctx", None)
    if context is not None:
        lines.append(f"See '{context.command_path} -h' for help and examples")
    return lines
