"""`auth`: who one is to the agent, and what one may do."""

from __future__ import annotations

from typing import Any

import click

from minikubelet.cli import printers, resources
from minikubelet.cli.base import Command, Session, command, output_option, say
from minikubelet.cli.client import Client
from minikubelet.cli.errors import Exit, UsageError
from minikubelet.cli.tables import layout

GROUP = "/apis/authorization.k8s.io/v1"


class AuthGroup(Command, click.Group):
    """`auth` is a word before others."""


@command("auth", cls=AuthGroup, examples="minikubelet auth can-i delete pods")
def auth_command(session: Session) -> None:
    """Say who one is and what one may do."""
    click.get_current_context().obj = session


@command(
    "can-i",
    examples="""
    # yes, or no and exit code 1
    minikubelet auth can-i delete pods
    minikubelet auth can-i get pods/log -n team
    minikubelet auth can-i get /healthz
    # Everything
    minikubelet auth can-i --list
    """,
)
@click.argument("args", nargs=-1, metavar="VERB TYPE[/NAME] | VERB PATH")
@click.option("--list", "every", is_flag=True, help="All that is allowed.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@click.option("--subresource", default="", metavar="NAME", help="E.g. log, exec.")
@click.option("-q", "--quiet", is_flag=True, help="Only the exit code.")
@click.option("--no-headers", is_flag=True, help="With --list: leave the header line out.")
def can_i_command(
    session: Session,
    args: tuple[str, ...],
    every: bool,
    all_namespaces: bool,
    subresource: str,
    quiet: bool,
    no_headers: bool,
) -> int:
    """Say whether something is allowed."""
    namespace = "" if all_namespaces else session.namespace
    if every:
        _list(session.client, namespace, no_headers)
        return 0
    if len(args) != 2:
        raise UsageError("you must specify two arguments: verb resource or verb resource/resourceName")
    verb, what = args
    if what.startswith("/"):
        spec: dict[str, Any] = {"nonResourceAttributes": {"verb": verb, "path": what}}
    else:
        spec = {"resourceAttributes": _asked(session.client, verb, what, namespace, subresource)}
    status = _review(session.client, GROUP, "SelfSubjectAccessReview", spec)["status"]
    if not quiet:
        reason = f" - {status['reason']}" if status.get("reason") and not status["allowed"] else ""
        say("yes" if status["allowed"] else f"no{reason}")
    if not status["allowed"]:
        raise Exit(1)
    return 0


@command("whoami", examples="minikubelet auth whoami")
@output_option("yaml, json, jsonpath=…")
def whoami_command(session: Session, output: str) -> None:
    """Say who the agent takes one for."""
    printers.check_format(output)
    review = _review(session.client, "/apis/authentication.k8s.io/v1", "SelfSubjectReview", {})
    if output:
        printers.print_object(review, output)
        return
    user = review["status"]["userInfo"]
    rows = [["ATTRIBUTE", "VALUE"], ["Username", user.get("username", "")]]
    if user.get("groups"):
        rows.append(["Groups", f"[{' '.join(user['groups'])}]"])
    for line in layout(rows):
        say(line)


for _part in (can_i_command, whoami_command):
    auth_command.add_command(_part)  # type: ignore[attr-defined]


def _asked(client: Client, verb: str, what: str, namespace: str, subresource: str) -> dict[str, str]:
    """The attributes; what is no known kind (`*`, say) is asked for by its name."""
    kind, _, name = what.partition("/")
    asked = {"verb": verb, "resource": kind, "name": name, "subresource": subresource}
    known = next((one for one in resources.KNOWN if kind in (one.name, one.singular, *one.short)), None)
    if known is None and kind != "*":
        known = resources.find(client, kind)
    if known is not None:
        asked |= {"resource": known.name, "group": known.group}
        namespace = namespace if known.namespaced else ""
    elif kind == "*":
        asked["group"] = "*"
    return {key: value for key, value in {**asked, "namespace": namespace}.items() if value}


def _review(client: Client, group: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    body = {"apiVersion": group.removeprefix("/apis/"), "kind": kind, "metadata": {}, "spec": spec}
    if not spec:
        del body["spec"]
    answer: dict[str, Any] = client.post(f"{group}/{kind.lower()}s", body)
    return answer


def _list(client: Client, namespace: str, no_headers: bool) -> None:
    spec = {"namespace": namespace or "default"}
    status = _review(client, GROUP, "SelfSubjectRulesReview", spec)["status"]
    rows = [] if no_headers else [["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]]
    for rule in status.get("resourceRules") or ():
        groups = rule.get("apiGroups") or [""]
        names = sorted(
            f"{resource}.{group}" if group else resource
            for resource in rule.get("resources") or ()
            for group in groups
        )
        rows += [[name, "[]", _words(rule.get("resourceNames")), _words(rule["verbs"])] for name in names]
    rows += [
        ["", _words(rule.get("nonResourceURLs")), "[]", _words(rule["verbs"])]
        for rule in status.get("nonResourceRules") or ()
    ]
    for line in layout(rows):
        say(line)


def _words(values: list[str] | None) -> str:
    return f"[{' '.join(values or ())}]"
