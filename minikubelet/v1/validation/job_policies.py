"""`podFailurePolicy` and `successPolicy` of Jobs (apis/batch/validation)."""

from __future__ import annotations

import re
from collections.abc import Collection

from minikubelet.errors import FieldError
from minikubelet.v1.batch import (
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.v1.pod import PodSpec
from minikubelet.v1.validation.field import (
    Errors,
    duplicate,
    each_invalid,
    invalid,
    not_negative,
    required,
    too_long,
    too_many,
    unsupported,
)
from minikubelet.v1.validation.names import qualified_name

MOST_RULES, MOST_PATTERNS, MOST_VALUES = 20, 20, 255
LONGEST_INDEXES = 64 * 1024
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATES = ("False", "True", "Unknown")


def failure_policy_errors(path: str, policy: PodFailurePolicy, pod: PodSpec) -> Errors:
    rules = policy.rules or []
    if len(rules) > MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), MOST_RULES)
    names = {one.name for one in [*(pod.containers or ()), *(pod.init_containers or ())] if one.name}
    for index, rule in enumerate(rules):
        yield from _failure_rule(f"{path}.rules[{index}]", rule, names)


def _failure_rule(path: str, rule: PodFailurePolicyRule, names: Collection[str]) -> Errors:
    yield from _choice(f"{path}.action", rule.action, ACTIONS)
    if rule.action == "FailIndex":
        yield invalid(f"{path}.action", rule.action, "requires the backoffLimitPerIndex to be set")
    if rule.on_exit_codes is not None:
        yield from _exit_codes(f"{path}.onExitCodes", rule.on_exit_codes, names)
    patterns = rule.on_pod_conditions or []
    if len(patterns) > MOST_PATTERNS:
        yield too_many(f"{path}.onPodConditions", len(patterns), MOST_PATTERNS)
    for index, pattern in enumerate(patterns):
        here = f"{path}.onPodConditions[{index}]"
        yield from each_invalid(f"{here}.type", pattern.type or "", qualified_name(pattern.type or ""))
        yield from _choice(f"{here}.status", pattern.status, STATES)
    if rule.on_exit_codes is not None and patterns:
        yield _wrong(path, "specifying both OnExitCodes and OnPodConditions is not supported")
    if rule.on_exit_codes is None and not patterns:
        yield _wrong(path, "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_codes(path: str, codes: PodFailurePolicyOnExitCodesRequirement, names: Collection[str]) -> Errors:
    yield from _choice(f"{path}.operator", codes.operator, OPERATORS)
    if codes.container_name is not None and codes.container_name not in names:
        detail = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", codes.container_name, detail)
    values = codes.values or []
    if not values:
        yield invalid(f"{path}.values", values, "at least one value is required")
    elif len(values) > MOST_VALUES:
        yield too_many(f"{path}.values", len(values), MOST_VALUES)
    for index, value in enumerate(values):
        if codes.operator == "In" and value == 0:
            yield invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
        if value in values[:index]:
            yield duplicate(f"{path}.values[{index}]", value)
    if values != sorted(values):
        yield invalid(f"{path}.values", values, "must be ordered")


def _choice(path: str, value: str | None, choices: tuple[str, ...]) -> Errors:
    if not value:
        listed = " ".join(f'"{choice}"' for choice in choices)
        yield required(path, f"valid values: [{listed}]")
    elif value not in choices:
        yield unsupported(path, value, choices)


def _wrong(path: str, detail: str) -> FieldError:
    return FieldError(path, "Invalid", f"Invalid value: {detail}")


def success_policy_errors(path: str, policy: SuccessPolicy, spec: JobSpec) -> Errors:
    if spec.completion_mode != "Indexed":
        yield _wrong(path, "requires indexed completion mode")
        return
    rules = policy.rules or []
    if not rules:
        yield required(
            f"{path}.rules", "at least one rules must be specified when the successPolicy is specified"
        )
    elif len(rules) > MOST_RULES:
        yield too_many(f"{path}.rules", len(rules), MOST_RULES)
    for index, rule in enumerate(rules):
        yield from _success_rule(f"{path}.rules[{index}]", rule, spec.completions or 0)


def _success_rule(path: str, rule: SuccessPolicyRule, completions: int) -> Errors:
    count, indexes = rule.succeeded_count, rule.succeeded_indexes
    if count is None and indexes is None:
        yield required(path, "at least one of succeededCount or succeededIndexes must be specified")
    if indexes is not None and len(indexes) > LONGEST_INDEXES:
        yield too_long(f"{path}.succeededIndexes", LONGEST_INDEXES)
        return
    total, problem = _counted(indexes, completions)
    if problem:
        detail = f"error parsing succeededIndexes: {problem}"
        yield invalid(f"{path}.succeededIndexes", indexes, detail)
    if count is None:
        return
    here = f"{path}.succeededCount"
    yield from not_negative(here, count)
    if count > completions:
        yield invalid(
            here, count, f"must be less than or equal to {completions} (the number of specified completions)"
        )
    if indexes is not None and not problem and count > total:
        where = "the number of indexes in the specified succeededIndexes field"
        yield invalid(here, count, f"must be less than or equal to {total} ({where})")


def _counted(text: str | None, completions: int) -> tuple[int, str]:
    """How many indexes `0,2-4` are, and what is wrong with it."""
    total, before = 0, -1
    for part in text.split(",") if text else ():
        found = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        if found is None:
            return 0, f'cannot convert string to integer for index: "{part}"'
        first, last = int(found[1]), int(found[2] or found[1])
        if last >= completions:
            return 0, f'too large index: "{part}"'
        if first <= before:
            return 0, f"non-increasing order, previous: {before}, current: {first}"
        if found[2] and last <= first:
            return 0, f"non-increasing order, previous: {first}, current: {last}"
        total, before = total + last - first + 1, last
    return total, ""
