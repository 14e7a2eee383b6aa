"""Static pods without a kernel: what a file means, which files count, who works, what the API shows."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent import static_pods
from minikubelet.agent.manifest_folder import ManifestFolder
from minikubelet.agent.phase import is_static
from minikubelet.agent.reboot import after_reboot
from minikubelet.agent.static_manifest import static_pod
from minikubelet.agent.static_pods import StaticPods
from minikubelet.errors import FieldError, ManifestError
from minikubelet.store import Store
from minikubelet.v1 import Pod, PodStatus, to_dict
from tests.fakes import FakeRecorder
from tests.virtual_time import EPOCH, VirtualClock, in_virtual_time

SEEN = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
PATH = "/etc/manifests/web.yaml"


def manifest(name: str = "web", *, metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "localhost/host"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **(metadata or {})},
        "spec": {"containers": containers, **spec},
    }


def text(*args: Any, **fields: Any) -> bytes:
    return json.dumps(manifest(*args, **fields)).encode()


def read(data: bytes, path: str = PATH, node: str = "node1") -> Pod:
    return static_pod(data, path, node, SEEN)[0]


def uid(data: bytes, path: str = PATH, node: str = "node1") -> str:
    pod = read(data, path, node)
    assert pod.metadata is not None
    return pod.metadata.uid or ""


# 7.5: what is filled in


def test_a_static_pod_has_the_kubelets_defaults() -> None:
    pod = to_dict(read(text()))
    hash = pod["metadata"]["annotations"]["kubernetes.io/config.hash"]
    assert pod["metadata"] == {
        "name": "web-node1",
        "namespace": "default",
        "uid": hash,
        "annotations": {
            "kubernetes.io/config.hash": hash,
            "kubernetes.io/config.source": "file",
            "kubernetes.io/config.seen": "2026-01-01T12:00:00.123456000Z",
        },
    }
    assert len(hash) == 32
    assert set(hash) <= set("0123456789abcdef")
    assert pod["spec"]["nodeName"] == "node1"
    assert pod["spec"]["tolerations"] == [{"operator": "Exists", "effect": "NoExecute"}]
    assert pod["spec"]["restartPolicy"] == "Always"
    assert "serviceAccountName" not in pod["spec"]
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert is_static(read(text()))


def test_the_uid_follows_content_path_and_node_and_nothing_else() -> None:
    first = uid(text())
    yaml = (
        b"# a comment\nkind: Pod\nspec:\n  containers: [{image: localhost/host, name: main}]\n"
        b"metadata: {name: web}\napiVersion: v1\n"
    )
    assert uid(yaml) == first
    others = [uid(text(hostNetwork=True)), uid(text(), path="/other"), uid(text(), node="node2")]
    assert len({first, *others}) == 4


def test_a_uid_and_a_namespace_in_the_file_are_kept() -> None:
    pod = read(text(metadata={"uid": "my-own", "namespace": "kube-system"}))
    assert pod.metadata is not None
    assert (pod.metadata.uid, pod.metadata.namespace) == ("my-own", "kube-system")
    assert (pod.metadata.annotations or {})["kubernetes.io/config.hash"] == "my-own"


def test_unknown_and_unhonoured_fields_are_told_and_do_no_harm() -> None:
    data = manifest()
    data["spec"]["containers"][0]["colour"] = "red"
    pod, warnings = static_pod(json.dumps(data).encode(), PATH, "node1", SEEN)
    assert warnings[0] == 'unknown field "spec.containers[0].colour"'
    two = text() + b"\n" + text("second")
    pod, warnings = static_pod(two, PATH, "node1", SEEN)
    assert pod.metadata is not None
    assert pod.metadata.name == "web-node1"
    assert warnings == ["only the first of 2 objects is used: one Pod for one file"]


# 7.4: what is refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", f"{PATH}: couldn't parse as pod(the file is empty), please check config file",
                     id="empty"),
        pytest.param(text()[:40], "couldn't parse as pod(", id="half written"),
        pytest.param(b"\0", "couldn't parse as pod(", id="binary"),
        pytest.param(text().replace(b"Pod", b"Job"), "couldn't parse as pod(Job in ver", id="another kind"),
        pytest.param(text(hostNetwork=7), "couldn't parse as pod(", id="wrong type"),
        pytest.param(text(""), "invalid pod: name is needed for the pod", id="no name"),
        pytest.param(text(containers=[]), "invalid pod: [spec.containers: Required value]", id="invalid"),
        pytest.param(text(metadata={"uid": "../../etc"}),
                     'invalid pod: [metadata.uid: Invalid value: "../../etc"', id="uid that is a path"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_pod_says_why(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError) as refused:
        read(data)
    assert message in str(refused.value)


def test_what_the_node_cannot_keep_is_refused() -> None:
    error = FieldError("spec.x", "Forbidden", "Forbidden: no memory controller")
    with pytest.raises(ManifestError, match=r"invalid pod: \[spec.x: Forbidden: no memory controller\]"):
        static_pod(text(), PATH, "node1", SEEN, lambda pod: [error])


def environment(**variable: Any) -> dict[str, Any]:
    entry = {"name": "main", "image": "localhost/host", **variable}
    return {"containers": [entry]}


@pytest.mark.parametrize(
    ("spec", "resource"),
    [
        pytest.param({"serviceAccountName": "me"}, "serviceaccounts", id="account"),
        pytest.param({"imagePullSecrets": [{"name": "s"}]}, "secrets", id="pull secret"),
        pytest.param(
            {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, "secrets", id="secret volume"),
        pytest.param(environment(envFrom=[{"secretRef": {"name": "s"}}]), "secrets", id="envFrom secret"),
        pytest.param(
            environment(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
            "secrets", id="env secret"),
        pytest.param(
            {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}, "configmaps", id="configMap volume"),
        pytest.param(
            environment(envFrom=[{"configMapRef": {"name": "c"}}]), "configmaps", id="envFrom configMap"),
        pytest.param(
            environment(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]),
            "configmaps", id="env configMap"),
        pytest.param(
            {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "c"}}]}}]},
            "configmaps", id="projected configMap"),
    ],
)  # fmt: skip
def test_a_static_pod_may_not_refer_to_the_api(spec: dict[str, Any], resource: str) -> None:
    with pytest.raises(ManifestError) as refused:
        read(text(**spec))
    assert str(refused.value) == f"static pods may not reference {resource}"


def test_what_needs_no_api_may_be_used() -> None:
    volumes = [
        {"name": "host", "hostPath": {"path": "/tmp"}},
        {"name": "empty", "emptyDir": {}},
    ]
    env = [{"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    assert read(text(**environment(env=env), volumes=volumes)).spec


# 7.4: which files count


def names(pods: list[Pod]) -> list[str]:
    return [(pod.metadata and pod.metadata.name) or "" for pod in pods]


def folder_of(path: Path) -> ManifestFolder:
    return ManifestFolder(path, lambda data, path, seen: static_pod(data, path, "n", seen))


def test_files_count_in_the_order_of_their_names_and_hidden_ones_and_folders_do_not(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.json", ".web.yaml.swp", "no-extension", "web.yaml~"):
        (tmp_path / name).write_bytes(text(name.strip(".").split(".")[0]))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.yaml").write_bytes(text("c"))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("deeper/c.yaml")
    found = folder_of(tmp_path).pods(SEEN)
    assert names(found) == ["a-n", "b-n", "c-n", "no-extension-n", "web-n"]


def test_a_single_file_may_stand_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_bytes(text("one"))
    (tmp_path / "two.yaml").write_bytes(text("two"))
    folder = folder_of(tmp_path / "one.yaml")
    assert names(folder.pods(SEEN)) == ["one-n"]
    assert folder.directory == tmp_path


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert folder_of(tmp_path / "none").pods(SEEN) == []


def test_a_broken_file_keeps_saying_what_it_said_and_a_removed_one_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, folder = tmp_path / "web.yaml", folder_of(tmp_path)
    file.write_bytes(text())
    before = folder.pods(SEEN)
    file.write_bytes(text()[:50])
    assert folder.pods(SEEN) == before
    assert folder.pods(SEEN) == before
    assert caplog.text.count("its pod stays as it was") == 1  # said once, not at every look
    file.unlink()
    assert folder.pods(SEEN) == []


def test_a_file_that_is_open_for_writing_is_not_read_before_it_is_closed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    with (tmp_path / "web.yaml").open("wb") as being_written:
        being_written.write(text("half"))
        being_written.flush()
        assert folder.pods(SEEN) == []
    assert names(folder.pods(SEEN)) == ["half-n"]


def test_a_file_beyond_ten_mebibytes_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "big.yaml").write_bytes(text() + b"\n" * (10 << 20))
    assert folder_of(tmp_path).pods(SEEN) == []
    assert "larger than 10 MiB" in caplog.text


# 7.6: who works, and what the API shows


class Stage:
    """StaticPods with a folder and a store, and a node that writes down what it is asked."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.done: list[str] = []
        self.told: Callable[[str], object] = len  # of each line: nobody listens
        self.statuses: dict[str, PodStatus] = {}
        clock = VirtualClock()
        self.recorder = FakeRecorder(clock)
        self.static = StaticPods(folder, "node1", store, self.recorder, clock, self, lambda pod: [])

    def begin_pod(self, pod: Pod) -> None:
        self._note("begin", pod)
        self.statuses[_uid(pod)] = pod.status or PodStatus()

    def change_pod(self, pod: Pod) -> None:
        self._note("change", pod)

    def end_pod(self, pod: Pod) -> None:
        self._note("end", pod)

    def status_of(self, uid: str) -> PodStatus | None:
        return self.statuses.get(uid)

    def _note(self, what: str, pod: Pod) -> None:
        assert pod.spec is not None
        line = f"{what} {names([pod])[0]} {len(pod.spec.containers or ())}"
        self.done.append(line)
        self.told(line)

    def finish(self, pod: Pod) -> None:
        self.statuses.pop(_uid(pod))
        self.static.finished(pod)

    async def look(self) -> None:
        await self.static._look_and_arrange()

    def write(self, file: str, name: str = "web", containers: int = 1, **metadata: Any) -> Pod:
        made = [{"name": f"c{n}", "image": "localhost/host"} for n in range(containers)]
        data = text(name, metadata=metadata, containers=made)
        (self.folder / file).write_bytes(data)
        return read(data, str(self.folder / file))

    def mirror(self, name: str = "web-node1") -> dict[str, Any]:
        return self.store.get("pods", "default", name)

    def shown(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.store.list("pods")[0]]


