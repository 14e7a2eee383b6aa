"""Annotations that ask more of probes than core/v1 can say, and hosts that deserve a warning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.v1 import (
    Container,
    ExecAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    ObjectMeta,
    Pod,
    PodSpec,
    Probe,
    TCPSocketAction,
)
from minikubelet.v1.cautions import CLOUD, LINK_LOCAL, LOOPBACK, cautions, risk_of
from minikubelet.v1.probe_options import PRESSURE, SEED, ProbeOptions
from minikubelet.v1.support import check
from minikubelet.v1.validation import validate_pod

PERIOD = "period-seconds.liveness.probes.minikubelet.io/main"


def pod(annotations: dict[str, str] | None = None, host_network: bool = False, **probes) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="web", namespace="default", annotations=annotations),
        spec=PodSpec(
            host_network=host_network,
            containers=[Container(name="main", **(probes or {"liveness_probe": exec_probe()}))],
        ),
    )


def exec_probe() -> Probe:
    return Probe(exec=ExecAction(command=["true"]))


def test_without_annotations_nothing_is_changed():
    assert ProbeOptions.of(pod({"example.com/other": "x"})) == ProbeOptions()


def test_every_option_is_read():
    options = ProbeOptions.of(
        pod(
            {
                PERIOD: "0.25",
                "timeout-seconds.liveness.probes.minikubelet.io/main": "0.1",
                SEED: "7",
                PRESSURE: "true",
            }
        )
    )
    assert options == ProbeOptions(
        {("period", "liveness", "main"): 0.25, ("timeout", "liveness", "main"): 0.1}, 7, True
    )


SECONDS = "must be seconds between 0.01 and 3600"


@pytest.mark.parametrize(
    ("key", "value", "detail"),
    [
        pytest.param(PERIOD, "fast", SECONDS, id="no number"),
        pytest.param(PERIOD, "", SECONDS, id="empty"),
        pytest.param(PERIOD, "0", SECONDS, id="zero"),
        pytest.param(PERIOD, "-1", SECONDS, id="negative"),
        pytest.param(PERIOD, "nan", SECONDS, id="not a number"),
        pytest.param(PERIOD, "inf", SECONDS, id="for ever"),
        pytest.param(PERIOD, "0.001", SECONDS, id="a millisecond would stop the others"),
        pytest.param(PERIOD, "1e9999", SECONDS, id="an exponent"),
        pytest.param(PERIOD, "9" * 4000, SECONDS, id="a long number"),
        pytest.param(PERIOD, "١", SECONDS, id="digits that are not ASCII"),
        pytest.param(
            PERIOD.replace("main", "db"), "1", "container db has no liveness probe", id="another container"
        ),
        pytest.param(
            PERIOD.replace("liveness", "startup"),
            "1",
            "container main has no startup probe",
            id="another probe",
        ),
        pytest.param(PERIOD.replace("period", "delay"), "1", "no such option of probes", id="another field"),
        pytest.param("probes.minikubelet.io/seed", "1", "no such option of probes", id="a name misspelt"),
        pytest.param(SEED, "lucky", "must be a whole number", id="a seed that is none"),
        pytest.param(PRESSURE, "yes", "must be true or false", id="neither true nor false"),
    ],
)
def test_a_mistake_is_an_error_of_the_api(key, value, detail):
    options = ProbeOptions.of(pod({key: value}))
    assert (options.seconds, options.seed, options.pressure) == ({}, None, False)
    errors = [error for error in validate_pod(pod({key: value})) if error.path.startswith("metadata")]
    assert [(error.path, error.type) for error in errors] == [(f"metadata.annotations[{key}]", "Invalid")]
    assert errors[0].message.endswith(f": {detail}")


@given(st.dictionaries(st.sampled_from([PERIOD, SEED, PRESSURE, "x.probes.minikubelet.io/y"]), st.text()))
def test_any_annotations_are_options_or_mistakes(annotations):
    options = ProbeOptions.of(pod(annotations))
    taken = (
        len(options.seconds) + (options.seed is not None) + (annotations.get(PRESSURE) in ("true", "false"))
    )
    assert taken + len(options.mistakes) == len(annotations)


@pytest.mark.parametrize(
    ("host", "risk"),
    [
        ("127.0.0.1", LOOPBACK),
        ("127.8.9.10", LOOPBACK),
        ("127.1", LOOPBACK),
        ("0x7f.1", LOOPBACK),
        ("0177.0.0.1", LOOPBACK),
        ("2130706433", LOOPBACK),
        ("0", LOOPBACK),
        ("0.0.0.0", LOOPBACK),
        ("::", LOOPBACK),
        ("::1", LOOPBACK),
        ("[::1]", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("localhost", LOOPBACK),
        ("LOCALHOST.", LOOPBACK),
        ("a.localhost", LOOPBACK),
        ("169.254.1.1", LINK_LOCAL),
        ("fe80::1%eth0", LINK_LOCAL),
        ("169.254.169.254", CLOUD),
        ("::ffff:169.254.169.254", CLOUD),
        ("2852039166", CLOUD),
        ("fd00:ec2::254", CLOUD),
        ("metadata.google.internal", CLOUD),
        ("10.0.0.5", ""),
        ("256", ""),
        ("1.2.3.4.5", ""),
        ("300.1.1.1", ""),
        ("09.1.1.1", ""),
        ("example.com", ""),
        ("", ""),
    ],
)
def test_a36_hosts_that_deserve_a_warning(host, risk):
    assert risk_of(host) == risk


@given(st.text(alphabet="0123456789abcdefx:.[]%", max_size=20))
def test_a36_any_host_is_looked_at_without_a_crash(host):
    assert risk_of(host) in ("", LOOPBACK, LINK_LOCAL, CLOUD)


def test_a36_the_client_is_warned_of_probes_and_hooks_and_nothing_is_refused():
    get = HTTPGetAction(port=80, host="169.254.169.254")
    risky = pod(
        liveness_probe=Probe(http_get=get),
        readiness_probe=Probe(tcp_socket=TCPSocketAction(port=80, host="127.0.0.1")),
        lifecycle=Lifecycle(pre_stop=LifecycleHandler(http_get=get)),
    )
    warnings, refused = check(risky)
    assert warnings == [
        f"spec.containers[0].livenessProbe.httpGet.host: 169.254.169.254 {CLOUD}",
        "spec.containers[0].readinessProbe.tcpSocket.host: "
        "127.0.0.1 is loopback: the node itself is asked, not the pod",
        f"spec.containers[0].lifecycle.preStop.httpGet.host: 169.254.169.254 {CLOUD}",
    ]
    assert refused == []


def test_a36_loopback_is_the_pod_s_own_on_the_host_s_network():
    probe = Probe(http_get=HTTPGetAction(port=80, host="127.0.0.1"))
    assert cautions(pod(host_network=True, liveness_probe=probe)) == []
