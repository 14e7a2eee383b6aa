"""get, describe, events, wait: what is shown of objects."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.unit.api.conftest import PODS, pod


def event(name, about, uid="", count=1, **more):
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": "default",
            "name": about,
            "uid": uid,
        },
        "type": "Normal",
        "reason": "Started",
        "message": "Container started",
        "source": {"component": "kubelet", "host": "node"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": count,
        **more,
    }


EVENTS = "/api/v1/namespaces/default/events"


def test_get_prints_the_servers_columns(cli, web):
    header, row = cli.ok("get", "pods").splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["web", "1/1", "Running", "0"]
    assert cli.ok("get", "pods", "--no-headers").split()[:4] == row.split()[:4]
    wide = cli.ok("get", "po", "-o", "wide").splitlines()[0].split()
    assert wide[5:7] == ["IP", "NODE"]


def test_get_adds_namespaces_labels_and_kinds(cli, web):
    header, row = cli.ok("get", "pods", "-A", "-L", "app,none", "--show-labels", "--show-kind").splitlines()
    assert header.split() == [
        "NAMESPACE",
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "APP",
        "NONE",
        "LABELS",
    ]
    cells = row.split()
    assert (cells[0], cells[1], cells[6], cells[7]) == ("default", "pod/web", "web", "app=web")


def test_get_of_several_types_prints_one_table_each(cli, web):
    out = cli.ok("get", "pods,namespaces")
    first, second = out.split("\n\n")
    assert "pod/web" in first
    assert "namespace/default" in second


def test_get_of_several_names_prints_what_is_there_and_complains_of_the_rest(cli, web):
    result = cli("get", "pod", "web", "no", "nope")
    assert result.code == 1
    assert len(result.out.splitlines()) == 2
    assert result.err.splitlines() == [
        'Error from server (NotFound): pods "no" not found',
        'Error from server (NotFound): pods "nope" not found',
    ]
    assert cli("get", "pod", "nope", "--ignore-not-found").code == 0


@pytest.mark.parametrize(
    ("args", "err"),
    [
        (["get", "pods"], "No resources found in default namespace."),
        (["get", "pods", "-n", "other"], "No resources found in other namespace."),
        (["get", "pods", "-A"], "No resources found"),
        (["get", "nodes"], "No resources found"),
        (["events"], "No events found in default namespace."),
    ],
)
def test_nothing_is_said_on_stderr(cli, args, err):
    result = cli(*args)
    assert (result.code, result.out, result.err) == (0, "", f"{err}\n")


def test_get_in_machine_readable_forms(cli, web):
    assert cli.ok("get", "pods", "-o", "name") == "pod/web\n"
    whole = json.loads(cli.ok("get", "pod", "web", "-o", "json"))
    assert (whole["kind"], whole["metadata"]["name"]) == ("Pod", "web")
    listed = json.loads(cli.ok("get", "pods", "-o", "json"))
    assert listed["kind"] == "List"
    assert listed["items"] == [whole]
    assert cli.ok("get", "pod/web", "-o", "jsonpath={.metadata.labels.app}") == "web"
    assert cli.ok("get", "pods", "-o=yaml").startswith(
        "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n"
    )
    columns = "NAME:.metadata.name,NONE:.metadata.none"
    assert cli.ok("get", "pods", "-o", f"custom-columns={columns}") == "NAME   NONE\nweb    <none>\n"


def test_get_sorts(cli):
    for name, rank in (("a", "3"), ("b", "1"), ("c", "2")):
        cli.api.post(PODS, pod(name, labels={"rank": rank}))
    rows = cli.ok("get", "pods", "--no-headers", "--sort-by=.metadata.labels.rank").splitlines()
    assert [row.split()[0] for row in rows] == ["b", "c", "a"]
    assert cli.ok("get", "pods", "-o", "name", "--sort-by={.metadata.labels.rank}").split() == [
        "pod/b",
        "pod/c",
        "pod/a",
    ]


def test_a_list_longer_than_a_page_is_whole(cli, monkeypatch):
    monkeypatch.setattr("minikubelet.cli.targets.PAGE", 2)
    for name in "abcde":
        cli.api.post(PODS, pod(name))
    assert cli.ok("get", "pods", "-o", "name").split() == [f"pod/{name}" for name in "abcde"]
    assert len(cli.ok("get", "pods").splitlines()) == 6


def test_selectors_choose(cli, web):
    cli.api.post(PODS, pod("other"))
    assert cli.ok("get", "pods", "-l", "app=web", "-o", "name") == "pod/web\n"
    assert cli.ok("get", "pods", "-l", "!app", "-o", "name") == "pod/other\n"
    assert cli.ok("get", "pods", "--field-selector", "metadata.name!=web", "-o", "name") == "pod/other\n"
    assert cli.fails("get", "pods", "-l", "a in (b").startswith(
        'Error from server (BadRequest): Unable to find "/v1, Resource=pods" that match '
        'label selector "a in (b", field selector "": '
    )


def test_an_unknown_type_is_looked_up_and_then_refused(cli):
    assert cli.fails("get", "unicorns") == 'error: the server doesn\'t have a resource type "unicorns"\n'
    assert cli("get", "leases.coordination.k8s.io").code == 0
    assert cli("get", "PODS").code == 0


def test_watching_shows_the_list_and_then_every_change(cli, web):
    command = cli.command("get", "pods", "-w", "--output-watch-events", "-o", "name")
    table = cli.command("get", "pods", "-w", "--output-watch-events")
    for args, first in ((table, 2), (command, 1)):
        process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = [process.stdout.readline() for _ in range(first)]
        cli.api.set_status("web", phase="Succeeded")
        lines.append(process.stdout.readline())
        process.send_signal(2)
        assert process.wait(30) == 0
        process.stdout.close()
        assert lines[-1].split()[-5:][0] in ("web", "pod/web", "MODIFIED")
        cli.api.set_status("web", phase="Running")


def test_a_watch_on_one_missing_object_says_so(cli):
    assert "not found" in cli.fails("get", "pod", "nope", "-w")
    assert "may only specify a single" in cli.fails("get", "pods,cm", "-w")


def test_events_are_in_the_order_they_happened(cli, web):
    cli.api.post(EVENTS, event("e1", "web", lastTimestamp="2026-01-01T00:00:05Z", reason="Second"))
    cli.api.post(
        EVENTS, event("e2", "web", reason="First", message="it\x1b[31m\nfailed", type="Warning", count=4)
    )
    cli.api.post(EVENTS, event("e3", "other", lastTimestamp="2026-01-01T00:00:09Z"))
    lines = cli.ok("events").splitlines()
    assert re.split("   +", lines[0]) == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert [line.split("Pod/")[0].split()[-1] for line in lines[1:]] == ["First", "Second", "Started"]
    assert lines[1].endswith("Pod/web     it^[[31m...")
    assert "(x4 over " in lines[1]
    assert len(cli.ok("events", "--for", "pod/web").splitlines()) == 3
    assert len(cli.ok("events", "--types=warning").splitlines()) == 2
    assert "NAMESPACE" in cli.ok("events", "-A")


DESCRIBED = """\
Name:             web
Namespace:        default
Priority:         0
Service Account:  default
Node:             node/10.0.0.1
Start Time:       {time}
Labels:           app=web
Annotations:      <none>
Status:           Running
IP:               10.244.0.2
IPs:
  IP:  10.244.0.2