def _uid(pod: Pod) -> str:
    assert pod.metadata is not None
    return pod.metadata.uid or ""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    folder = tmp_path / "manifests"
    folder.mkdir()
    store = Store(tmp_path / "store.db")
    store.create("namespaces", {"metadata": {"name": "default"}})
    store.create("nodes", {"metadata": {"name": "node1", "uid": "node-uid"}})
    yield Stage(folder, store)
    store.close()


@in_virtual_time
async def test_a_changed_file_begins_only_when_the_old_pod_is_finished(stage: Stage) -> None:
    old = stage.write("web.yaml")
    stage.static.open()
    await stage.look()
    stage.write("web.yaml", containers=2)
    await stage.look()
    await stage.look()
    assert stage.done == ["begin web-node1 1", "end web-node1 1"]
    assert len(stage.mirror()["spec"]["containers"]) == 1
    stage.finish(old)
    assert stage.done[2:] == ["begin web-node1 2"]
    assert len(stage.mirror()["spec"]["containers"]) == 2


@in_virtual_time
async def test_a_file_that_comes_back_while_its_pod_ends_waits_too(stage: Stage) -> None:
    pod = stage.write("web.yaml")
    stage.static.open()
    await stage.look()
    (stage.folder / "web.yaml").unlink()
    await stage.look()
    stage.write("web.yaml")
    await stage.look()
    assert stage.done == ["begin web-node1 1", "end web-node1 1"]
    stage.finish(pod)
    assert stage.done[2:] == ["begin web-node1 1"]
    assert stage.shown() == ["web-node1"]


