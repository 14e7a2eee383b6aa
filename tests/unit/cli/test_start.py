"""Starting quickly, reading flags as kubectl does, and failing with the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest

from minikubelet.cli.base import Command
from minikubelet.cli.main import COMMANDS, run
from minikubelet.cli.main import cli as group

HEAVY = ("aiohttp", "asyncio", "http.client", "email", "ssl", "msgspec", "yaml", "pyroute2", "subprocess")


@pytest.mark.parametrize(
    "args", [["get", "pods"], ["exec", "web", "--", "true"], ["logs", "web"], ["delete", "pod", "a"]]
)
def test_a_command_loads_nothing_heavy(args, web, cli):
    code = (
        "import sys, json\n"
        "from minikubelet.cli.main import run\n"
        f"run(['--root', {str(cli.api.root)!r}, *{args!r}])\n"
        "print('\\n' + json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & set(HEAVY)
    modules = {name for name in loaded if name.startswith("minikubelet.cli.commands.")}
    assert len(modules) <= 2, "only the command's own module, and at most one it builds on"


def test_help_imports_no_command():
    code = "import sys; from minikubelet.cli.main import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "minikubelet.cli.commands" not in done.stdout
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


def every_command():
    context = click.Context(group)
    for name in COMMANDS:
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from ((f"{name} {inner}", command) for inner, command in found.commands.items())
        else:
            yield name, found


@pytest.mark.parametrize(("name", "command"), [pytest.param(*pair, id=pair[0]) for pair in every_command()])
def test_every_command_has_help_with_examples(name, command, capsys):
    assert isinstance(command, Command)
    assert run([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"minikubelet {name}" in text or f"minikubelet --root DIR {name}" in text
    assert command.help


@pytest.mark.parametrize(
    "args",
    [
        ["-n", "other", "get", "pods"],
        ["get", "pods", "-n", "other"],
        ["get", "pods", "-nother"],
        ["get", "pods", "-n=other"],
        ["get", "pods", "--namespace=other"],
        ["get", "-n", "other", "pods"],
    ],
)
def test_the_namespace_may_stand_anywhere(cli, args):
    assert cli(*args).err == "No resources found in other namespace.\n"


@pytest.mark.parametrize(
    ("flag", "events"),
    [
        ("--no-headers=true", False),
        ("--no-headers", False),
        ("--no-headers=false", True),
        ("--no-headers=F", True),
    ],
)
def test_a_boolean_may_have_a_value(cli, web, flag, events):
    assert ("NAME" in cli.ok("get", "pods", flag)) is events


def test_a_wrong_boolean_is_a_usage_error(cli):
    err = cli.fails("get", "pods", "--no-headers=maybe", code=2)
    assert err.startswith('error: invalid argument "maybe" for "--no-headers" flag')


@pytest.mark.parametrize(
    "args",
    [
        ["get"],
        ["get", "pods", "--bogus"],
        ["nonsense"],
        ["aply", "-f", "x"],
        ["get", "pods", "-o", "bogus"],
        ["get", "pods", "web", "-l", "a=b"],
        ["get", "pod", "pod/web"],
        ["get", "pod/"],
        ["exec", "web", "ls"],
        ["exec", "web", "--"],
        ["exec"],
        ["logs"],
        ["logs", "web", "--tail=-2"],
        ["logs", "web", "--since=0s"],
        ["logs", "web", "--limit-bytes=0"],
        ["logs", "web", "--since=1s", "--since-time=2026-01-01T00:00:00Z"],
        ["logs", "web", "main", "-c", "main"],
        ["delete", "pod"],
        ["delete"],
        ["delete", "pod", "web", "--now", "--grace-period=3"],
        ["delete", "pod", "web", "--force", "--grace-period=3"],
        ["run", "x"],
        ["run", "--image=y"],
        ["run", "x", "--image=y", "--restart=Sometimes"],
        ["run", "x", "--image=y", "--rm"],
        ["label", "pod", "web"],
        ["wait", "pod/web", "--for=nonsense"],
        ["apply"],
        ["explain", "pod", "-o", "xml"],
        ["play"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_message(cli, args):
    result = cli(*args)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert " -h' for help" in result.err
    assert result.out == ""


def test_the_environment_names_the_root(api, monkeypatch, capsys):
    monkeypatch.setenv("MINIKUBELET_ROOT", str(api.root))
    assert run(["get", "nodes"]) == 0
    assert run(["kubeconfig", "--root", "/elsewhere"]) == 0
    assert "/elsewhere/etc/kubeconfig" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_traceback(cli, web):
    read, write = os.pipe()
    os.close(read)
    try:
        command = cli.command("get", "pods", "-o", "yaml")
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_version_names_both_sides(cli):
    lines = cli.ok("version").splitlines()
    assert lines[0].startswith("Client Version: v")
    assert lines[1].startswith("Server Version: v1.")
    assert cli.ok("version", "--client").splitlines() == lines[:1]


def test_what_is_not_supported_is_listed_without_an_agent(capsys):
    assert run(["explain", "--unsupported"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["FIELD", "STATE", "WHEN", "WHY", "COMES"]
    assert "spec.runtimeClassName" in out
    assert run(["explain", "--unsupported", "pod.spec.runtimeClassName"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
