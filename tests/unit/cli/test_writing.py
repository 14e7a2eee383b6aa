"""apply, create, delete, label, annotate, run, image: what is changed, and what is said about it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from minikubelet.cli.applying import ANNOTATION
from minikubelet.cli.commands.attach import FALLING_BACK
from minikubelet.errors import RunContainerError
from tests.unit.api.conftest import PODS, pod

WEB = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - {name: main, image: localhost/host, env: [{name: A, value: "1"}]}
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {a: "1"}
"""


def get(cli, name="web"):
    return cli.api.get(f"{PODS}/{name}").json


def test_apply_creates_configures_and_leaves_alone(cli, tmp_path):
    assert cli.apply(tmp_path, WEB) == "pod/web created\n"
    assert cli.apply(tmp_path, WEB) == "pod/web unchanged\n"
    assert cli.apply(tmp_path, WEB.replace("{app: web}", "{tier: front}")) == "pod/web configured\n"
    assert get(cli)["metadata"]["labels"] == {"tier": "front"}
    assert json.loads(get(cli)["metadata"]["annotations"][ANNOTATION])["metadata"]["labels"] == {
        "tier": "front"
    }


def test_apply_keeps_what_others_have_set(cli, tmp_path):
    cli.apply(tmp_path, WEB)
    cli.ok("label", "pod", "web", "mine=yes")
    cli.apply(tmp_path, WEB.replace("{app: web}", "{app: shop}"))
    assert get(cli)["metadata"]["labels"] == {"app": "shop", "mine": "yes"}


def test_apply_warns_about_what_was_not_applied_before(cli, tmp_path):
    cli.api.post(PODS, pod("web"))
    (tmp_path / "f.yaml").write_text(WEB.replace(', env: [{name: A, value: "1"}]', ""))
    result = cli("apply", "-f", str(tmp_path / "f.yaml"))
    assert result.out == "pod/web configured\n"
    assert result.err.startswith(
        "Warning: resource pods/web is missing the kubectl.kubernetes.io/last-applied-"
    )


def test_apply_of_a_forbidden_change_is_refused_in_the_servers_words(cli, tmp_path):
    cli.apply(tmp_path, WEB)
    (tmp_path / "f.yaml").write_text(WEB.replace('"1"', '"2"'))
    err = cli.fails("apply", "-f", str(tmp_path / "f.yaml"))
    assert err.startswith(
        'The Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than'
    )


def test_apply_reads_stdin_directories_and_several_documents(cli, tmp_path):
    done = cli.process("apply", "-f", "-", stdin=f"{WEB}---\n{CONFIG}".encode())
    assert done.stdout == b"pod/web created\nconfigmap/config created\n"
    (tmp_path / "a.yaml").write_text(WEB.replace("name: web", "name: a"))
    (tmp_path / "b.json").write_text(json.dumps(pod("b")))
    (tmp_path / "README").write_text("not read")
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "c.yml").write_text(WEB.replace("name: web", "name: c"))
    assert cli.ok("apply", "-f", str(tmp_path)) == "pod/a created\npod/b created\n"
    assert cli.ok("apply", "-R", "-f", str(tmp_path)) == "pod/a unchanged\npod/b unchanged\npod/c created\n"


def test_dry_runs_change_nothing(cli, tmp_path):
    (tmp_path / "f.yaml").write_text(WEB)
    file = str(tmp_path / "f.yaml")
    assert cli.ok("apply", "-f", file, "--dry-run=server") == "pod/web created (server dry run)\n"
    assert cli.ok("apply", "-f", file, "--dry-run=client") == "pod/web created (dry run)\n"
    assert cli.ok("create", "-f", file, "--dry-run=server", "-o", "name") == "pod/web\n"
    assert cli.api.get(f"{PODS}/web").code == 404
    cli.ok("create", "-f", file)
    assert "(server dry run)" in cli.ok("delete", "pod", "web", "--dry-run=server")
    assert "(dry run)" in cli.ok("delete", "pod", "web", "--dry-run=client")
    assert cli.ok("label", "pod", "web", "x=y", "--dry-run=server") == "pod/web labeled (server dry run)\n"
    assert get(cli)["metadata"]["labels"] == {"app": "web"}