@in_virtual_time
async def test_a_content_change_under_a_uid_of_its_own_changes_the_pod(stage: Stage) -> None:
    stage.write("web.yaml", uid="own")
    stage.static.open()
    await stage.look()
    seen = stage.mirror()["metadata"]["annotations"]["kubernetes.io/config.seen"]
    stage.write("web.yaml", containers=2, uid="own")
    await stage.look()
    assert stage.done == ["begin web-node1 1", "change web-node1 2"]
    assert len(stage.mirror()["spec"]["containers"]) == 2
    assert stage.mirror()["metadata"]["annotations"]["kubernetes.io/config.seen"] == seen


@in_virtual_time
async def test_nothing_new_begins_before_the_orphans_are_gone(stage: Stage) -> None:
    running, new = stage.write("a.yaml", "running"), stage.write("b.yaml", "new")
    assert await stage.static.first_look() == {_uid(running), _uid(new)}
    stage.static.begin({_uid(running), "orphan"})
    assert stage.done == ["begin running-node1 1"]
    stage.static.open()
    assert stage.done[1:] == ["begin new-node1 1"]


@in_virtual_time
async def test_a_static_pod_goes_on_with_what_its_mirror_says(stage: Stage) -> None:
    pod = stage.write("web.yaml")
    stage.static.open()
    await stage.look()
    status = {"phase": "Running", "startTime": "2026-01-01T12:00:00Z"}
    stage.store.modify("pods", "default", "web-node1", lambda obj: obj | {"status": status})
    stage.static = Stage(stage.folder, stage.store).static
    stage.static._workers = stage
    stage.statuses.clear()
    await stage.static.first_look()
    stage.static.begin({_uid(pod)})
    assert to_dict(stage.statuses[_uid(pod)]) == status


