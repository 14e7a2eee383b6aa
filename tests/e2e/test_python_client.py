"""The official Python client against the real agent: with the kubeconfig it wrote, and with a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException

from tests.e2e.conftest import Agent, simple_pod, until

# Its WebSockets are closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def api(agent: Agent) -> Iterator[client.ApiClient]:
    """As a script gets it: from the kubeconfig."""
    made = config.new_client_from_config(agent.run("kubeconfig").strip())
    yield made
    made.close()


@pytest.fixture(scope="module")
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


@pytest.fixture(scope="module")
def web(agent: Agent) -> str:
    """A pod that runs."""
    agent.apply(simple_pod("web", "sh", "-c", "echo begun; exec sleep 3600"))
    agent.wait_running("web")
    return "web"


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"of": "test"}), data=data)


def refused(call: Any, *args: Any, **options: Any) -> int:
    with pytest.raises(ApiException) as error:
        call(*args, **options)
    return int(error.value.status)


def test_a_token_is_as_good_as_a_certificate(agent: Agent) -> None:
    settings = client.Configuration()
    settings.host = agent.ready_line.split("https=")[1].split()[0]
    settings.ssl_ca_cert = str(agent.root / "etc/pki/ca.crt")
    settings.api_key = {"authorization": "Bearer " + (agent.root / "etc/pki/token").read_text().strip()}
    with client.ApiClient(settings) as api:
        assert [node.metadata.name for node in client.CoreV1Api(api).list_node().items] == ["node1"]
        settings.api_key = {"authorization": "Bearer nonsense"}
        assert refused(client.CoreV1Api(api).list_node) == 401


def test_objects_are_made_changed_and_deleted(core: client.CoreV1Api) -> None:
    made = core.create_namespaced_config_map("default", config_map("words", one="1"))
    assert (made.data, bool(made.metadata.uid)) == ({"one": "1"}, True)
    assert refused(core.create_namespaced_config_map, "default", config_map("words")) == 409
    changed = core.patch_namespaced_config_map("words", "default", {"data": {"two": "2"}})
    assert changed.data == {"one": "1", "two": "2"}
    changed.data = {"three": "3"}
    assert core.replace_namespaced_config_map("words", "default", changed).data == {"three": "3"}
    assert refused(core.replace_namespaced_config_map, "words", "default", changed) == 409
    core.delete_namespaced_config_map("words", "default")
    assert refused(core.read_namespaced_config_map, "words", "default") == 404


def test_lists_have_selectors_and_pages(core: client.CoreV1Api) -> None:
    for name in ("a", "b", "c"):
        core.create_namespaced_config_map("default", config_map(name))
    first = core.list_namespaced_config_map("default", label_selector="of=test", limit=2)
    assert [each.metadata.name for each in first.items] == ["a", "b"]
    token = first.metadata._continue
    rest = core.list_namespaced_config_map("default", label_selector="of=test", limit=2, _continue=token)
    assert [each.metadata.name for each in rest.items] == ["c"]
    one = core.list_config_map_for_all_namespaces(field_selector="metadata.name=b")
    assert [each.metadata.name for each in one.items] == ["b"]
    core.delete_collection_namespaced_config_map("default", label_selector="of=test")
    assert not core.list_namespaced_config_map("default", label_selector="of=test").items


def test_a_watch_from_nothing_and_from_a_revision(core: client.CoreV1Api) -> None:
    core.create_namespaced_config_map("default", config_map("seen"))
    options = {"namespace": "default", "label_selector": "of=test", "timeout_seconds": 30}
    watcher = watch.Watch()
    events = watcher.stream(core.list_namespaced_config_map, **options)
    first = next(events)
    assert first["type"] == "ADDED"
    core.delete_namespaced_config_map("seen", "default")
    assert next(events)["type"] == "DELETED"
    watcher.stop()
    events.close()
    since = first["object"].metadata.resource_version
    later = watch.Watch().stream(core.list_namespaced_config_map, resource_version=since, **options)
    assert next(later)["type"] == "DELETED"
    later.close()


def test_logs_are_read_and_followed(core: client.CoreV1Api, web: str) -> None:
    until(lambda: core.read_namespaced_pod_log(web, "default") == "begun\n", what="it has spoken")
    follow = watch.Watch().stream(core.read_namespaced_pod_log, web, "default", follow=True)
    assert next(follow) == "begun"
    follow.close()
    assert refused(core.read_namespaced_pod_log, web, "default", previous=True) == 400


def test_the_dynamic_client_finds_its_way_by_discovery(api: client.ApiClient) -> None:
    pods = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="Pod")
    made = pods.create(body=simple_pod("dynamic", "sleep", "3600"), namespace="default")
    assert made.metadata.name == "dynamic"
    for event in pods.watch(namespace="default", timeout=60, field_selector="metadata.name=dynamic"):
        if event["object"].status.phase == "Running":
            break
    patched = pods.patch(
        name="dynamic", namespace="default", body={"metadata": {"labels": {"a": "b"}}},
        content_type="application/merge-patch+json",
    )  # fmt: skip
    assert patched.metadata.labels.a == "b"
    pods.delete(name="dynamic", namespace="default")


def test_a_manifest_is_created_and_its_events_are_read(
    api: client.ApiClient, core: client.CoreV1Api, agent: Agent, tmp_path: Path
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: manifest}\nspec:\n  terminationGracePeriodSeconds: 1\n"
        "  containers:\n  - {name: main, image: localhost/host, command: [sleep, '3600']}\n"
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside}\ndata: {a: b}\n"
    )
    utils.create_from_yaml(api, str(file))
    agent.wait_running("manifest")

    def reasons() -> set[str]:
        selector = "involvedObject.name=manifest"
        return {each.reason for each in core.list_namespaced_event("default", field_selector=selector).items}

    until(lambda: {"Scheduled", "Pulled", "Created", "Started"} <= reasons())
    with pytest.raises(utils.FailToCreateError, match="already exists"):
        utils.create_from_yaml(api, str(file))
    gone = core.delete_namespaced_pod("manifest", "default")
    assert gone.metadata.deletion_timestamp
    until(lambda: not agent.pod("manifest"))
    core.delete_namespaced_config_map("beside", "default")


def test_nobody_gets_in_without_a_certificate_or_a_token(agent: Agent) -> None:
    settings = client.Configuration()
    settings.host = agent.ready_line.split("https=")[1].split()[0]
    settings.ssl_ca_cert = str(agent.root / "etc/pki/ca.crt")
    with client.ApiClient(settings) as api:
        assert refused(client.CoreV1Api(api).list_node) == 401
        assert client.VersionApi(api).get_code().major == "1"
