"""The pod that commands such as exec and port-forward mean by `POD` or `TYPE/NAME`.

A workload or a Service stands for one of the pods it selects: a running one that is ready, if there is any,
and of those the oldest, as kubectl chooses.
"""

from __future__ import annotations

from typing import Any

from minikubelet.cli import resources, targets
from minikubelet.cli.client import Client
from minikubelet.cli.errors import CliError, UsageError
from minikubelet.cli.resources import PODS, Resource

Object = dict[str, Any]

_PHASES = ("Running", "Unknown", "Pending")  # the best first; what has ended comes last


def find(client: Client, namespace: str, arg: str) -> tuple[Object, Object | None]:
    """(the pod, the object it was found through if that is another)."""
    kind, slash, name = arg.partition("/")
    if not slash:
        return client.get(PODS.path(namespace, arg)), None
    if not kind or not name or "/" in name:
        raise UsageError("arguments in resource/name form must have a single resource and name")
    resource = resources.find(client, kind)
    found = client.get(resource.path(namespace, name))
    if resource == PODS:
        return found, None
    return min(_selected(client, namespace, resource, found), key=_rank), found


def first(client: Client, namespace: str, arg: str) -> tuple[Object, int]:
    """(the pod of `TYPE/NAME`, how many others there are)."""
    kind, _, name = arg.partition("/")
    resource = resources.find(client, kind)
    pods = _selected(client, namespace, resource, client.get(resource.path(namespace, name)))
    return min(pods, key=_rank), len(pods) - 1


def _selected(client: Client, namespace: str, resource: Resource, found: Object) -> list[Object]:
    query = {"labelSelector": _selector(resource, found)}
    pods = [
        pod for page in targets.pages(client, PODS.path(namespace), query) for pod in page.get("items") or ()
    ]
    if not pods:
        raise CliError(f"no pod is selected by {resource.label}/{found['metadata']['name']}")
    return pods


def _selector(resource: Resource, found: Object) -> str:
    """A Service has plain labels, a workload a selector; both as the API's query has them."""
    selector = (found.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels") or {} if _is_selector(selector) else selector
    parts = _parts(labels, selector if _is_selector(selector) else {})
    if not parts:
        raise CliError(f"cannot find a pod through {resource.name}: it selects none; name the pod itself")
    return ",".join(parts)


def selector_text(selector: Object | None) -> str:
    """A workload's selector as people and queries write it: `app=web,tier in (a,b)`."""
    parts = _parts((selector or {}).get("matchLabels") or {}, selector or {})
    return ",".join(sorted(parts)) or "<none>"


def _parts(labels: Object, selector: Object) -> list[str]:
    parts = [f"{key}={value}" for key, value in labels.items()]
    for rule in selector.get("matchExpressions") or ():
        key, operator, values = rule["key"], rule["operator"], ",".join(rule.get("values") or ())
        words = {"Exists": key, "DoesNotExist": f"!{key}"}
        parts.append(words.get(operator) or f"{key} {operator.lower()} ({values})")
    return parts


def _is_selector(selector: Object) -> bool:
    return any(isinstance(value, dict | list) for value in selector.values())


def _rank(pod: Object) -> tuple[int, bool, str]:
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    order = _PHASES.index(phase) if phase in _PHASES else len(_PHASES)
    return order, not ready, pod["metadata"].get("creationTimestamp", "")
