"""How a Job counts its pods, when it makes the next, and how it ends."""

from __future__ import annotations

import copy

import pytest

from minikubelet.controllers.jobs import accounting, indexes
from minikubelet.controllers.jobs.accounting import TRACKING, account
from minikubelet.controllers.jobs.decision import condition, decide
from minikubelet.controllers.pod_control import pod_from
from tests.unit.controllers.objects import NOW, at, job, pod, stamp


def ended(name, phase, when=-5.0, **metadata):
    made = pod(name, phase, finalizers=[TRACKING], **metadata)
    made["status"]["containerStatuses"] = [{"state": {"terminated": {"finishedAt": stamp(when)}}}]
    return made


def index(number):
    return {"annotations": {indexes.INDEX: str(number)}}


def look(one, pods=(), now=NOW):
    """Count, decide; the Job has the new status then."""
    decision = decide(one, account(one, pods).settled, pods, now)
    one["status"] = decision.status
    return decision


def conditions(status):
    return [
        (one["type"], one["status"], one["reason"], one["message"]) for one in status.get("conditions", ())
    ]


# Counting.


def test_a_pod_is_counted_in_steps_that_may_each_be_the_last():
    one, pods = job(completions=3), [ended("a", "Succeeded"), ended("b", "Failed"), pod("c")]
    sums = account(one, pods)
    assert sums.ended == pods[:2]
    assert sums.noted["uncountedTerminatedPods"] == {"succeeded": ["a"], "failed": ["b"]}
    assert "succeeded" not in sums.noted
    # Killed after the first write: the finalizers are still there.
    again = account({**one, "status": sums.noted}, pods)
    assert again == sums
    # Killed after the finalizers: nothing tells of the pods but their uids.
    for each in pods[:2]:
        each["metadata"]["finalizers"] = []
    last = account({**one, "status": sums.noted}, pods)
    assert last.ended == []
    assert last.settled == sums.settled
    assert (sums.settled["succeeded"], sums.settled["failed"]) == (1, 1)
    # And never again.
    assert account({**one, "status": sums.settled}, pods).settled == sums.settled


def test_a_pod_that_is_being_deleted_has_failed_unless_only_failed_ones_are_replaced():
    going = pod("a", deletionTimestamp=stamp(30), finalizers=[TRACKING])
    assert account(job(), [going]).settled["failed"] == 1
    assert "failed" not in account(job(podReplacementPolicy="Failed"), [going]).settled


def test_an_indexed_job_counts_indexes():
    one = job(completions=5, completionMode="Indexed")
    pods = [ended(f"p{number}", "Succeeded", **index(number)) for number in (0, 2, 3, 4, 9)]
    status = account(one, [*pods, ended("again", "Succeeded", **index(0))]).settled
    assert (status["succeeded"], status["completedIndexes"]) == (4, "0,2-4")


@pytest.mark.parametrize(
    ("numbers", "text"), [((), ""), ((3,), "3"), ((0, 1), "0,1"), ((0, 1, 2, 5, 7, 8, 9), "0-2,5,7-9")]
)
def test_sets_of_indexes_are_written_short(numbers, text):
    assert indexes.to_text(numbers) == text
    assert indexes.parse(text, 100) == set(numbers)


# Making pods.


def test_as_many_at_once_as_parallelism_says_and_completions_leave():
    one = job(completions=5, parallelism=3)
    assert look(one).create == [None] * 3
    assert one["status"]["startTime"] == stamp(0)
    assert look(one, [pod("a"), pod("b"), pod("c")]).create == []
    done = [ended(name, "Succeeded") for name in "abc"]
    assert look(one, done).create == [None] * 2


def test_a_work_queue_makes_nobody_new_after_the_first_success():
    one = job(completions=None, parallelism=3)
    assert look(one).create == [None] * 3
    decision = look(one, [ended("a", "Succeeded"), pod("b"), pod("c")])
    assert decision.create == []
    assert condition(decision.status, "SuccessCriteriaMet") is None
    decision = look(one, [ended("a", "Succeeded"), ended("b", "Succeeded"), ended("c", "Succeeded")])
    assert condition(decision.status, "Complete") is not None


@pytest.mark.parametrize(
    ("failures", "wait"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 600), (50, 600)]
)
def test_each_failure_doubles_the_wait_up_to_ten_minutes(failures, wait):
    pods = [ended(f"p{number}", "Failed", -number) for number in range(failures)]
    decision = look(job(backoffLimit=100), pods)
    assert decision.create == []
    assert decision.again == wait
    assert look(job(backoffLimit=100), pods, at(wait)).create == [None]


