"""The audit log: what is in it, what never is, and that it cannot grow without end."""

from __future__ import annotations

import json
import logging

import pytest
from aiohttp.test_utils import make_mocked_request

from minikubelet.api.access import audit as audit_module
from minikubelet.api.access.audit import Audit, FailedLogins, is_write
from minikubelet.api.access.authorization import Attributes
from minikubelet.api.access.user import User
from tests.unit.api.conftest import PODS, pod

WRITE = Attributes("create", "", "pods", "", "default", "web")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_what_and_with_what_end(api):
    api.post(PODS, pod("web"))
    api.request("DELETE", f"{PODS}/none")
    api.get(PODS)
    created, deleted = lines(api.paths.audit_log)
    assert created.pop("time")
    assert created == {
        "user": "kubernetes-admin",
        "verb": "create",
        "resource": "pods",
        "namespace": "default",
        "source": "unix",
        "code": 201,
    }
    assert (deleted["verb"], deleted["name"], deleted["code"]) == ("delete", "none", 404)


@pytest.mark.parametrize(
    ("wanted", "write"),
    [
        (Attributes("get", "", "pods"), False),
        (Attributes("watch", "", "secrets"), False),
        (Attributes("get", path="/api"), False),
        (Attributes("post", path="/minikubelet/v1/images"), True),
        (Attributes("get", "", "pods", "log"), False),
        (Attributes("get", "", "pods", "exec"), True),
        (Attributes("create", "", "pods", "eviction"), True),
        (Attributes("create", "", "serviceaccounts", "token"), True),
        (Attributes("create", "authorization.k8s.io", "selfsubjectaccessreviews"), False),
        (Attributes("create", "authentication.k8s.io", "tokenreviews"), False),
    ],
)
def test_what_a_write_is(wanted, write):
    assert is_write(wanted) is write


def test_the_files_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(audit_module, "SIZE", 10_000)
    log = Audit(tmp_path / "logs" / "audit.log")
    request = make_mocked_request("POST", "/", {"Kubectl-Command": "x" * 100_000 + "\n{}"})
    for _ in range(200):
        log.record(User("y" * 10_000, impersonator="z"), WRITE, 201, request)
    log.close()
    files = sorted((tmp_path / "logs").iterdir())
    assert len(files) == audit_module.FILES
    assert sum(file.stat().st_size for file in files) <= 10_000 * audit_module.FILES
    for file in files:
        assert all(line["impersonator"] == "z" for line in lines(file))
        assert file.stat().st_mode & 0o077 == 0


def test_a_log_that_cannot_be_opened_stops_nobody(api, caplog):
    """As on a full disk."""
    api.paths.audit_log.parent.mkdir(parents=True, exist_ok=True)
    api.paths.audit_log.mkdir()
    assert api.post(PODS, pod("web")).code == 201
    assert "cannot open the audit log" in caplog.text


def test_failed_logins_are_counted_and_told_once_a_minute(caplog):
    now = [0.0]
    logins = FailedLogins(lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for second in range(121):
            now[0] = float(second)
            for _ in range(100):
                logins.add("127.0.0.1")
    assert [record.getMessage().split()[0] for record in caplog.records] == ["1", "6000", "6000"]
