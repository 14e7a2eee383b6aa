"""The real kubectl over HTTPS, with the kubeconfig the server wrote: what `kubectl.md` has no words for."""

from __future__ import annotations

import json
import re

import pytest

from minikubelet.api.discovery import group_versions
from tests.stock_kubectl import Kubectl
from tests.unit.api.conftest import PODS, pod

pytestmark = pytest.mark.kubectl
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: main
    image: localhost/host
    command: [sleep, "3600"]
"""


@pytest.fixture
def kubectl(https):
    stock = Kubectl(https.root / "home", https.paths.kubeconfig)
    stock.api = https
    return stock


def test_describe_prints_what_is_known(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    text = kubectl("describe", "pod", "web")
    for line in ("Name: web", "Status: Pending", "QoS Class: BestEffort"):
        assert line in re.sub(" +", " ", text)
    assert re.search(r"Events: +<none>\n$", text)


def test_wait_sees_a_condition_and_a_deletion(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    waiting = kubectl.start("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    kubectl.api.bind("web")
    kubectl.api.set_status("web", conditions=[{"type": "Ready", "status": "True"}])
    assert waiting.communicate(timeout=60)[0] == "pod/web condition met\n"
    kubectl.api.request("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
    if kubectl.minor >= 27:  # older ones take a missing object for a mistake
        assert kubectl("wait", "--for=delete", "pod/web", "--timeout=30s") == ""


def test_objects_that_kubectl_sends_in_protobuf(kubectl):
    assert kubectl("create", "configmap", "c", "--from-literal=key=value") == "configmap/c created\n"
    assert kubectl("create", "secret", "generic", "s", "--from-literal=key=value") == "secret/s created\n"
    assert kubectl("create", "namespace", "n") == "namespace/n created\n"
    assert kubectl("create", "serviceaccount", "a", "-n", "n") == "serviceaccount/a created\n"
    assert json.loads(kubectl("get", "cm", "c", "-o", "json"))["data"] == {"key": "value"}
    assert json.loads(kubectl("get", "secret", "s", "-o", "json"))["data"] == {"key": "dmFsdWU="}
    assert kubectl("delete", "namespace", "n") == 'namespace "n" deleted\n'


def running(kubectl, name="web"):
    """A pod as the node would show it."""
    kubectl.api.post(PODS, pod(name))
    kubectl.api.bind(name)
    status = {
        "name": "main",
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "ready": True,
        "restartCount": 0,
        "containerID": "minikubelet://" + "a" * 64,
        "image": "x",
        "imageID": "",
    }
    kubectl.api.set_status(name, phase="Running", containerStatuses=[status])


def test_exec_passes_streams_and_the_exit_code(kubectl):
    running(kubectl)
    assert kubectl("exec", "web", "--", "echo", "hello world") == "echo hello world\n"
    assert kubectl("exec", "-i", "web", "--", "cat", stdin="some text") == "cat\nsome text"
    failed = kubectl.run("exec", "web", "--", "exit", "5")
    assert (failed.returncode, failed.stderr) == (5, "command terminated with exit code 5\n")
    missing = kubectl.run("exec", "web", "--", "missing")
    assert (missing.returncode, missing.stderr) == (1, "error: no such program\n")


def test_exec_in_a_container_that_does_not_run_is_an_error_and_no_more(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    assert kubectl.fails("exec", "-i", "web", "--", "cat", stdin="text") == (
        'Error from server (BadRequest): container not found ("main")\n'
    )


def test_attach_reports_success_whatever_the_exit_code(kubectl):
    running(kubectl)
    assert kubectl("attach", "web") == "exit 7\n"


def test_force_deletion_and_now(kubectl):
    running(kubectl)
    assert 'pod "web" force deleted' in kubectl("delete", "pod", "web", "--force", "--grace-period=0")
    running(kubectl, "b")
    kubectl("delete", "pod", "b", "--now", "--wait=false")
    assert kubectl.api.get(f"{PODS}/b").json["metadata"]["deletionGracePeriodSeconds"] == 1


def test_what_is_offered(kubectl):
    resources = kubectl("api-resources", "--no-headers", "-o", "name").split()
    assert {"pods", "configmaps", "leases.coordination.k8s.io"} <= set(resources)
    assert set(kubectl("api-versions").split()) == set(group_versions())
    version = json.loads(kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"].startswith("v1.32.0+minikubelet")


def test_drain_cordons_the_node_and_evicts_its_pods(kubectl):
    kubectl.api.post("/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node"}})
    kubectl("create", "-f", "-", stdin=MANIFEST)
    kubectl.api.bind("web")
    told = kubectl("drain", "node", "--force", "--grace-period=0", "--timeout=30s")
    evicted = ["evicting pod default/web", "pod/web evicted", "node/node drained"]
    deleted = ["pod/web deleted", "node/node deleted"]  # they look for poddisruptionbudgets first
    assert told.splitlines() == ["node/node cordoned", *(evicted if kubectl.minor >= 27 else deleted)]
    assert kubectl("get", "nodes", "--no-headers").split()[1] == "Unknown,SchedulingDisabled"
    assert kubectl("get", "pods", "-o", "name") == ""


def test_priority_classes(kubectl):
    listed = [line.split() for line in kubectl("get", "priorityclasses").splitlines()]
    assert listed[0] == ["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"]
    assert [(line[0], line[1], line[2], line[4]) for line in listed[1:]] == [
        ("system-cluster-critical", "2000000000", "false", "PreemptLowerPriority"),
        ("system-node-critical", "2000001000", "false", "PreemptLowerPriority"),
    ]
    important = "kind: PriorityClass\napiVersion: scheduling.k8s.io/v1\nmetadata: {name: high}\nvalue: 7\n"
    assert kubectl("create", "-f", "-", stdin=important) == "priorityclass.scheduling.k8s.io/high created\n"
    changed = kubectl.fails("patch", "pc", "high", "-p", '{"value": 8}')
    assert "value: Forbidden: may not be changed in an update." in changed
