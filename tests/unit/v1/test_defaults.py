"""kubelet-behaviour 8.4, and what admission adds (7.3)."""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.v1 import Namespace, ObjectMeta, PersistentVolumeClaim, Pod, Secret, from_dict, to_dict
from minikubelet.v1.decode import decode
from minikubelet.v1.defaults import admit_pod, set_defaults
from minikubelet.v1.pod_defaults import pull_policy
from tests.unit.v1.pods import manifest, pod


def spec(**changes: Any) -> dict[str, Any]:
    made, _ = decode(manifest(**changes), Pod)
    set_defaults(made)
    data: dict[str, Any] = to_dict(made)["spec"]
    return data


def container(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = spec(container=fields)["containers"][0]
    return made


def test_a_bare_pod_is_filled_in() -> None:
    assert spec() == {
        "containers": [
            {
                "name": "main",
                "image": "busybox:1.36",
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("busybox@sha256:aa", "IfNotPresent"),
        ("localhost:5000/busybox", "Always"),
        ("localhost:5000/busybox:1", "IfNotPresent"),
        ("busybox:latest@sha256:aa", "Always"),
    ],
)
def test_an_image_that_may_change_is_pulled_always(image: str, expected: str) -> None:
    assert pull_policy(image) == expected


def test_ports_get_a_protocol_and_on_the_host_network_a_host_port() -> None:
    assert container(ports=[{"containerPort": 80}])["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    on_host = spec(container={"ports": [{"containerPort": 80}]}, hostNetwork=True)
    assert on_host["containers"][0]["ports"][0]["hostPort"] == 80


def test_limits_are_promised_and_quantities_become_canonical() -> None:
    made = container(resources={"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "100.5m"}})
    assert made["resources"] == {
        "limits": {"cpu": "500m", "memory": "1Gi"},
        "requests": {"cpu": "101m", "memory": "1Gi"},
    }
    assert made["resizePolicy"] == [
        {"resourceName": "cpu", "restartPolicy": "NotRequired"},
        {"resourceName": "memory", "restartPolicy": "NotRequired"},
    ]


@pytest.mark.parametrize("kind", ["livenessProbe", "readinessProbe", "startupProbe"])
def test_probes_get_their_numbers(kind: str) -> None:
    """kubelet-behaviour 3.1; zero counts as unset."""
    numbers = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    zeros = dict.fromkeys(numbers, 0)
    assert container(**{kind: {"httpGet": {"port": 80}, **zeros}})[kind] == {
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        **numbers,
    }


def test_hooks_get_path_and_scheme_too() -> None:
    hook = container(lifecycle={"preStop": {"httpGet": {"port": 80}}})["lifecycle"]["preStop"]
    assert hook == {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}}


def test_field_references_are_of_v1() -> None:
    made = container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
    assert made["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({}, {"emptyDir": {}}, id="no source"),
        pytest.param({"hostPath": {"path": "/a"}}, {"hostPath": {"path": "/a", "type": ""}}, id="hostPath"),
        pytest.param(
            {"secret": {"secretName": "s"}}, {"secret": {"secretName": "s", "defaultMode": 420}}, id="secret"
        ),
        pytest.param(
            {"configMap": {"name": "c"}}, {"configMap": {"name": "c", "defaultMode": 420}}, id="configMap"
        ),
        pytest.param({"downwardAPI": {}}, {"downwardAPI": {"defaultMode": 420}}, id="downwardAPI"),
        pytest.param(
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                    "defaultMode": 420,
                }
            },
            id="projected",
        ),
        pytest.param({"emptyDir": {"sizeLimit": "1024Mi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}, id="size"),
    ],
)
def test_volumes(source: dict[str, Any], expected: dict[str, Any]) -> None:
    assert spec(volumes=[{"name": "v", **source}])["volumes"] == [{"name": "v", **expected}]


def test_defaulting_twice_is_defaulting_once() -> None:
    once = pod(
        container={"resources": {"limits": {"cpu": "1.5"}}, "livenessProbe": {"exec": {"command": ["x"]}}}
    )
    data = to_dict(once)
    again = from_dict(Pod, data)
    set_defaults(again)
    admit_pod(again)
    assert to_dict(again) == data


def test_admission_gives_an_account_a_priority_tolerations_and_a_first_status() -> None:
    made = to_dict(pod())
    assert made["spec"]["serviceAccountName"] == made["spec"]["serviceAccount"] == "default"
    assert made["spec"]["priority"] == 0
    assert made["spec"]["preemptionPolicy"] == "PreemptLowerPriority"
    assert made["spec"]["tolerations"] == [
        {
            "key": f"node.kubernetes.io/{key}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for key in ("not-ready", "unreachable")
    ]
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_who_tolerates_a_taint_himself_gets_no_other_toleration_for_it() -> None:
    made = pod(tolerations=[{"operator": "Exists"}])
    assert made.spec is not None
    assert len(made.spec.tolerations or ()) == 1


def test_a_secret_stores_its_texts_as_bytes() -> None:
    secret = Secret(string_data={"b": "text"}, data={"a": "YQ=="})
    set_defaults(secret)
    data = to_dict(secret)
    assert data["type"] == "Opaque"
    assert data["data"] == {"a": "YQ==", "b": "dGV4dA=="}
    assert "stringData" not in data


def test_a_namespace_is_active_and_labelled_with_its_name() -> None:
    namespace = Namespace(metadata=ObjectMeta(name="team"))
    set_defaults(namespace)
    assert to_dict(namespace) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "team", "labels": {"kubernetes.io/metadata.name": "team"}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def test_a_claim_is_a_pending_file_system() -> None:
    claim = PersistentVolumeClaim()
    set_defaults(claim)
    assert to_dict(claim)["spec"] == {"volumeMode": "Filesystem"}
    assert to_dict(claim)["status"] == {"phase": "Pending"}


@pytest.mark.parametrize(
    ("container", "whole", "expected"),
    [
        pytest.param({}, {"limits": {"cpu": "2"}}, {"cpu": "2"}, id="the limit, when no container asks"),
        pytest.param(
            {"requests": {"cpu": "500m", "memory": "1Mi"}},
            {"limits": {"cpu": "2"}},
            {"cpu": "500m", "memory": "1Mi"},
            id="what the containers ask for, limited or not",
        ),
        pytest.param(
            {"requests": {"cpu": "500m"}},
            {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}},
            {"cpu": "1"},
            id="its own",
        ),
        pytest.param(
            {"requests": {"cpu": "500m"}},
            {"requests": {"memory": "1Gi"}},
            {"memory": "1Gi"},
            id="nothing is added to a pod without limits",
        ),
        pytest.param(
            {"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}},
            {"limits": {"cpu": "2"}},
            {"cpu": "1", "hugepages-2Mi": "4Mi"},
            id="huge pages follow the containers' limits",
        ),
    ],
)
def test_requests_of_a_pod_as_a_whole(
    container: dict[str, Any], whole: dict[str, Any], expected: dict[str, str]
) -> None:
    made = pod(container={"resources": container}, resources=whole)
    assert made.spec is not None
    assert made.spec.resources is not None
    assert made.spec.resources.requests == expected