@pytest.mark.parametrize(
    ("content", "err"),
    [
        pytest.param(b"", "error: no objects passed to apply", id="empty"),
        pytest.param(b"---\n---\n", "error: no objects passed to apply", id="only separators"),
        pytest.param(b"\0\1\2", "error: cannot read {}: it is a binary file, not YAML or JSON", id="binary"),
        pytest.param(
            b"a: [1\n", "error: error parsing {}: error converting YAML to JSON: yaml: line 2:", id="syntax"
        ),
        pytest.param(
            b"kind: Pod\n", 'error: error validating "{}": error validating data: apiVersion', id="no version"
        ),
        pytest.param(
            b"apiVersion: v1\nkind: Podd\nmetadata: {name: x}\n",
            'error: resource mapping not found for name: "x" namespace: "" from "{}": no matches for kind',
            id="unknown kind",
        ),
        pytest.param(
            b"apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\nspec: {}\n",
            "error: from x-: cannot use generate name with apply",
            id="generateName",
        ),
        pytest.param(b"apiVersion: v1\nkind: Pod\n", "error: cannot apply an object", id="no name"),
        pytest.param(
            b"apiVersion: v1\nkind: Pod\nmetadata: 3\n",
            'error: error validating "{}": metadata',
            id="metadata",
        ),
        pytest.param(
            WEB.replace("image:", "imagee:").encode(),
            'Error from server (BadRequest): error when creating "{}": Pod in version "v1" cannot be handled '
            'as a Pod: strict decoding error: unknown field "spec.containers[0].imagee"',
            id="unknown field",
        ),
    ],
)
def test_a_bad_manifest_is_one_message_and_changes_nothing(cli, tmp_path, content, err):
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    said = cli.fails("apply", "-f", str(file))
    assert said.startswith(err.format(file))
    assert said.count("\n") == 1
    assert cli.api.get(PODS).json["items"] == []


def test_every_mistake_of_every_file_is_told_and_nothing_is_sent(cli, tmp_path):
    (tmp_path / "a.yaml").write_text(WEB)
    (tmp_path / "b.yaml").write_text("a: [1\n")
    (tmp_path / "c.yaml").write_bytes(b"\0")
    err = cli.fails("apply", "-f", str(tmp_path))
    assert [line.startswith("error: ") for line in err.splitlines()] == [True, True]
    assert cli.api.get(PODS).json["items"] == []


def test_one_refused_document_does_not_keep_the_others_away(cli, tmp_path):
    bad = WEB.replace("name: main, image: localhost/host", "name: Bad_Name")
    (tmp_path / "f.yaml").write_text(f"{bad}---\n{CONFIG}---\n{WEB.replace('name: web', 'name: Bad_Pod')}")
    result = cli("create", "-f", str(tmp_path / "f.yaml"))
    assert result.out == "configmap/config created\n"
    lines = result.err.splitlines()
    assert lines[0] == 'The Pod "web" is invalid: '
    assert lines[1].startswith('* spec.containers[0].name: Invalid value: "Bad_Name": ')
    assert lines[2].startswith("* spec.containers[0].image: Required value")
    assert lines[3].startswith('The Pod "Bad_Pod" is invalid: metadata.name: Invalid value: ')
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("args", "err"),
    [
        (["-f", "/nowhere"], 'error: the path "/nowhere" does not exist\n'),
        (["-f", "https://example.test/x.yaml"], "error: cannot read https://example.test/x.yaml: only files"),
        (
            ["-f", "/proc/sys"],
            "error: error reading [/proc/sys]: recognized file extensions are [.json .yaml .yml]",
        ),
    ],
)
def test_a_path_that_is_no_manifest(cli, args, err):
    assert cli.fails("apply", *args).startswith(err)


def test_a_manifest_without_end_is_refused_early(cli):
    assert "larger than 10 MiB" in cli.fails("apply", "-f", "/dev/zero")


def test_namespaces_of_manifest_and_flag_must_agree(cli, tmp_path):
    (tmp_path / "f.yaml").write_text(WEB.replace("{name: web", "{namespace: a, name: web"))
    assert cli.fails("apply", "-n", "b", "-f", str(tmp_path / "f.yaml")) == (
        'error: the namespace from the provided object "a" does not match the namespace "b". '
        "You must pass '--namespace=a' to perform this operation.\n"
    )
    assert 'namespaces "a" not found' in cli.fails("apply", "-f", str(tmp_path / "f.yaml"))