@in_virtual_time
async def test_a_mirror_that_is_gone_going_or_changed_is_replaced(stage: Stage) -> None:
    stage.write("web.yaml")
    stage.static.open()
    await stage.look()
    uids = [stage.mirror()["metadata"]["uid"]]
    for spoil in (
        lambda pod: pod["metadata"].update(
            deletionTimestamp="2026-01-01T12:00:30Z", deletionGracePeriodSeconds=9),
        lambda pod: pod["spec"]["containers"][0].update(image="other"),
        lambda pod: pod["metadata"]["annotations"].update({"kubernetes.io/config.mirror": "another"}),
    ):  # fmt: skip
        changed = stage.store.modify("pods", "default", "web-node1", spoil)
        stage.static.api_changed("MODIFIED", changed)
        uids.append(stage.mirror()["metadata"]["uid"])
    stage.static.api_changed("DELETED", stage.store.delete("pods", "default", "web-node1"))
    uids.append(stage.mirror()["metadata"]["uid"])
    assert len(set(uids)) == len(uids)
    labelled = stage.store.modify(
        "pods", "default", "web-node1", lambda pod: pod["metadata"].update(labels={"a": "b"})
    )
    stage.static.api_changed("MODIFIED", labelled)
    assert stage.mirror()["metadata"]["uid"] == uids[-1]
    assert stage.done == ["begin web-node1 1"]


@in_virtual_time
async def test_a_mirror_of_nothing_is_removed(stage: Stage) -> None:
    annotations = {"kubernetes.io/config.mirror": "x"}
    lonely = stage.store.create(
        "pods", manifest("lonely", metadata={"namespace": "default", "annotations": annotations})
    )
    stage.static.api_changed("ADDED", lonely)
    assert stage.shown() == []


@in_virtual_time
async def test_a_name_that_a_pod_of_the_api_has_is_refused_until_it_is_free(stage: Stage) -> None:
    taken = stage.store.create("pods", manifest("web-node1", metadata={"namespace": "default"}))
    pod = stage.write("web.yaml")
    stage.static.open()
    await stage.look()
    await stage.look()
    assert stage.done == []
    assert stage.recorder.messages("FailedValidation") == [
        f"Error validating pod web-node1_default({_uid(pod)}) from file due to duplicate pod name "
        '"web-node1", ignoring'
    ]
    stage.store.delete("pods", "default", "web-node1")
    stage.static.api_changed("DELETED", taken)
    assert stage.done == ["begin web-node1 1"]


@in_virtual_time
async def test_a_mirror_waits_for_its_namespace(stage: Stage) -> None:
    stage.write("web.yaml", namespace="later")
    stage.static.open()
    await stage.look()
    assert (stage.done, stage.shown()) == (["begin web-node1 1"], [])
    stage.store.create("namespaces", {"metadata": {"name": "later"}})
    await stage.look()
    assert stage.shown() == ["web-node1"]


# 14.1: a reboot


