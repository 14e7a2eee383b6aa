"""Side by side with stock kubectl on the same server: the same words, byte for byte."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.stock_kubectl import KUBECTL, NEWEST
from tests.stock_words import TODAY, StockWords
from tests.unit.api.conftest import Api, pod
from tests.unit.cli.conftest import Cli

pytestmark = pytest.mark.kubectl

WORDS = StockWords(Path(__file__).with_name("words.json"))
RICH = """\
apiVersion: v1
kind: Pod
metadata: {name: rich, labels: {app: rich, tier: back}, annotations: {note: short, many: "a\\nb"}}
spec:
  containers:
  - name: main
    image: localhost/host
    command: [sh, -c, "echo one\\necho two"]
    args: [a, "yes", "80", "y"]
    ports: [{containerPort: 80}, {containerPort: 81, protocol: UDP}]
    env: [{name: A, value: b}, {name: LINES, value: "b\\nc"}]
    resources: {limits: {cpu: 100m, memory: 64Mi}, requests: {cpu: 50m}}
    livenessProbe: {httpGet: {path: /healthz, port: 80}, initialDelaySeconds: 3}
    readinessProbe: {exec: {command: [cat, /tmp/x]}}
    startupProbe: {tcpSocket: {port: 80}}
    volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
  - {name: other, image: localhost/host}
  volumes:
  - {name: data, emptyDir: {}}
  - {name: host, hostPath: {path: /tmp}}