def test_create_twice_is_an_error(cli, tmp_path):
    (tmp_path / "f.yaml").write_text(WEB)
    file = str(tmp_path / "f.yaml")
    assert cli.ok("create", "-f", file, "--save-config") == "pod/web created\n"
    assert cli.fails("create", "-f", file) == (
        f'Error from server (AlreadyExists): error when creating "{file}": pods "web" already exists\n'
    )
    assert cli.ok("apply", "-f", file) == "pod/web unchanged\n"


def test_delete_says_what_it_did_and_waits(cli):
    for name in ("a", "b", "c", "d"):
        cli.api.post(PODS, pod(name, labels={"app": name}))
    assert cli.ok("delete", "pod", "a") == 'pod "a" deleted from default namespace\n'
    assert cli.ok("delete", "pods", "-l", "app=b") == 'pod "b" deleted from default namespace\n'
    assert cli.ok("delete", "pod/c", "-o", "name") == "pod/c\n"
    assert cli.ok("delete", "po", "--all") == 'pod "d" deleted from default namespace\n'
    assert cli.ok("delete", "po", "--all") == "No resources found\n"
    assert cli.fails("delete", "pod", "a") == 'Error from server (NotFound): pods "a" not found\n'
    assert cli.ok("delete", "pod", "a", "--ignore-not-found") == ""


def test_delete_of_a_running_pod_waits_until_it_is_gone(cli, web):
    late = cli.fails("delete", "pod", "web", "--timeout=10ms")
    assert late == "error: timed out waiting for the condition on pods/web\n"
    assert get(cli)["metadata"]["deletionGracePeriodSeconds"] == 30
    assert "deleted" in cli.ok("delete", "pod", "web", "--wait=false", "--now")
    assert get(cli)["metadata"]["deletionGracePeriodSeconds"] == 1
    process = subprocess.Popen(cli.command("delete", "pod", "web"), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'pod "web" deleted from default namespace\n'
    cli.api.request("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
    assert process.wait(60) == 0
    process.stdout.close()


def test_force_removes_at_once_and_warns(cli, web):
    result = cli("delete", "pod", "web", "--force", "--grace-period=0")
    assert result.out == 'pod "web" force deleted from default namespace\n'
    assert result.err == (
        "Warning: Immediate deletion does not wait for confirmation that the running resource has been "
        "terminated. The resource may continue to run on the cluster indefinitely.\n"
    )
    assert cli.api.get(f"{PODS}/web").code == 404


def test_delete_what_a_manifest_names(cli, tmp_path):
    cli.apply(tmp_path, f"{WEB}---\n{CONFIG}")
    assert cli.ok("delete", "-f", str(tmp_path / "manifest.yaml")) == (
        'pod "web" deleted from default namespace\nconfigmap "config" deleted from default namespace\n'
    )


def test_labels_are_set_kept_changed_and_removed(cli, web):
    assert cli.ok("label", "pod", "web", "tier=front") == "pod/web labeled\n"
    assert cli.ok("label", "pod", "web", "tier=front") == "pod/web not labeled\n"
    assert cli.fails("label", "pod", "web", "tier=back") == (
        "error: 'tier' already has a value (front), and --overwrite is false\n"
    )
    assert cli.ok("label", "pod", "web", "tier=back", "--overwrite") == "pod/web labeled\n"
    assert cli.ok("label", "pod", "web", "--list") == "app=web\ntier=back\n"
    assert cli.ok("label", "pods", "--all", "tier-") == "pod/web unlabeled\n"
    assert cli.ok("label", "pod", "web", "tier-") == 'label "tier" not found.\npod/web not labeled\n'
    assert get(cli)["metadata"]["labels"] == {"app": "web"}
    assert cli.ok("annotate", "pod", "web", "note=a=b c") == "pod/web annotated\n"
    assert get(cli)["metadata"]["annotations"] == {"note": "a=b c"}
    assert "not found" in cli.fails("label", "pod", "nope", "a=b")


def test_run_makes_the_pod_its_flags_describe(cli):
    args = ["run", "web", "--image=app:1", "--env=A=b=c", "--port=80", "--labels=x=y", "--restart=Never"]
    shown = json.loads(cli.ok(*args, "--dry-run=client", "-o", "json", "--command", "--", "sh", "-c", "x"))
    assert shown["metadata"] == {"labels": {"x": "y"}, "name": "web"}
    assert shown["spec"] == {
        "containers": [
            {
                "name": "web",
                "image": "app:1",
                "command": ["sh", "-c", "x"],
                "env": [{"name": "A", "value": "b=c"}],
                "ports": [{"containerPort": 80}],
                "resources": {},
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Never",
    }
    assert cli.ok(*args, "--", "a", "-b") == "pod/web created\n"
    assert get(cli)["spec"]["containers"][0]["args"] == ["a", "-b"]
    assert cli.ok("run", "other", "--image=x", "--dry-run=server") == "pod/other created (server dry run)\n"


def test_run_attached_takes_the_containers_exit_code_and_removes_the_pod(cli):
    command = cli.command("run", "job", "--image=x", "--restart=Never", "--rm", "--attach", "-q")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: cli.api.get(f"{PODS}/job").code == 200)
    cli.pod_runs("job", "job")
    wait_until(lambda: cli.api.node.sessions)
    cli.api.set_status(
        "job",
        phase="Failed",
        containerStatuses=[{"name": "job", "state": {"terminated": {"exitCode": 7, "reason": "Error"}}}],
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert out == 'exit 7\npod "job" deleted from default namespace\n'
    assert err == "pod default/job terminated (Error)\n"
    assert cli.api.get(f"{PODS}/job").code == 404


REFUSED = "Internal error occurred: error attaching to container: container x is not running"


def test_run_attached_to_a_container_that_has_just_ended_tells_its_log(cli, monkeypatch):
    """The API shows it running yet."""

    async def attach(*_, **__):
        raise RunContainerError("container x is not running")

    monkeypatch.setattr(cli.api.node, "attach", attach)
    cli.api.inside(cli.api.node.following.set)
    command = cli.command("run", "job", "--image=x", "--restart=Never", "--attach", "-q")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: cli.api.get(f"{PODS}/job").code == 200)
    cli.pod_runs("job", "job")
    wait_until(lambda: cli.api.node.log_calls or process.poll() is not None)
    cli.api.set_status("job", phase="Succeeded")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "first\nlast\n")
    assert err == FALLING_BACK.format("job", REFUSED) + "\n"


def test_debug_tells_the_log_of_a_container_that_has_just_ended(cli, web, monkeypatch):
    async def attach(*_, **__):
        raise RunContainerError("container x is not running")

    monkeypatch.setattr(cli.api.node, "attach", attach)
    command = cli.command("debug", "web", "--image=x", "--container=look", "--attach", "-q", "--", "true")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: get(cli)["spec"].get("ephemeralContainers"))
    status = {"name": "look", "state": {"running": {}}, "containerID": "minikubelet://" + "b" * 64}
    cli.api.set_status("web", ephemeralContainerStatuses=[status])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "first\nlast\n")
    assert err == FALLING_BACK.format("web", REFUSED) + "\n"


