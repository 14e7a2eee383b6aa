"""`create service`, `expose`, `run --expose`: side by side with stock kubectl, on one server."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stock_kubectl import KUBECTL
from tests.stock_words import StockWords, Story
from tests.unit.api.conftest import PODS, Api, pod
from tests.unit.cli.conftest import Cli

RECORDED = StockWords(Path(__file__).with_name("words_of_services.json"))

SHOWN = "--dry-run=client -o yaml"
WORDS = f"""
create service clusterip web --tcp=80:8080 --tcp=81,82:http {SHOWN}
create service clusterip web --clusterip=None {SHOWN}
create service clusterip web --clusterip=10.96.0.9 --tcp=80 {SHOWN}
create service clusterip web
create service clusterip web --tcp=x
create service nodeport web --tcp=80 --node-port=30080 {SHOWN}
create service loadbalancer web --tcp=80 {SHOWN}
create service externalname web --external-name=a.b {SHOWN}
create svc externalname web --external-name=a.b --dry-run=server
create service nodeport web --tcp=80 --node-port=80
expose pod full
expose pod full --name=f --port=80 --target-port=http --type=NodePort {SHOWN}
expose pod/full --name=g --port=80,81 --protocol=UDP --labels=a=b --selector=c=d {SHOWN}
expose pod full --name=h --cluster-ip=None --session-affinity=ClientIP {SHOWN}
expose svc full --name=i --port=8080 {SHOWN}
expose pod full
expose pod bare
expose pod bare --port=80 --selector=a=b --dry-run=server
expose pod labelled
expose pod none --port=80
expose pod full --port=x
run one --image=a --port=80 --expose --dry-run=client
run one --image=a --expose
run one --image=a --port=80 --expose
get svc one -o jsonpath={{.spec.selector}}{{.spec.ports[0].targetPort}}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Api]]:
    """One for each of both, with the same pods."""
    both = tuple(Api(tmp_path_factory.mktemp("s"), "127.0.0.1:0") for _ in range(2))
    for api in both:
        full, labelled = pod("full", labels={"app": "full"}), pod("labelled", labels={"app": "x"})
        full["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 8080}]
        for made in (full, labelled, pod("bare")):
            assert api.post(PODS, made).code == 201
    yield both[0], both[1]
    for api in both:
        api.close()


@pytest.mark.kubectl
@pytest.mark.parametrize("line", WORDS.strip().splitlines())
def test_the_same_service_or_the_same_mistake_as_kubectl(
    servers: tuple[Api, Api], capsys: pytest.CaptureFixture[str], line: str
) -> None:
    ours, theirs = servers
    args = shlex.split(line)
    home = theirs.root / "home"
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(theirs.paths.kubeconfig)}

    def stock() -> Story:
        done = subprocess.run([KUBECTL, *args], capture_output=True, text=True, env=env, timeout=60)
        out = done.stdout
        for noise in ("  creationTimestamp: null\n", "status:\n  loadBalancer: {}\n"):
            out = out.replace(noise, "")
        return bool(done.returncode), out, done.stderr

    done = Cli(ours, capsys)(*args)
    story = bool(done.code), done.out, done.err.replace("minikubelet", "kubectl")
    story, expected = RECORDED.compare(story, args, stock)
    assert story == expected