def test_after_a_reboot_what_ran_is_lost_and_what_had_ended_keeps_its_end() -> None:
    ended = {"name": "b", "state": {"terminated": {"exitCode": 3}}, "restartCount": 1}
    running = {
        "name": "a",
        "state": {"running": {"startedAt": "2026-01-01T11:00:00Z"}},
        "containerID": "minikubelet://1",
        "ready": True,
        "started": True,
        "restartCount": 4,
    }
    status = {"phase": "Running", "containerStatuses": [running, ended]}
    lost, kept = after_reboot(status, EPOCH)["containerStatuses"]
    assert kept == ended
    assert (lost["ready"], lost["started"], lost["restartCount"]) == (False, False, 4)
    assert lost["state"] == {
        "terminated": {
            "containerID": "minikubelet://1",
            "exitCode": 255,
            "reason": "Unknown",
            "startedAt": "2026-01-01T11:00:00Z",
            "finishedAt": "2026-01-01T12:00:00Z",
        }
    }


# 7.4: watching, with the kernel's own inotify and its own time


class Watcher:
    """`StaticPods.follow` at work; it may look at once when told, but never because time is over."""

    def __init__(self, stage: Stage) -> None:
        self._asked: asyncio.Queue[str] = asyncio.Queue()
        stage.told = self._asked.put_nowait

    async def until(self, *expected: str) -> None:
        """The next things that are asked of the node."""
        async with asyncio.timeout(10):
            assert [await self._asked.get() for _ in expected] == list(expected)


def following(stage: Stage, story: Callable[[Watcher], Awaitable[None]]) -> None:
    async def play() -> None:
        stage.static.open()
        watcher = Watcher(stage)
        task = asyncio.create_task(stage.static.follow())
        await story(watcher)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())


@pytest.fixture
def never_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_pods, "FILE_CHECK", 1000.0)


@pytest.mark.usefixtures("never_by_time")
def test_a_file_that_is_written_renamed_or_removed_is_noticed_at_once(stage: Stage) -> None:
    async def story(watcher: Watcher) -> None:
        pod = stage.write("web.yaml")
        await watcher.until("begin web-node1 1")
        (stage.folder / "web.yaml").rename(stage.folder / ".hidden")
        await watcher.until("end web-node1 1")
        stage.finish(pod)
        (stage.folder / ".hidden").rename(stage.folder / "web.yaml")
        await watcher.until("begin web-node1 1")
        (stage.folder / "web.yaml").unlink()
        await watcher.until("end web-node1 1")

    following(stage, story)


@pytest.mark.usefixtures("never_by_time")
def test_a_save_by_way_of_a_backup_file_is_no_change(stage: Stage) -> None:
    async def story(watcher: Watcher) -> None:
        stage.write("web.yaml")
        await watcher.until("begin web-node1 1")
        (stage.folder / "web.yaml").rename(stage.folder / "web.yaml~")
        stage.write("web.yaml")
        (stage.folder / "web.yaml~").unlink()
        stage.write("other.yaml", "other")
        await watcher.until("begin other-node1 1")

    following(stage, story)


@pytest.mark.usefixtures("never_by_time")
def test_a_folder_that_is_replaced_is_followed(stage: Stage) -> None:
    async def story(watcher: Watcher) -> None:
        stage.write("old.yaml", "old")
        await watcher.until("begin old-node1 1")
        former = stage.folder.rename(stage.folder.with_name("former"))
        stage.folder.mkdir()
        stage.write("new.yaml", "new")
        await watcher.until("end old-node1 1", "begin new-node1 1")
        (former / "late.yaml").write_bytes(text("late"))
        stage.write("next.yaml", "next")
        await watcher.until("begin next-node1 1")

    following(stage, story)


def test_a_folder_may_come_later_and_is_looked_at_by_time_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_pods, "NO_FOLDER", 0.01)
    monkeypatch.setattr(static_pods, "FILE_CHECK", 0.05)

    async def story(watcher: Watcher) -> None:
        outside = stage.folder.with_name("outside.yaml")
        outside.write_bytes(text("link"))
        stage.folder.mkdir()
        (stage.folder / "link.yaml").symlink_to(outside)
        await watcher.until("begin link-node1 1")
        outside.unlink()  # nothing happens in the folder itself
        await watcher.until("end link-node1 1")

    stage.folder.rmdir()
    following(stage, story)
