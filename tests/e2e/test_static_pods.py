"""Static pods on a real kernel: files become pods, whatever people do to the files and to the mirrors."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Agent, make_agent, remove_network, simple_pod, until
from .history import history, revision


class Folder:
    """The manifests of an agent."""

    def __init__(self, agent: Agent) -> None:
        self.path = agent.root / "manifests"
        self.path.mkdir()
        self.agent = agent

    def start_agent(self) -> None:
        self.agent.start("--manifests", str(self.path))

    def write(self, name: str, manifest: dict[str, Any] | str) -> Path:
        """As a careful editor does: beside it, under a name that is not looked at, then renamed."""
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        draft = self.path / f".{name}.new"
        draft.write_text(text)
        return draft.rename(self.path / name)

    def empty(self) -> None:
        for file in self.path.iterdir():
            file.unlink()

    def names(self) -> list[str]:
        return json_names(self.agent)


def json_names(agent: Agent) -> list[str]:
    items = json.loads(agent.run("get", "pods", "-o", "json"))["items"]
    return [item["metadata"]["name"] for item in items]


@pytest.fixture(scope="module")
def folder_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    yield from _folder(tmp_path_factory)


@pytest.fixture
def folder(folder_of_module: Folder) -> Iterator[Folder]:
    """Empty before and after, with an agent that looks at it."""
    yield folder_of_module
    folder_of_module.empty()
    until(lambda: not folder_of_module.names(), what="the static pods to go")


@pytest.fixture
def fresh_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """With an agent that the test may kill."""
    yield from _folder(tmp_path_factory)


def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    agent = make_agent(tmp_path_factory.mktemp("mk"))
    made = Folder(agent)
    made.start_agent()
    yield made
    made.empty()
    if agent.process is None:
        made.start_agent()
    agent.delete_everything()
    until(lambda: not made.names(), what="all pods to go")
    assert agent.stop() == 0
    remove_network(agent)


def container_id(agent: Agent, name: str) -> str:
    return str(agent.container(name).get("containerID", ""))


def test_a_file_becomes_a_pod_that_the_api_shows(folder: Folder) -> None:
    agent = folder.agent
    folder.write("web.yaml", simple_pod("web", "sh", "-c", "echo said; exec sleep infinity"))
    pod = agent.wait_running("web-node1")
    annotations = pod["metadata"]["annotations"]
    uid = annotations["kubernetes.io/config.hash"]
    assert annotations["kubernetes.io/config.mirror"] == uid != pod["metadata"]["uid"]
    assert annotations["kubernetes.io/config.source"] == "file"
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Node", "node1", True)
    assert list(agent.root.glob(f"log/pods/default_web-node1_{uid}/main/0.log"))
    until(lambda: agent.run("logs", "web-node1") == "said\n", what="its log")
    assert agent.run("exec", "web-node1", "--", "hostname") == "web-node1\n"
    assert "Started" in agent.run("describe", "pod", "web-node1")


def test_a_deleted_mirror_comes_back_and_the_container_does_not_notice(folder: Folder) -> None:
    agent = folder.agent
    folder.write("web.yaml", simple_pod("web", "sleep", "infinity"))
    before, container = agent.wait_running("web-node1"), container_id(agent, "web-node1")
    agent.run("delete", "pod", "web-node1")
    until(lambda: agent.pod("web-node1"), what="the mirror")
    agent.run("delete", "pod", "web-node1", "--force", "--grace-period=0")
    after = until(lambda: agent.pod("web-node1"), what="the mirror")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"] == before["status"]
    assert container_id(agent, "web-node1") == container


def test_a_mirror_whose_spec_was_changed_is_replaced_and_one_with_a_label_is_not(folder: Folder) -> None:
    agent = folder.agent
    folder.write("web.yaml", simple_pod("web", "sleep", "infinity"))
    uid = agent.wait_running("web-node1")["metadata"]["uid"]
    agent.run("label", "pod", "web-node1", "colour=red")
    changed = agent.pod("web-node1")
    assert (changed["metadata"]["uid"], changed["metadata"]["labels"]) == (uid, {"colour": "red"})
    changed["spec"]["containers"][0]["image"] = "localhost/other"
    agent.run("apply", "-f", "-", stdin=json.dumps(changed))
    until(lambda: agent.pod("web-node1").get("metadata", {}).get("uid", uid) != uid, what="a new mirror")
    assert agent.pod("web-node1")["spec"]["containers"][0]["image"] == "localhost/host"


def test_a_changed_file_is_a_new_pod_that_waits_for_the_old_one(folder: Folder, tmp_path: Path) -> None:
    agent = folder.agent
    story = tmp_path / "story"
    story.touch()

    def writing(version: str) -> dict[str, Any]:
        script = (
            f"trap 'sleep 1; echo end {version} >>/out/story; exit 0' TERM; "
            f"echo begin {version} >>/out/story; while :; do sleep 0.1; done"
        )
        mount = {"volumeMounts": [{"name": "out", "mountPath": "/out"}]}
        volume = {"name": "out", "hostPath": {"path": str(tmp_path)}}
        manifest = simple_pod("web", "sh", "-c", script, container=mount, volumes=[volume])
        manifest["spec"]["terminationGracePeriodSeconds"] = 20
        return manifest

    folder.write("web.yaml", writing("one"))
    agent.wait_running("web-node1")
    until(lambda: story.read_text() == "begin one\n", what="the first to begin")
    before = agent.pod("web-node1")["metadata"]
    folder.write("web.yaml", writing("two"))
    until(lambda: "two" in story.read_text(), what="the second to begin")
    assert story.read_text() == "begin one\nend one\nbegin two\n"
    agent.wait_running("web-node1")
    after = agent.pod("web-node1")["metadata"]
    assert after["uid"] != before["uid"]
    assert (
        after["annotations"]["kubernetes.io/config.hash"]
        != before["annotations"]["kubernetes.io/config.hash"]
    )
    assert agent.container("web-node1")["restartCount"] == 0


def test_a_removed_file_ends_its_pod_with_its_own_grace_and_its_phase_is_kept(folder: Folder) -> None:
    agent = folder.agent
    script = "trap 'sleep 3; exit 7' TERM; echo obedient; while :; do sleep 0.1; done"
    manifest = simple_pod("web", "sh", "-c", script)
    manifest["spec"]["terminationGracePeriodSeconds"] = 20
    folder.write("web.yaml", manifest)
    agent.wait_running("web-node1")
    until(lambda: "obedient" in agent.run("logs", "web-node1"), what="it may be asked to go")
    since = revision(agent)
    folder.empty()
    until(lambda: not agent.pod("web-node1"), what="the mirror to go")
    told = history(agent, "web-node1", since)
    assert told[-1][0] == "DELETED"
    assert {pod["status"]["phase"] for _, pod in told} == {"Running"}
    ended = told[-1][1]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 7  # not 137: it was given its 20 s


def test_touching_rewriting_and_half_writing_a_file_disturbs_nobody(folder: Folder) -> None:
    agent = folder.agent
    manifest = simple_pod("web", "sleep", "infinity")
    file = folder.write("web.yaml", manifest)
    agent.wait_running("web-node1")
    container, since = container_id(agent, "web-node1"), revision(agent)
    os.utime(file)
    folder.write("web.yaml", json.dumps(manifest, indent=2))  # other bytes, same content
    file.write_text('{"apiVersion": "v1", "kind": "Pod", "metad')  # broken: the pod stays as it was
    until(lambda: "its pod stays as it was" in agent.log(), what="the agent to look")
    file.write_text("")  # an editor truncates first …
    with file.open("w") as being_written:  # … and takes its time
        being_written.write(json.dumps(simple_pod("other", "sleep", "infinity")))
        being_written.flush()
        until(lambda: "is being written" in agent.log(), what="the agent to look")
        assert folder.names() == ["web-node1"]
        being_written.truncate(0)
        being_written.seek(0)
        being_written.write(json.dumps(manifest))
    (folder.path / ".web.yaml.swp").write_text(json.dumps(simple_pod("swap", "sleep", "infinity")))
    folder.write("last.yaml", simple_pod("last", "sleep", "infinity"))
    agent.wait_running("last-node1")
    assert sorted(folder.names()) == ["last-node1", "web-node1"]
    assert container_id(agent, "web-node1") == container
    assert [kind for kind, _ in history(agent, "web-node1", since)] == []


def test_of_two_files_with_one_name_the_first_counts_and_an_event_says_so(folder: Folder) -> None:
    agent = folder.agent
    folder.write("a.yaml", simple_pod("web", "sleep", "infinity"))
    agent.wait_running("web-node1")
    container = container_id(agent, "web-node1")
    folder.write("b.yaml", simple_pod("web", "sleep", "1000"))
    (event,) = until(
        lambda: [e for e in agent.events("web-node1") if e["reason"] == "FailedValidation"], what="the Event"
    )
    assert event["type"] == "Warning"
    uid = event["involvedObject"]["uid"]
    assert event["message"] == (
        f"Error validating pod web-node1_default({uid}) from file due to duplicate pod name "
        '"web-node1", ignoring'
    )
    assert container_id(agent, "web-node1") == container


def test_a_pod_that_ends_by_its_policy_is_succeeded(folder: Folder) -> None:
    agent = folder.agent
    folder.write("once.yaml", simple_pod("once", "true", restartPolicy="Never"))
    until(lambda: agent.phase("once-node1") == "Succeeded", what="Succeeded")


def test_after_a_restart_of_the_agent_static_pods_are_adopted(fresh_folder: Folder) -> None:
    agent = fresh_folder.agent
    fresh_folder.write("web.yaml", simple_pod("web", "sleep", "infinity"))
    before = agent.wait_running("web-node1")
    since = revision(agent)
    agent.stop(signal.SIGKILL)
    fresh_folder.start_agent()
    fresh_folder.write("next.yaml", simple_pod("next", "sleep", "infinity"))
    agent.wait_running("next-node1")
    assert agent.pod("web-node1") == before
    assert history(agent, "web-node1", since) == []


def test_files_that_changed_while_no_agent_ran_are_caught_up_with(fresh_folder: Folder) -> None:
    agent = fresh_folder.agent
    fresh_folder.write("gone.yaml", simple_pod("gone", "sleep", "infinity"))
    fresh_folder.write("changed.yaml", simple_pod("changed", "sleep", "infinity"))
    agent.wait_running("gone-node1")
    agent.wait_running("changed-node1")
    before = container_id(agent, "changed-node1")
    agent.stop(signal.SIGKILL)
    (fresh_folder.path / "gone.yaml").unlink()
    fresh_folder.write("changed.yaml", simple_pod("changed", "sleep", "1000"))
    fresh_folder.start_agent()
    until(lambda: container_id(agent, "changed-node1") not in ("", before), what="the new pod")
    agent.wait_running("changed-node1")
    assert fresh_folder.names() == ["changed-node1"]
    uid = agent.pod("changed-node1")["metadata"]["annotations"]["kubernetes.io/config.hash"]
    until(lambda: os.listdir(agent.root / "lib/pods") == [uid], what="the pods nobody wants to be gone")
