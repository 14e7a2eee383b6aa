"""Environment, command line and working directory, as kubelet-behaviour 9.1 to 9.5 has them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.runtime.environment import (
    DEFAULT_PATH,
    Facts,
    command_line,
    container_environment,
    expand,
    process_environment,
    working_directory,
)
from minikubelet.runtime.images.config import ImageConfig
from minikubelet.v1 import Container, Pod, from_dict

FACTS = Facts(
    "web", ["10.0.0.5", "fd00::5"], ["192.0.2.1"], "n1", {"cpu": "4", "memory": "8Gi"}, {"SVC": "1.2.3.4"}
)
OBJECTS = {
    ("configmaps", "conf"): {"data": {"a": "1", "b.c": "2"}, "binaryData": {"x": "AA=="}},
    ("secrets", "keys"): {"data": {"token": base64.b64encode(b"s3cret").decode(), "raw": "/w=="}},
}
METADATA = {
    "name": "web", "namespace": "shop", "uid": "u-1", "labels": {"app": "x"}, "annotations": {"n/o": "te"}
}  # fmt: skip


def find(resource: str, name: str) -> dict[str, Any] | None:
    return OBJECTS.get((resource, name))


FILES = {("data", "app.env"): "A='one'\nB=''\n", ("data", "bad.env"): "A=one\n"}


def read(volume: str, path: str) -> str:
    if (volume, path) not in FILES:
        raise FileNotFoundError(path)
    return FILES[volume, path]


def environment(container: dict[str, Any], **spec: Any) -> dict[str, str]:
    container = {"name": "c", **container}
    spec = {"serviceAccountName": "default", **spec, "containers": [container]}
    pod = from_dict(Pod, {"metadata": METADATA, "spec": spec})
    result = container_environment(pod, pod.spec.containers[0], FACTS, find, read)
    return {name: value for name, value in result.items() if name != "SVC"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("$(A)", "1", id="known"),
        pytest.param("$(NO)", "$(NO)", id="unknown stays"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$$$(A)", "$1", id="escaped dollar, then a reference"),
        pytest.param("$x", "$x", id="dollar and another character"),
        pytest.param("$(A", "$(A", id="unclosed"),
        pytest.param("cost: 5$", "cost: 5$", id="dollar at the end"),
        pytest.param("$(REF)", "$(A)", id="not recursive"),
        pytest.param("$(b c)x$(A)", "2x1", id="any character but the bracket in a name"),
        pytest.param("$($(A))", "$($(A))", id="nested"),
        pytest.param("", "", id="empty"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "b c": "2", "REF": "$(A)"}) == expanded


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, {"A": "2"}, id="later wins"
        ),
        pytest.param(
            {"env": [{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}]},
            {"B": "$(A)", "A": "1"},
            id="only what was set before is known",
        ),
        pytest.param(
            {"env": [{"name": "B", "value": "$(SVC)"}]}, {"B": "1.2.3.4"}, id="service variables are known"
        ),
        pytest.param({"env": [{"name": "E"}]}, {"E": ""}, id="no value"),
        pytest.param(
            {
                "envFrom": [{"configMapRef": {"name": "conf"}, "prefix": "P_"}],
                "env": [{"name": "P_a", "value": "x"}],
            },
            {"P_a": "x", "P_b.c": "2"},
            id="envFrom takes every key with the prefix, env wins",
        ),
        pytest.param(
            {"envFrom": [{"secretRef": {"name": "keys"}}]},
            {"token": "s3cret", "raw": "\udcff"},
            id="secret decoded",
        ),
        pytest.param(
            {"envFrom": [{"configMapRef": {"name": "no", "optional": True}}]}, {}, id="optional object"
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "a"}}}]},
            {"A": "1"},
            id="configMapKeyRef",
        ),
        pytest.param(
            {
                "env": [
                    {
                        "name": "A",
                        "valueFrom": {"secretKeyRef": {"name": "keys", "key": "no", "optional": True}},
                    }
                ]
            },
            {},
            id="optional key",
        ),
        pytest.param(
            {
                "env": [
                    {"name": path, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                    for path in (
                        "metadata.labels['app']",
                        "metadata.annotations['n/o']",
                        "metadata.labels['no']",
                    )
                ]
            },
            {"metadata.labels['app']": "x", "metadata.annotations['n/o']": "te", "metadata.labels['no']": ""},
            id="labels and annotations",
        ),
        pytest.param(
            {
                "env": [
                    {"name": path, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                    for path in ("metadata.name", "metadata.uid", "spec.nodeName", "spec.serviceAccountName")
                ]
            },
            {
                "metadata.name": "web",
                "metadata.uid": "u-1",
                "spec.nodeName": "n1",
                "spec.serviceAccountName": "default",
            },
            id="names",
        ),
        pytest.param(
            {
                "env": [
                    {"name": path, "valueFrom": {"fieldRef": {"fieldPath": f"status.{path}"}}}
                    for path in ("podIP", "podIPs", "hostIP")
                ]
            },
            {"podIP": "10.0.0.5", "podIPs": "10.0.0.5,fd00::5", "hostIP": "192.0.2.1"},
            id="addresses",
        ),
    ],
)
def test_environment_of_a_container(container: dict[str, Any], expected: dict[str, str]) -> None:
    assert environment(container) == expected


@pytest.mark.parametrize(
    ("resources", "selector", "value"),
    [
        pytest.param({"limits": {"cpu": "1500m"}}, {"resource": "limits.cpu"}, "2", id="cpu rounded up"),
        pytest.param(
            {"limits": {"cpu": "1500m"}}, {"resource": "limits.cpu", "divisor": "1m"}, "1500", id="milli"
        ),
        pytest.param({"limits": {"memory": "64Mi"}}, {"resource": "limits.memory"}, "67108864", id="bytes"),
        pytest.param(
            {"limits": {"memory": "65Mi"}},
            {"resource": "limits.memory", "divisor": "64Mi"},
            "2",
            id="divided",
        ),
        pytest.param({}, {"resource": "limits.cpu"}, "4", id="no limit: all that the node has"),
        pytest.param({}, {"resource": "requests.memory"}, "0", id="no request: nothing"),
    ],
)
def test_resource_field(resources: dict[str, Any], selector: dict[str, str], value: str) -> None:
    env = [{"name": "R", "valueFrom": {"resourceFieldRef": selector}}]
    assert environment({"resources": resources, "env": env}) == {"R": value}


def test_a_missing_limit_of_a_container_is_the_pods() -> None:
    env = [{"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]
    assert environment({"env": env}, resources={"limits": {"cpu": "2"}}) == {"R": "2"}


@pytest.mark.parametrize(
    ("container", "message"),
    [
        pytest.param(
            {"envFrom": [{"configMapRef": {"name": "no"}}]}, 'configmap "no" not found', id="configmap"
        ),
        pytest.param({"envFrom": [{"secretRef": {"name": "no"}}]}, 'secret "no" not found', id="secret"),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "x"}}}]},
            "couldn't find key x in ConfigMap shop/conf",
            id="a key of binaryData is none",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "no"}}}]},
            "couldn't find key no in Secret shop/keys",
            id="key of a secret",
        ),
    ],
)
def test_what_is_missing_is_a_config_error_in_the_kubelets_words(
    container: dict[str, Any], message: str
) -> None:
    with pytest.raises(CreateContainerConfigError) as caught:
        environment(container)
    assert str(caught.value) == message


def test_the_process_gets_base_image_and_manifest_in_this_order() -> None:
    image = ImageConfig(env=["PATH=/image", "A=image", "B=image"])
    assert process_environment({"A": "manifest"}, image, FACTS, tty=True) == [
        "PATH=/image", "HOSTNAME=web", "TERM=xterm", "A=manifest", "B=image",
    ]  # fmt: skip
    assert process_environment({}, ImageConfig(), FACTS, tty=False) == [
        f"PATH={DEFAULT_PATH}",
        "HOSTNAME=web",
    ]


def test_a_null_byte_is_refused_before_the_kernel_sees_it() -> None:
    with pytest.raises(CreateContainerConfigError, match="contains a null byte"):
        process_environment({"A": "x\0y"}, ImageConfig(), FACTS, tty=False)


@pytest.mark.parametrize(
    ("command", "args", "executed"),
    [
        pytest.param(None, None, ["/entry", "cmd"], id="neither: entrypoint and cmd"),
        pytest.param(None, ["x"], ["/entry", "x"], id="args: entrypoint and args"),
        pytest.param(["/c"], None, ["/c"], id="command: alone"),
        pytest.param(["/c"], ["$(V)"], ["/c", "v"], id="both, expanded"),
    ],
)
def test_command_line(command: list[str] | None, args: list[str] | None, executed: list[str]) -> None:
    image = ImageConfig(entrypoint=["/entry"], cmd=["cmd"])
    assert command_line(Container(command=command, args=args), image, {"V": "v"}, "0" * 64) == executed


def test_no_command_at_all_is_an_error() -> None:
    with pytest.raises(CreateContainerError, match="failed to generate spec: no command specified"):
        command_line(Container(), ImageConfig(), {}, "0" * 64)


@pytest.mark.parametrize(
    ("spec", "image", "directory"), [("/s", "/i", "/s"), (None, "/i", "/i"), (None, "", "/")]
)
def test_working_directory(spec: str | None, image: str, directory: str) -> None:
    assert working_directory(Container(working_dir=spec), ImageConfig(working_dir=image)) == directory


def file_variable(key: str, path: str = "app.env", **fields: Any) -> dict[str, Any]:
    reference = {"volumeName": "data", "path": path, "key": key, **fields}
    return {"env": [{"name": "V", "valueFrom": {"fileKeyRef": reference}}]}


def test_a_variable_comes_from_a_file_of_an_empty_dir_9_3():
    assert environment(file_variable("A")) == {"V": "one"}
    assert environment(file_variable("NO", optional=True)) == {}
    assert environment(file_variable("B", optional=True)) == {}


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        pytest.param(
            file_variable("NO"), 'environment variable key "NO" not found in file "app.env"', id="no such key"
        ),
        pytest.param(file_variable("A", "none.env"), "couldn't parse env file", id="no such file"),
        pytest.param(
            file_variable("A", "none.env", optional=True), "couldn't parse env file", id="not even optional"
        ),
        pytest.param(file_variable("A", "bad.env"), "couldn't parse env file", id="not an env file"),
    ],
)
def test_an_env_file_that_does_not_say_it_is_a_config_error_9_3(variable, message):
    with pytest.raises(CreateContainerConfigError) as raised:
        environment(variable)
    assert str(raised.value) == message