def test_a_success_starts_the_wait_afresh():
    pods = [ended("a", "Failed", -9), ended("b", "Failed", -8), ended("c", "Succeeded", -7)]
    assert look(job(completions=2), pods).create == [None]
    assert look(job(completions=2), [*pods, ended("d", "Failed", -1)]).again == 9


def test_fewer_are_wanted_and_those_that_go_do_not_count():
    one = job(completions=5, parallelism=1)
    decision = look(one, [pod("a", ready=-1000), pod("b", ready=-1)])
    assert [each["metadata"]["name"] for each in decision.delete] == ["b"]
    assert decision.withdrawn


def test_indexes_are_given_from_below_and_once():
    one = job(completions=4, parallelism=4, completionMode="Indexed")
    assert look(one).create == [0, 1, 2, 3]
    pods = [ended("a", "Succeeded", **index(0)), pod("b", **index(2))]
    assert look(one, pods).create == [1, 3]
    twice = [pod("b", **index(2)), pod("x", **index(2)), pod("y", **index(7)), pod("c", **index(1))]
    assert {each["metadata"]["name"] for each in look(one, twice).delete} == {"x", "y"}


def test_a_pod_knows_its_index():
    one = job(completions=4, completionMode="Indexed")
    body = pod_from(one["spec"]["template"], one)
    indexes.give_index(body, "sum", 3)
    assert body["metadata"]["generateName"] == "sum-3-"
    assert body["metadata"]["annotations"][indexes.INDEX] == body["metadata"]["labels"][indexes.INDEX] == "3"
    assert body["spec"]["hostname"] == "sum-3"
    (variable,) = body["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"
    assert one["spec"]["template"] == job()["spec"]["template"] | {}
    own = [{"name": "JOB_COMPLETION_INDEX", "value": "mine"}]
    body["spec"]["containers"][0]["env"] = copy.deepcopy(own)
    indexes.give_index(body, "sum", 3)
    assert body["spec"]["containers"][0]["env"] == own


def test_those_that_are_replaced_late_are_waited_for():
    one = job(parallelism=2, completions=2, podReplacementPolicy="Failed")
    going = pod("a", deletionTimestamp=stamp(30), finalizers=[TRACKING])
    assert look(one, [going]).create == [None]
    assert look(job(parallelism=2, completions=2), [going]).create == [None, None]


# Ending.


def test_success_is_said_in_two_steps():
    one = job()
    look(one)
    decision = look(one, [ended("a", "Succeeded")], at(7))
    said = ("True", "CompletionsReached", "Reached expected number of succeeded pods")
    assert conditions(decision.status) == [("SuccessCriteriaMet", *said), ("Complete", *said)]
    assert decision.said == [("Normal", "Completed", "Job completed")]
    assert decision.status["completionTime"] == stamp(7)
    again = look(one, [ended("a", "Succeeded")], at(8))
    assert (again.create, again.delete, again.said) == ([], [], [])


def test_too_many_failures_end_what_runs_before_it_is_said():
    one = job(backoffLimit=1, parallelism=3, completions=3)
    running = pod("c", ready=-1, finalizers=[TRACKING])
    decision = look(one, [ended("a", "Failed"), ended("b", "Failed"), running])
    said = ("True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    assert conditions(decision.status) == [("FailureTarget", *said)]
    assert decision.delete == [running]
    assert not decision.withdrawn
    going = {**running, "metadata": {**running["metadata"], "deletionTimestamp": stamp(30)}}
    assert conditions(look(one, [going]).status) == [("FailureTarget", *said)]
    decision = look(one, [])
    assert conditions(decision.status) == [("FailureTarget", *said), ("Failed", *said)]
    assert decision.said == [("Warning", *said[1:])]


@pytest.mark.parametrize(
    ("limit", "restarts", "over"), [(2, 1, False), (2, 2, True), (0, 1, True), (0, 0, False)]
)
def test_restarts_are_the_failures_of_pods_that_restart(limit, restarts, over):
    one = job(backoffLimit=limit)
    one["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    running = pod("a")
    running["status"]["containerStatuses"] = [{"restartCount": restarts}]
    assert (condition(look(one, [running]).status, "FailureTarget") is not None) is over


def test_a_deadline_ends_it():
    one = job(activeDeadlineSeconds=30)
    assert look(one).again == 30
    running = pod("a", ready=0, finalizers=[TRACKING])
    assert look(one, [running], at(29)).again == 1
    decision = look(one, [running], at(30))
    assert decision.delete == [running]
    assert conditions(decision.status)[0][2:] == (
        "DeadlineExceeded",
        "Job was active longer than specified deadline",
    )


def test_suspension_takes_the_pods_away_and_stops_the_clock():
    one = job(suspend=True, activeDeadlineSeconds=30)
    decision = look(one)
    assert decision.create == []
    assert "startTime" not in decision.status
    assert conditions(decision.status) == [("Suspended", "True", "JobSuspended", "Job suspended")]
    assert decision.said == [("Normal", "Suspended", "Job suspended")]
    assert look(one, [], at(100)).said == []
    one["spec"]["suspend"] = False
    decision = look(one, [], at(200))
    assert conditions(decision.status) == [("Suspended", "False", "JobResumed", "Job resumed")]
    assert decision.status["startTime"] == stamp(200)
    assert decision.create == [None]
    one["spec"]["suspend"] = True
    decision = look(one, [running := pod("a")], at(201))
    assert decision.delete == [running]
    assert decision.withdrawn


def test_a_time_to_live_after_the_end():
    one = job(ttlSecondsAfterFinished=60)
    look(one)
    assert look(one, [ended("a", "Succeeded")]).again == 60
    assert look(one, [ended("a", "Succeeded")], at(45)).again == 15


# Rules of its own.


def with_code(name, code, **metadata):
    made = ended(name, "Failed", **metadata)
    made["status"]["containerStatuses"] = [
        {"name": "main", "state": {"terminated": {"exitCode": code, "finishedAt": stamp(-5)}}}
    ]
    return made


def rules(*given):
    return {"podFailurePolicy": {"rules": list(given)}, "podReplacementPolicy": "Failed"}


def on_codes(action, operator, *values):
    return {
        "action": action,
        "onExitCodes": {"containerName": "main", "operator": operator, "values": values},
    }


def test_a_failure_can_end_the_job_at_once():
    one = job(**rules(on_codes("Ignore", "In", 9), on_codes("FailJob", "In", 42)))
    decision = look(one, [with_code("a", 1), pod("b", ready=-1)])
    assert "conditions" not in decision.status
    decision = look(one, [with_code("b", 42)])
    said = (
        "PodFailurePolicy",
        "Container main for pod default/b failed with exit code 42 matching FailJob rule at index 1",
    )
    assert conditions(decision.status) == [("FailureTarget", "True", *said), ("Failed", "True", *said)]


def test_a_failure_can_be_ignored():
    disrupted = with_code("a", 137)
    disrupted["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    pattern = {"type": "DisruptionTarget", "status": "True"}
    one = job(backoffLimit=0, **rules({"action": "Ignore", "onPodConditions": [pattern]}))
    sums = account(one, [disrupted])
    assert sums.ended == [disrupted]
    assert "failed" not in sums.settled
    assert look(one, [disrupted], at(60)).create == [None]
    assert account(one, [with_code("b", 1)]).settled["failed"] == 1


def test_codes_that_are_not_in_a_list():
    one = job(**rules(on_codes("FailJob", "NotIn", 3, 4)))
    assert conditions(look(one, [with_code("a", 3)]).status) == []
    assert conditions(look(one, [with_code("a", 5)]).status) != []


@pytest.mark.parametrize(
    ("rule", "done", "enough"),
    [
        ({"succeededCount": 2}, "0", False),
        ({"succeededCount": 2}, "0,3", True),
        ({"succeededIndexes": "0,2-3"}, "0,2", False),
        ({"succeededIndexes": "0,2-3"}, "0,2-4", True),
        ({"succeededIndexes": "0,2-3", "succeededCount": 1}, "4", False),
        ({"succeededIndexes": "0,2-3", "succeededCount": 1}, "3", True),
    ],
)
def test_some_indexes_can_be_enough(rule, done, enough):
    one = job(completions=5, parallelism=5, completionMode="Indexed", successPolicy={"rules": [rule]})
    one["status"] = {"completedIndexes": done, "succeeded": len(indexes.parse(done, 5))}
    running = pod("x", ready=-1, **index(1))
    decision = look(one, [running])
    assert (decision.delete == [running]) is enough
    met = ("SuccessCriteriaMet", "True", "SuccessPolicy", "Matched rules at index 0")
    assert conditions(decision.status) == ([met] if enough else [])
    if enough:
        assert conditions(look(one).status)[-1] == ("Complete", *met[1:])


def test_the_numbers():
    one = job(completions=9, parallelism=3)
    pods = [pod("a", ready=-1), pod("b", "Pending"), pod("c", deletionTimestamp=stamp(30))]
    status = look(one, pods).status
    assert (status["active"], status["ready"], status["terminating"]) == (2, 1, 1)
    assert accounting.is_tracked(ended("x", "Failed"))
