"""The real kubectl over HTTPS, with the kubeconfig the server wrote. What it prints is compared whole."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from minikubelet.api.discovery import group_versions
from tests.stock_kubectl import KUBECTL
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


class Kubectl:
    """kubectl with a home of its own: it caches discovery and the server's version on disk."""

    def __init__(self, api):
        self.api = api
        home = api.root / "home"
        home.mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(api.paths.kubeconfig)}

    def run(self, *arguments, stdin=""):
        return subprocess.run(
            [KUBECTL, *arguments], input=stdin, capture_output=True, text=True, env=self.env, timeout=60
        )

    def __call__(self, *arguments, stdin=""):
        """Its output; it must succeed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, *arguments, stdin=""):
        """What it complains."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 1, done.stdout
        return done.stderr


@pytest.fixture
def kubectl(https):
    return Kubectl(https)


def test_a_pod_from_apply_to_delete(kubectl):
    assert kubectl("apply", "-f", "-", stdin=MANIFEST) == "pod/web created\n"
    assert kubectl("apply", "-f", "-", stdin=MANIFEST) == "pod/web unchanged\n"
    changed = MANIFEST.replace("app: web", "app: shop")
    assert kubectl("apply", "-f", "-", stdin=changed) == "pod/web configured\n"
    cells = kubectl("get", "pods", "--show-labels", "--no-headers").split()
    assert [*cells[:4], cells[5]] == ["web", "0/1", "Pending", "0", "app=shop"]
    assert kubectl("get", "pods", "-l", "app=web", "-o", "name") == ""
    assert kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.labels.app}") == "shop"
    assert kubectl("label", "pod", "web", "tier=front") == "pod/web labeled\n"
    assert kubectl("label", "pod", "web", "tier=front") == "pod/web not labeled\n"
    assert kubectl("annotate", "pod", "web", "note=x") == "pod/web annotated\n"
    assert kubectl("delete", "pod", "web").startswith('pod "web" deleted')
    assert kubectl.run("get", "pods").stderr == "No resources found in default namespace.\n"


def test_errors_are_printed_as_from_a_cluster(kubectl):
    assert kubectl.fails("get", "pod", "x") == 'Error from server (NotFound): pods "x" not found\n'
    kubectl("create", "-f", "-", stdin=MANIFEST)
    assert kubectl.fails("create", "-f", "-", stdin=MANIFEST) == (
        'Error from server (AlreadyExists): error when creating "STDIN": pods "web" already exists\n'
    )
    wrong = MANIFEST.replace("image:", "imagee: x\n    image:").replace("name: web", "name: other")
    assert (
        'Error from server (BadRequest): error when creating "STDIN": '
        'Pod in version "v1" cannot be handled as a Pod: '
        'strict decoding error: unknown field "spec.containers[0].imagee"'
    ) in kubectl.fails("create", "-f", "-", stdin=wrong)
    assert kubectl.fails("get", "nonsense") == (
        'error: the server doesn\'t have a resource type "nonsense"\n'
    )