Containers:
  main:
    Container ID:   minikubelet://{id}
    Image:          localhost/host
    Image ID:       {blank}
    Port:           <none>
    Host Port:      <none>
    State:          Running
      Started:      {time}
    Last State:     Terminated
      Reason:       Error
      Exit Code:    3
      Started:      {time}
      Finished:     {time}
    Ready:          True
    Restart Count:  1
    Environment:    <none>
    Mounts:         <none>
Conditions:
  Type           Status
  Ready          True {blank}
Volumes:         <none>
QoS Class:       BestEffort
Node-Selectors:  <none>
Tolerations:     node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
                 node.kubernetes.io/unreachable:NoExecute op=Exists for 300s
Events:
  Type    Reason   Age                From     Message
  ----    ------   ----               ----     -------
  Normal  Started  {age} (x2 over {age})  kubelet  spec.containers{{main}}: Container started
"""  # fmt: skip


def test_describe_pod_has_kubectls_layout(cli, web):
    time = "2026-01-01T00:00:00Z"
    states = cli.api.get(f"{PODS}/web").json["status"]["containerStatuses"]
    states[0] |= {
        "restartCount": 1,
        "lastState": {
            "terminated": {"reason": "Error", "exitCode": 3, "startedAt": time, "finishedAt": time}
        },
    }
    cli.api.set_status(
        "web",
        hostIP="10.0.0.1",
        podIP="10.244.0.2",
        podIPs=[{"ip": "10.244.0.2"}],
        startTime=time,
        conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": time}],
        containerStatuses=states,
    )
    made = event("e", "web", cli.api.get(f"{PODS}/web").json["metadata"]["uid"], count=2)
    made["involvedObject"]["fieldPath"] = "spec.containers{main}"
    assert cli.api.post(EVENTS, made).code == 201
    text = cli.ok("describe", "pod", "web")
    age = re.search(r"Started  (\S+) \(x2", text).group(1)
    from minikubelet.cli.ages import long_form
    from tests.unit.cli.conftest import CONTAINER_ID

    expected = DESCRIBED.format(blank="", time=long_form(time), id=CONTAINER_ID, age=age)
    assert without_padding(text).splitlines() == without_padding(expected).splitlines()


def without_padding(text):
    """The Events table is as wide as the age of today."""
    head, events, tail = text.partition("Events:")
    return head + events + re.sub("  +|---+", " ", tail)


def test_describe_by_the_beginning_of_a_name(cli):
    for name in ("web-1", "web-2"):
        cli.api.post(PODS, pod(name))
    out = cli.ok("describe", "pod", "web")
    assert re.findall("Name: +(web-.)", out) == ["web-1", "web-2"]
    assert cli.fails("describe", "pod", "db") == 'Error from server (NotFound): pods "db" not found\n'


def test_describe_hides_what_is_secret(cli):
    secret = {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "s"},
        "stringData": {"password": "hunter2"},
    }
    cli.api.post("/api/v1/namespaces/default/secrets", secret)
    out = cli.ok("describe", "secret", "s")
    assert "password:  7 bytes" in out
    assert "hunter2" not in out


def test_describe_node_sums_up_its_pods(cli):
    node = {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": "node"},
        "status": {
            "allocatable": {"cpu": "2", "memory": "1Gi", "pods": "110"},
            "nodeInfo": {"machineID": "m"},
        },
    }
    cli.api.inside(lambda: cli.api.node.store.create("nodes", node))
    body = pod("a")
    body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "500m", "memory": "64Mi"}}
    cli.api.post(PODS, body)
    cli.api.bind("a")
    out = cli.ok("describe", "node", "node")
    assert "Non-terminated Pods:" in out
    assert re.search(r"default +a +500m \(25%\) +0 \(0%\) +64Mi \(6%\) +0 \(0%\)", out)
    assert re.search(r"  cpu +500m \(25%\) +0 \(0%\)", out)
    assert re.search(r"Machine ID: +m\n", out)


def test_describe_of_a_kind_without_a_layout_shows_its_fields(cli):
    lease = {"metadata": {"name": "lock"}, "spec": {"leaseDurationSeconds": 10}}
    cli.api.post("/apis/coordination.k8s.io/v1/namespaces/default/leases", lease)
    assert "Lease Duration Seconds:  10" in cli.ok("describe", "lease", "lock")


def test_wait_ends_when_the_condition_is_met(cli, web):
    assert "timed out waiting for the condition on pods/web" in cli.fails(
        "wait", "pod/web", "--for=condition=Ready", "--timeout=0s"
    )
    process = subprocess.Popen(
        cli.command("wait", "pod/web", "--for=condition=Ready", "--timeout=60s"),
        stdout=subprocess.PIPE,
        text=True,
    )
    cli.api.set_status("web", conditions=[{"type": "Ready", "status": "True"}])
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "pod/web condition met\n")
    assert cli.ok("wait", "pods", "--all", "--for=condition=Ready=True") == "pod/web condition met\n"
    assert cli.ok("wait", "pod", "web", "--for=jsonpath={.status.phase}=Running") == "pod/web condition met\n"
    assert cli.ok("wait", "pod/web", "--for=jsonpath={.metadata.name}") == "pod/web condition met\n"
    assert cli.ok("wait", "pod/gone", "--for=delete") == ""  # as kubectl: there is nothing to tell of
    assert "not found" in cli.fails("wait", "pod/gone", "--for=condition=Ready")
    assert "no matching resources" in cli.fails("wait", "pods", "-l", "a=b", "--for=condition=Ready")