"""
MOUNTS = """\
apiVersion: v1
kind: Pod
metadata: {name: mounts}
spec:
  containers:
  - {name: main, image: localhost/host, resources: {limits: {cpu: 100m}}}
  volumes:
  - {name: config, configMap: {name: words}}
  - {name: secret, secret: {secretName: words, optional: true}}
  - name: pod
    downwardAPI:
      items:
      - {path: labels, fieldRef: {fieldPath: metadata.labels}}
      - {path: cpu, resourceFieldRef: {containerName: main, resource: limits.cpu}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {one: "1\n2", two: x}
binaryData: {raw: /w==}
---
apiVersion: v1
kind: Secret
metadata: {name: words}
stringData: {one: "1"}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all comparisons: kubectl takes its time to start."""
    root = tmp_path_factory.mktemp("k")
    running = Api(root, "127.0.0.1:0")
    yield running
    running.close()


@pytest.fixture
def both(server, capsys):
    """Runs the same words by both, and returns the two stories: exit code, stdout, stderr."""
    cli = Cli(server, capsys)
    home = server.root / "home"
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(server.paths.kubeconfig)}
    if not (server.root / "rich.yaml").exists():
        (server.root / "rich.yaml").write_text(RICH)
        cli.ok("apply", "-f", str(server.root / "rich.yaml"))
        cli.apply(server.root, MOUNTS)
        server.post("/api/v1/namespaces/default/pods", pod("web", labels={"app": "web"}))
        cli.pod_runs("web")

    def ours(*args):
        done = cli(*args)
        return done.code, done.out, done.err

    def theirs(*args):
        done = subprocess.run(
            [KUBECTL, *args], capture_output=True, text=True, env=env, timeout=60, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout, done.stderr

    def run(*args):
        return WORDS.compare(ours(*args), args, lambda: theirs(*args))

    run.ours, run.theirs = ours, theirs
    return run


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(args, id=" ".join(args))
        for args in (
            ["get", "pods"],
            ["get", "pods", "-o", "wide", "--show-labels", "-L", "app"],
            ["get", "pods,ns", "-A"],
            ["get", "pod", "web", "nope"],
            ["get", "pod/web", "ns/default", "-o", "name"],
            ["get", "pods", "-o", "yaml"],
            [
                "get",
                "pod",
                "rich",
                "-o",
                "jsonpath={.spec.containers[?(@.name=='main')].ports[*].containerPort}",
            ],
            ["get", "pods", "-o", "custom-columns=N:.metadata.name,I:.spec.containers[*].image"],
            ["get", "pods", "-n", "nowhere"],
            ["get", "pods", "-l", "a in (b"],
            ["get", "pods", "--field-selector=spec.bogus=1"],
            ["get", "pod", "web", "-A"],
            ["get", "cm,unicorns"],
            ["describe", "pod", "rich"],
            ["describe", "pods"],
            ["describe", "pod", "mounts"],
            ["describe", "cm", "words"],
            ["describe", "secret", "words"],
            ["get", "cm,secrets"],
            ["describe", "ns", "default"],
            ["describe", "pod", "nope"],
            ["events"],
            ["logs", "web"],
            ["logs", "nope"],
            ["logs", "rich"],
            ["logs", "web", "--prefix", "--timestamps"],
            ["exec", "web", "--", "exit", "5"],
            ["exec", "web", "--", "missing"],
            ["attach", "web"],
            ["label", "pod", "web", "app=other"],
            ["label", "pod", "web", "none-"],
            ["wait", "--for=condition=Ready", "pod/nope"],
            ["wait", "--for=condition=Ready", "pod/rich", "--timeout=1s"],
            ["wait", "--for=jsonpath={.metadata.name}=web", "pod/web"],
            ["delete", "pod", "nope"],
            ["delete", "pods", "-l", "no=one"],
            ["apply", "-f", "/nowhere"],
            ["apply", "-f", "/dev/null"],
        )
    ],
)
def test_the_same_words(both, args):
    limit = time.monotonic() + 30
    ours, theirs = both(*args)
    while ours != theirs and time.monotonic() < limit:
        # A second may have begun between the two, and have made an age of 1s of 0s.
        ours, theirs = both(*args)
    assert ours == theirs


def test_both_can_apply_in_turns(both, server):
    file = str(server.root / "rich.yaml")
    ours, theirs = (say("apply", "-f", file) for say in (both.ours, both.theirs))
    assert ours == (0, "pod/rich unchanged\n", "")
    # kubectl patches the order of lists to which the server has added (the token's volume and mounts), each
    # time; on a cluster as well. Nothing changes.
    assert theirs == (0, "pod/rich configured\n", "")


NODE = {
    "kind": "Node",
    "apiVersion": "v1",
    "metadata": {"name": "n1"},
    "spec": {"taints": [{"key": "for", "value": "db", "effect": "NoSchedule"}]},
}


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(args, id=" ".join(args))
        for args in (
            ["taint", "nodes", "n1", "a=b:NoSchedule", "c:NoExecute"],
            ["taint", "node", "n1", "for=web:NoSchedule"],
            ["taint", "node", "n1", "for=web:NoSchedule", "--overwrite"],
            ["taint", "node", "n1", "for:PreferNoSchedule"],
            ["taint", "node", "n1", "for-"],
            ["taint", "node", "n1", "for:NoSchedule-", "a:NoExecute"],
            ["taint", "node", "n1", "none-"],
            ["taint", "node", "n1", "for:NoExecute-"],
            ["taint", "node", "n1", "a:Never"],
            ["taint", "node", "n1", "a:NoSchedule", "a=b:NoSchedule"],
            *([["taint", "node", "n1", "a:NoSchedule", "--dry-run=server"]] if NEWEST.minor >= TODAY else []),
            ["taint", "node", "n1", "a:NoSchedule", "--dry-run=client"],
            *([["taint", "node", "n1", "a:NoSchedule", "a-"]] if NEWEST.minor >= TODAY else []),
            ["taint", "nodes", "--all", "a:NoSchedule"],
            ["taint", "pod", "n1", "a:PreferNoSchedule"],
            ["taint", "node", "nope", "a:NoSchedule"],
            ["cordon", "n1"],
            ["cordon", "nope"],
            ["cordon", "pod/n1"],
            ["uncordon", "n1"],
            ["label", "node", "n1", "disk=ssd"],
        )
    ],
)
def test_nodes_are_changed_with_the_same_words_to_the_same_effect(both, server, args):
    server.post("/api/v1/namespaces/default/pods", pod("n1"))  # of the node's name

    def fresh():
        server.request("DELETE", "/api/v1/nodes/n1")
        assert server.post("/api/v1/nodes", NODE).code == 201

    def changed():
        node = server.get("/api/v1/nodes/n1").json
        return node["metadata"].get("labels"), node["spec"]

    fresh()
    ours = both.ours(*args), changed()
    fresh()
    code, out, err = both.theirs(*args)
    # Ours does not advertise its help after such a mistake.
    theirs = (code, out, err.replace("See 'kubectl taint -h' for help and examples\n", "")), changed()
    assert ours == theirs


STATUS = {
    "capacity": {"cpu": "4", "memory": "8000000Ki", "pods": "110", "ephemeral-storage": "100Gi"},
    "allocatable": {"cpu": "3800m", "memory": "7897600Ki", "pods": "110", "ephemeral-storage": "90Gi"},
    "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
        }
    ],
    "nodeInfo": {"machineID": "m", "bootID": "b", "kernelVersion": "6.1", "kubeletVersion": "v1.36.2"},
}


def test_a_node_is_described_in_the_same_words(both, server):
    """Taints, allocated resources in per cent, and the sums of pods with init containers and sidecars."""
    server.request("DELETE", "/api/v1/nodes/n1")
    spec = {**NODE["spec"], "unschedulable": True, "podCIDR": "10.244.0.0/24"}
    labels = {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": "", "disk": "ssd"}}
    made = {**NODE, "metadata": labels, "spec": spec, "status": STATUS}
    assert server.post("/api/v1/nodes", made).code == 201
    busy = pod("busy")
    sizes = [{"cpu": "250m", "memory": "64Mi"}, {"cpu": "1", "memory": "32Mi"}, {"cpu": "100m"}]
    busy["spec"]["nodeName"] = "n1"
    busy["spec"]["containers"][0]["resources"] = {"requests": sizes[0], "limits": {"memory": "128Mi"}}
    once = {"name": "once", "image": "localhost/host", "resources": {"requests": sizes[1]}}
    always = {"name": "always", "image": "localhost/host", "resources": {"requests": sizes[2]}}
    busy["spec"]["initContainers"] = [{**always, "restartPolicy": "Always"}, once]
    assert server.post("/api/v1/namespaces/default/pods", busy).code == 201
    told = both("describe", "node", "n1")
    server.request("DELETE", "/api/v1/namespaces/default/pods/busy", {"gracePeriodSeconds": 0})
    # kubectl 1.36 prints no kube-proxy any more; and the two may see another age.
    ours, theirs = (
        (code, re.sub(r"^ +Kube-Proxy Version:.*\n| +\d+s$", "", text, flags=re.M), complaints)
        for code, text, complaints in told
    )
    assert ours == theirs
    assert "1100m (28%)" in ours[1]


def test_cordoned_twice_is_said(both, server):
    server.request("DELETE", "/api/v1/nodes/n1")
    server.post("/api/v1/nodes", {**NODE, "spec": {"unschedulable": True}})
    ours, theirs = both("cordon", "n1")
    assert ours == theirs == (0, "node/n1 already cordoned\n", "")
    assert both.theirs("uncordon", "n1") == (0, "node/n1 uncordoned\n", "")
