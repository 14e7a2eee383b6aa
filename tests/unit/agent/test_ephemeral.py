"""Ephemeral containers: added to a pod that runs, started once, never restarted, waited for by nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from minikubelet.agent.facts import Situation, WaitingReason
from minikubelet.agent.names import field_path
from minikubelet.agent.pod_actions import pod_actions
from minikubelet.agent.pod_status import generate_status
from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.runtime.container_spec import pid_mode, pid_target
from minikubelet.shim.protocol import ContainerRecord
from minikubelet.v1 import to_dict
from tests.unit.agent.pods import NOTHING, exited, make_pod, observed, running, status

NOW = datetime(2026, 11, 28, tzinfo=UTC)
DEBUGGERS = [{"name": "z", "image": "localhost/host"}, {"name": "look", "image": "localhost/host"}]


def pod(**fields):
    return make_pod("web", ephemeralContainers=DEBUGGERS, **fields)


def to_start(exists, old=None, **fields):
    actions = pod_actions(pod(**fields), exists, {}, old or status())
    return [container.name for container in actions.ephemeral_to_start]


@pytest.mark.parametrize(
    ("exists", "started"),
    [
        pytest.param(observed(running("web")), ["z", "look"], id="both are new"),
        pytest.param(observed(running("look"), running("web")), ["z"], id="one runs"),
        pytest.param(observed(exited("look", 1), running("web")), ["z"], id="one has failed, and stays so"),
        pytest.param(NOTHING, [], id="no sandbox yet"),
    ],
)
def test_each_is_started_once(exists, started):
    assert to_start(exists) == started


def test_they_do_not_keep_a_pod_alive_and_are_not_started_in_one_that_ends():
    actions = pod_actions(pod(policy="Never"), observed(running("look"), exited("web")), {}, status())
    assert actions.kill_pod
    assert actions.ephemeral_to_start == ()


def test_one_that_ran_before_a_reboot_is_not_started_again():
    ended = {"name": "look", "containerID": "minikubelet://1", "state": {"terminated": {"exitCode": 255}}}
    assert to_start(observed(running("web")), status(ephemeralContainerStatuses=[ended])) == ["z"]


def test_they_start_before_init_containers_are_done():
    assert to_start(observed(running("first")), init=["first"]) == ["z", "look"]


def test_their_status_is_sorted_by_name_and_never_ready():
    situation = Situation(reasons={"z": WaitingReason("ErrImagePull", "no such image")})
    made = generate_status(pod(), observed(exited("look", 3), running("web")), status(), situation, NOW)
    shown = to_dict(made)
    assert [one["name"] for one in shown["ephemeralContainerStatuses"]] == ["look", "z"]
    look, z = shown["ephemeralContainerStatuses"]
    assert look["state"]["terminated"]["exitCode"] == 3
    assert not look["ready"]
    assert "started" not in look
    assert z["state"]["waiting"] == {"reason": "ErrImagePull", "message": "no such image"}
    assert shown["phase"] == "Running", "the phase does not look at them"


def test_events_name_their_field():
    made = pod()
    assert field_path(made, made.spec.ephemeral_containers[0]) == "spec.ephemeralContainers{z}"


def debugger(target="web", **fields):
    made = make_pod("web", ephemeralContainers=[{"name": "d", "targetContainerName": target}], **fields)
    return made, made.spec.ephemeral_containers[0]


def record(id, state="running", created_at=1.0, name="web"):
    return ContainerRecord(id=id, name=name, attempt=0, state=state, created_at=created_at)


@pytest.mark.parametrize(
    ("fields", "mode"),
    [({}, "target"), ({"shareProcessNamespace": True}, "pod"), ({"hostPID": True}, "host")],
)
def test_only_where_each_has_a_pid_namespace_of_its_own_anothers_is_joined(fields, mode):
    assert pid_mode(*debugger(**fields)) == mode
    assert pid_mode(*debugger(target=None)) == "container"


def test_the_target_is_the_newest_instance_and_must_run():
    records = [record("old", "stopped"), record("new", created_at=2.0), record("other", name="x")]
    assert pid_target(*debugger(), records) == "new"
    with pytest.raises(CreateContainerError, match='container "old" is not running'):
        pid_target(*debugger(), records[:1])
    with pytest.raises(CreateContainerConfigError, match="unable to find target container web"):
        pid_target(*debugger(), records[2:])