def test_a_table_is_printed_with_the_stock_columns(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    header, row = kubectl("get", "pods", "-o", "wide").splitlines()
    assert header.split() == [
        *(
            "NAME",
            "READY",
            "STATUS",
            "RESTARTS",
            "AGE",
            "IP",
            "NODE",
            "NOMINATED",
            "NODE",
            "READINESS",
            "GATES",
        )
    ]
    assert row.split()[:4] == ["web", "0/1", "Pending", "0"]
    assert kubectl("get", "ns").splitlines()[1].split()[:2] == ["default", "Active"]


def test_describe_prints_what_is_known(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    text = kubectl("describe", "pod", "web")
    for line in (
        "Name:             web",
        "Status:           Pending",
        "QoS Class:        BestEffort",
    ):
        assert line in text
    assert text.endswith("Events:           <none>\n")


def test_wait_sees_a_condition_and_a_deletion(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    waiting = subprocess.Popen(
        [KUBECTL, "wait", "--for=condition=Ready", "pod/web", "--timeout=30s"],
        env=kubectl.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    kubectl.api.bind("web")
    kubectl.api.set_status("web", conditions=[{"type": "Ready", "status": "True"}])
    assert waiting.communicate(timeout=60)[0] == "pod/web condition met\n"
    kubectl.api.request("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
    assert kubectl("wait", "--for=delete", "pod/web", "--timeout=30s") == ""


def test_objects_that_kubectl_sends_in_protobuf(kubectl):
    assert kubectl("create", "configmap", "c", "--from-literal=key=value") == "configmap/c created\n"
    assert kubectl("create", "secret", "generic", "s", "--from-literal=key=value") == "secret/s created\n"
    assert kubectl("create", "namespace", "n") == "namespace/n created\n"
    assert kubectl("create", "serviceaccount", "a", "-n", "n") == "serviceaccount/a created\n"
    assert json.loads(kubectl("get", "cm", "c", "-o", "json"))["data"] == {"key": "value"}
    assert json.loads(kubectl("get", "secret", "s", "-o", "json"))["data"] == {"key": "dmFsdWU="}
    assert kubectl("delete", "namespace", "n") == 'namespace "n" deleted\n'


def test_dry_run_and_diff_change_nothing(kubectl):
    kubectl("apply", "-f", "-", stdin=MANIFEST)
    before = kubectl.api.get(f"{PODS}/web").json
    changed = MANIFEST.replace("app: web", "app: shop")
    assert (
        kubectl("apply", "--dry-run=server", "-f", "-", stdin=changed)
        == "pod/web configured (server dry run)\n"
    )
    assert kubectl("delete", "pod", "web", "--dry-run=server") == 'pod "web" deleted (server dry run)\n'
    difference = kubectl.run("diff", "-f", "-", stdin=changed)
    assert difference.returncode == 1
    changes = [
        line for line in difference.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changes == ["-    app: web", "+    app: shop"]
    assert kubectl.api.get(f"{PODS}/web").json == before


def test_server_side_apply_creates_and_merges(kubectl):
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, stdin=MANIFEST) == "pod/web serverside-applied\n"
    assert kubectl(*apply, stdin=MANIFEST.replace("app: web", "app: shop")) == "pod/web serverside-applied\n"
    assert kubectl.api.get(f"{PODS}/web").json["metadata"]["labels"] == {"app": "shop"}


def test_run_sends_no_manifest(kubectl):
    assert (
        kubectl("run", "x", "--image=localhost/host", "--labels=a=b", "--", "sleep", "1") == "pod/x created\n"
    )
    spec = kubectl.api.get(f"{PODS}/x").json
    assert spec["spec"]["containers"][0]["args"] == ["sleep", "1"]


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


def test_logs_are_printed(kubectl):
    running(kubectl)
    assert kubectl("logs", "web") == "first\nlast\n"
    assert kubectl.fails("logs", "web", "--previous") == (
        'Error from server (BadRequest): previous terminated container "main" in pod "web" not found\n'
    )


def test_force_deletion_and_now(kubectl):
    running(kubectl)
    assert 'pod "web" force deleted' in kubectl("delete", "pod", "web", "--force", "--grace-period=0")
    running(kubectl, "b")
    kubectl("delete", "pod", "b", "--now", "--wait=false")
    assert kubectl.api.get(f"{PODS}/b").json["metadata"]["deletionGracePeriodSeconds"] == 1


def test_replace_edit_and_patch(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    assert kubectl("patch", "pod", "web", "-p", '{"metadata":{"labels":{"x":"y"}}}') == "pod/web patched\n"
    assert (
        kubectl("patch", "pod", "web", "-p", '{"metadata":{"labels":{"x":"y"}}}')
        == "pod/web patched (no change)\n"
    )
    assert kubectl(
        "patch", "pod", "web", "--type=json", "-p", '[{"op":"remove","path":"/metadata/labels/x"}]'
    ) == ("pod/web patched\n")
    assert kubectl("set", "image", "pod/web", "main=localhost/other") == "pod/web image updated\n"
    assert kubectl("replace", "--force", "-f", "-", stdin=MANIFEST) == (
        'pod "web" deleted\npod/web replaced\n'
    )


def test_watching_prints_a_line_per_change(kubectl):
    kubectl("create", "-f", "-", stdin=MANIFEST)
    watching = subprocess.Popen(
        [KUBECTL, "get", "pods", "-w", "--no-headers"], env=kubectl.env, stdout=subprocess.PIPE, text=True
    )
    lines = [watching.stdout.readline()]
    kubectl.api.set_status("web", phase="Running")
    lines.append(watching.stdout.readline())
    watching.terminate()
    watching.communicate()
    assert [line.split()[:3] for line in lines] == [["web", "0/1", "Pending"], ["web", "0/1", "Running"]]


def test_explain_knows_the_fields(kubectl):
    text = kubectl("explain", "pod.spec.containers.livenessProbe")
    assert "FIELD: livenessProbe <Probe>" in text
    assert "failureThreshold\t<integer>" in text
    assert "terminationGracePeriodSeconds" in kubectl("explain", "pod", "--recursive")
    assert kubectl.fails("explain", "pod.nope") == 'error: field "nope" does not exist\n'


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
    assert told.splitlines() == [
        "node/node cordoned",
        "evicting pod default/web",
        "pod/web evicted",
        "node/node drained",
    ]
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
