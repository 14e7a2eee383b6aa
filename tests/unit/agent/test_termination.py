"""Grace periods, kubelet-behaviour 4.1, 4.3 and 3.8; what takes time is told in test_pod_worker."""

import pytest

from minikubelet.agent.termination import container_grace, pod_grace
from tests.unit.agent.pods import make_pod

OWN = {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 60}
DELETED = {"deletionGracePeriodSeconds": 7}


@pytest.mark.parametrize(
    ("probes", "metadata", "spec", "probe", "grace"),
    [
        pytest.param({}, {}, {}, "", 30, id="the pod's"),
        pytest.param({}, {}, {"terminationGracePeriodSeconds": None}, "", 2, id="none: 2 s"),
        pytest.param({}, DELETED, {}, "", 7, id="the deletion's first"),
        pytest.param({"livenessProbe": OWN}, {}, {}, "liveness", 60, id="the probe's, even if longer"),
        pytest.param({"startupProbe": OWN}, {}, {}, "startup", 60, id="startup too"),
        pytest.param({"livenessProbe": OWN}, {}, {}, "startup", 30, id="only of the probe that failed"),
        pytest.param({"livenessProbe": OWN}, {}, {}, "", 30, id="another reason to kill"),
        pytest.param({"livenessProbe": OWN}, DELETED, {}, "liveness", 7, id="not while it is being deleted"),
    ],
)
def test_grace_of_one_container_4_1(probes, metadata, spec, probe, grace):
    pod = make_pod({"name": "web", **probes}, metadata=metadata, **spec)
    assert container_grace(pod, pod.spec.containers[0], probe) == grace


@pytest.mark.parametrize(
    ("metadata", "least", "spec", "grace"),
    [
        pytest.param(DELETED, None, {}, 7, id="what the deletion says"),
        pytest.param(DELETED, 3, {}, 3, id="it only shrinks"),
        pytest.param({"deletionGracePeriodSeconds": 0}, None, {}, 1, id="never below 1"),
        pytest.param({}, None, {}, 30, id="natural end or deadline: the pod's own"),
        pytest.param({}, 1, {}, 1, id="removed: 1"),
        pytest.param({}, None, {"terminationGracePeriodSeconds": 0}, 1, id="a pod that gives itself none"),
    ],
)
def test_grace_of_a_pod_4_3(metadata, least, spec, grace):
    assert pod_grace(make_pod("web", metadata=metadata, **spec), least) == grace
