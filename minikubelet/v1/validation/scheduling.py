"""Where a pod may run: affinity, tolerations, spreading, gates (V83–V85, V94)."""

from __future__ import annotations

from minikubelet.v1.pod import PodReadinessGate, PodSchedulingGate
from minikubelet.v1.scheduling import (
    Affinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    Toleration,
    TopologySpreadConstraint,
)
from minikubelet.v1.validation.field import (
    POSITIVE,
    Errors,
    duplicate,
    each_invalid,
    forbidden,
    invalid,
    required,
    unsupported,
)
from minikubelet.v1.validation.metadata import label_selector_errors
from minikubelet.v1.validation.names import dns_label, dns_subdomain, label_value, qualified_name

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
REQUIRED_TERMS = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED_TERMS = "preferredDuringSchedulingIgnoredDuringExecution"
ANY_KEY = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'


def toleration_errors(path: str, tolerations: list[Toleration] | None) -> Errors:
    """`spec.tolerations`."""
    for index, toleration in enumerate(tolerations or ()):
        yield from _toleration(f"{path}[{index}]", toleration)


def _toleration(path: str, toleration: Toleration) -> Errors:
    operator, value, effect = toleration.operator or "", toleration.value or "", toleration.effect or ""
    if toleration.key:
        yield from each_invalid(f"{path}.key", toleration.key, qualified_name(toleration.key))
    elif operator != "Exists":
        yield invalid(f"{path}.operator", operator, ANY_KEY)
    if toleration.toleration_seconds is not None and effect != "NoExecute":
        yield invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("", "Equal"):
        problems = label_value(value)
        if problems:
            yield invalid(f"{path}.operator", value, ";".join(problems))
    elif operator == "Exists":
        if value:
            yield invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
    else:
        yield unsupported(f"{path}.operator", operator, ("Equal", "Exists"))
    if effect and effect not in EFFECTS:
        yield unsupported(f"{path}.effect", effect, EFFECTS)


def readiness_gate_errors(path: str, gates: list[PodReadinessGate] | None) -> Errors:
    """`spec.readinessGates`."""
    for index, gate in enumerate(gates or ()):
        name = gate.condition_type or ""
        yield from each_invalid(f"{path}[{index}].conditionType", name, qualified_name(name))


def scheduling_gate_errors(path: str, gates: list[PodSchedulingGate] | None) -> Errors:
    """`spec.schedulingGates`."""
    seen: set[str] = set()
    for index, gate in enumerate(gates or ()):
        name = gate.name or ""
        yield from each_invalid(f"{path}[{index}]", name, qualified_name(name))
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)


def topology_errors(path: str, constraints: list[TopologySpreadConstraint] | None) -> Errors:
    """`spec.topologySpreadConstraints`."""
    seen: set[tuple[str | None, str | None]] = set()
    for index, constraint in enumerate(constraints or ()):
        here = f"{path}[{index}]"
        yield from _topology(here, constraint)
        pair = (constraint.topology_key, constraint.when_unsatisfiable)
        if pair in seen:
            yield duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}")
        seen.add(pair)


def _topology(path: str, constraint: TopologySpreadConstraint) -> Errors:
    skew = constraint.max_skew or 0
    if skew <= 0:
        yield invalid(f"{path}.maxSkew", skew, POSITIVE)
    if not constraint.topology_key:
        yield required(f"{path}.topologyKey", "can not be empty")
    when = constraint.when_unsatisfiable or ""
    if when not in ("DoNotSchedule", "ScheduleAnyway"):
        yield unsupported(f"{path}.whenUnsatisfiable", when, ("DoNotSchedule", "ScheduleAnyway"))
    if constraint.min_domains is not None and constraint.min_domains <= 0:
        yield invalid(f"{path}.minDomains", constraint.min_domains, POSITIVE)
    for name, policy in (
        ("nodeAffinityPolicy", constraint.node_affinity_policy),
        ("nodeTaintsPolicy", constraint.node_taints_policy),
    ):
        if policy is not None and policy not in ("Honor", "Ignore"):
            yield unsupported(f"{path}.{name}", policy, ("Honor", "Ignore"))
    yield from label_selector_errors(f"{path}.labelSelector", constraint.label_selector)


