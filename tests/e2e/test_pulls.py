"""Pods whose images come from a registry: public, private, absent; with the kubelet's Events and reasons."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.registries import PASSWORD, USER, RealRegistry, image_layout
from tests.kernel.test_images import entry, folder, tar

from .conftest import Agent, simple_pod, until

BUSYBOX = Path("/bin/busybox").read_bytes()
LAYER = tar(
    [
        *(folder(name) for name in ("bin", "etc", "www", "home")),
        (entry("bin/busybox", mode=0o755), BUSYBOX),
        (entry("etc/passwd"), b"root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/home:/bin/sh\n"),
        (entry("www/index.html"), b"it works\n"),
    ]
)
CONFIG = {"Entrypoint": ["/bin/busybox"], "Cmd": ["httpd", "-f", "-p", "80", "-h", "/www"], "User": "web"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    directory = tmp_path_factory.mktemp("registry")
    with RealRegistry(directory / "server", secure=True) as running:
        running.push(image_layout(directory / "image", [LAYER], **CONFIG), "course/web:1.21")
        yield running


@pytest.fixture(scope="module")
def image(agent: Agent, registry: RealRegistry) -> str:
    """Its name, on a node that trusts the registry's certificate."""
    folder = agent.root / "etc/certs.d" / registry.domain
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(f'server = "https://{registry.domain}"\nca = "{registry.ca}"\n')
    return f"{registry.domain}/course/web:1.21"


def events(agent: Agent, name: str) -> list[tuple[str, str]]:
    return [(event["reason"], event["message"]) for event in agent.events(name)]


def secret(registry: RealRegistry, password: str = PASSWORD) -> dict[str, Any]:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config = json.dumps({"auths": {registry.domain: {"auth": auth}}}).encode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "registry"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config).decode()},
    }


def test_a_private_image_waits_for_its_secret_and_serves_when_it_is_there(
    agent: Agent, registry: RealRegistry, image: str
) -> None:
    """The nginx-pod of every course: labels, containerPort 80, readiness on it."""
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
    container = {"image": image, "ports": [{"containerPort": 80}], "readinessProbe": probe}
    pod = simple_pod("web", container=container, imagePullSecrets=[{"name": "registry"}])
    del pod["spec"]["containers"][0]["command"]
    pod["metadata"]["labels"] = {"app": "web"}
    agent.apply(pod)
    until(lambda: "ErrImagePull" in str(agent.container("web")), what="it cannot be pulled")
    seen = events(agent, "web")
    assert ("Pulling", f'Pulling image "{image}"') in seen
    assert (
        "FailedToRetrieveImagePullSecret",
        "Unable to retrieve some image pull secrets (registry); "
        "attempting to pull the image may not succeed.",
    ) in seen
    assert any(reason == "Failed" and "pull access denied" in message for reason, message in seen)
    until(lambda: "ImagePullBackOff" in str(agent.container("web")), what="it backs off")

    agent.apply(secret(registry))
    until(lambda: agent.container("web").get("ready"), limit=60, what="it is ready")
    pulled = next(message for reason, message in events(agent, "web") if reason == "Pulled")
    assert pulled.startswith(f'Successfully pulled image "{image}" in ')
    assert "Image size: " in pulled
    status = agent.container("web")
    assert status["image"] == image
    assert status["user"]["linux"]["uid"] == 1000
    address = agent.pod("web")["status"]["podIP"]
    assert agent.run("exec", "web", "--", "busybox", "wget", "-qO-", f"http://{address}/") == "it works\n"
    agent.run("delete", "pod", "web")


def test_a_second_pod_uses_what_is_there(agent: Agent, image: str) -> None:
    secrets = [{"name": "registry"}]
    pod = simple_pod(
        "again", "/bin/busybox", "sleep", "1000", container={"image": image}, imagePullSecrets=secrets
    )
    agent.apply(pod)
    agent.wait_running("again")
    present = f'Container image "{image}" already present on machine and can be accessed by the pod'
    assert ("Pulled", present) in events(agent, "again")
    assert "in use" in agent.call("image", "rm", image).stderr

    def shown() -> list[str]:
        node = json.loads(agent.run("get", "node", "node1", "-o", "json"))
        return [name for one in node["status"]["images"] for name in one["names"]]

    until(lambda: image in shown(), what="the Node's status shows the image")
    agent.run("delete", "pod", "again")


def test_images_are_managed_by_name(agent: Agent, image: str, registry: RealRegistry) -> None:
    assert image in agent.run("image", "ls")
    agent.run("image", "rm", image)
    assert image not in agent.run("image", "ls")
    assert "pull access denied" in agent.call("image", "pull", image).stderr
    config = {"auths": {registry.domain: {"username": USER, "password": PASSWORD}}}
    (agent.root / "etc/config.json").write_text(json.dumps(config))
    assert agent.run("image", "pull", image) == f'image "{image}" pulled\n'


def test_an_image_layout_is_loaded_saved_and_loaded_again(agent: Agent, tmp_path: Path) -> None:
    layout = image_layout(tmp_path / "layout", [LAYER], **CONFIG, Labels={"from": "a layout"})
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": "localhost/web:1"}
    (layout / "index.json").write_text(json.dumps(index))
    loaded = 'image "localhost/web:1" loaded\n'
    assert agent.run("image", "load", str(layout)) == loaded
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    agent.run("image", "save", "localhost/web:1", "-o", str(first))
    agent.run("image", "rm", "localhost/web:1")
    assert agent.run("image", "load", str(first)) == loaded
    agent.run("image", "save", "localhost/web:1", "-o", str(second))
    assert first.read_bytes() == second.read_bytes()
    assert agent.run("image", "inspect", "localhost/web:1").startswith("{")