def wait_until(met, limit=30.0):
    import time

    end = time.monotonic() + limit
    while not met():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_images(cli, tmp_path):
    assert cli.ok("image", "ls").splitlines()[1].split()[:2] == ["localhost/host", "1"]
    assert cli.ok("image", "ls", "-o", "name") == "localhost/host\n"
    assert json.loads(cli.ok("image", "inspect", "localhost/host"))["id"] == "sha256:1"
    assert cli.fails("image", "inspect", "nope") == 'error: image "nope" not found\n'
    (tmp_path / "a.tar").write_bytes(b"x" * 300000)
    assert cli.ok("image", "load", str(tmp_path / "a.tar")) == 'image "localhost/x" loaded\n'
    assert cli.process("image", "load", "-", stdin=b"x" * 10).stdout == b'image "localhost/x" loaded\n'
    assert (
        cli.fails("image", "load", "/nowhere") == "error: cannot read /nowhere: No such file or directory\n"
    )
    assert cli.ok("image", "rm", "a", "b") == 'image "a" removed\nimage "b" removed\n'
    assert cli.ok("image", "prune") == "0B freed\n"
    assert 'image "x" not found' in cli.fails("image", "pull", "x")
    assert cli.ok("image", "pull", "app") == 'image "app" pulled\n'


def test_a_pull_shows_its_progress_on_a_terminal_and_takes_it_away(cli, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    result = cli("image", "pull", "app")
    assert result.out == 'image "app" pulled\n'
    before, resolved, progress, after = result.err.split("\r\033[K")
    assert (before, after) == ("", "")
    assert resolved.startswith("docker.io/library/app@sha256:0")
    assert progress == "1MB of 2.5MB"