def affinity_errors(path: str, affinity: Affinity | None) -> Errors:
    """`spec.affinity`."""
    if affinity is None:
        return
    if affinity.node_affinity is not None:
        here, node = f"{path}.nodeAffinity", affinity.node_affinity
        if node.required_during_scheduling_ignored_during_execution is not None:
            yield from _node_selector(
                f"{here}.{REQUIRED_TERMS}", node.required_during_scheduling_ignored_during_execution
            )
        for index, term in enumerate(node.preferred_during_scheduling_ignored_during_execution or ()):
            yield from _weight(f"{here}.{PREFERRED_TERMS}[{index}]", term.weight)
            if term.preference is not None:
                preference = f"{here}.{PREFERRED_TERMS}[{index}].preference"
                yield from _node_term(preference, term.preference, check_values=False)
    if affinity.pod_affinity is not None:
        yield from _pod_affinity(f"{path}.podAffinity", affinity.pod_affinity)
    if affinity.pod_anti_affinity is not None:
        yield from _pod_affinity(f"{path}.podAntiAffinity", affinity.pod_anti_affinity)


def _weight(path: str, weight: int | None) -> Errors:
    if not 1 <= (weight or 0) <= 100:
        yield invalid(f"{path}.weight", weight or 0, "must be in the range 1-100")


def _node_selector(path: str, selector: NodeSelector) -> Errors:
    terms = selector.node_selector_terms or []
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        yield from _node_term(f"{path}.nodeSelectorTerms[{index}]", term, check_values=True)


def _node_term(path: str, term: NodeSelectorTerm, *, check_values: bool) -> Errors:
    for index, expression in enumerate(term.match_expressions or ()):
        yield from _node_expression(
            f"{path}.matchExpressions[{index}]", expression, check_values=check_values
        )
    for index, expression in enumerate(term.match_fields or ()):
        yield from _node_field(f"{path}.matchFields[{index}]", expression)


def _node_expression(path: str, expression: NodeSelectorRequirement, *, check_values: bool) -> Errors:
    values, operator = expression.values or [], expression.operator or ""
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield forbidden(f"{path}.values", detail)
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from each_invalid(f"{path}.key", expression.key or "", qualified_name(expression.key or ""))
    for index, value in enumerate(values if check_values else ()):
        yield from each_invalid(f"{path}.values[{index}]", value, label_value(value))


def _node_field(path: str, expression: NodeSelectorRequirement) -> Errors:
    values, operator = expression.values or [], expression.operator or ""
    if operator not in ("In", "NotIn"):
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{path}.values", detail)
    if expression.key != "metadata.name":
        yield invalid(f"{path}.key", expression.key or "", "not a valid field selector key")
    else:
        for index, value in enumerate(values):
            yield from each_invalid(f"{path}.values[{index}]", value, dns_subdomain(value))


def _pod_affinity(path: str, affinity: PodAffinity | PodAntiAffinity) -> Errors:
    for index, term in enumerate(affinity.required_during_scheduling_ignored_during_execution or ()):
        yield from _pod_term(f"{path}.{REQUIRED_TERMS}[{index}]", term)
    for index, weighted in enumerate(affinity.preferred_during_scheduling_ignored_during_execution or ()):
        here = f"{path}.{PREFERRED_TERMS}[{index}]"
        yield from _weight(here, weighted.weight)
        yield from _pod_term(f"{here}.podAffinityTerm", weighted.pod_affinity_term or PodAffinityTerm())


def _pod_term(path: str, term: PodAffinityTerm) -> Errors:
    yield from label_selector_errors(f"{path}.labelSelector", term.label_selector)
    yield from label_selector_errors(f"{path}.namespaceSelector", term.namespace_selector)
    for name in term.namespaces or ():
        yield from each_invalid(f"{path}.namespace", name, dns_label(name))
    key = term.topology_key or ""
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from each_invalid(f"{path}.topologyKey", key, qualified_name(key))
