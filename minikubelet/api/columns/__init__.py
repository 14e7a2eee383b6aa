"""What `kubectl get` shows: the columns of each resource and how their cells come from the object.

The server makes the cells (kubectl only prints them), so STATUS, READY, RESTARTS and AGE are decided here, as
kube-apiserver's printers do. One module per kind, one line each in the table below. Pure: the present moment
is given.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minikubelet.api.columns import metrics, others, services, workloads
from minikubelet.api.columns.base import NAME, Column, Columns, Object
from minikubelet.api.columns.events import EVENTS, EVENTS_V1
from minikubelet.api.columns.nodes import NODES
from minikubelet.api.columns.pods import PODS

__all__ = ["COLUMNS", "DEFAULT_COLUMNS", "Column", "Columns"]

# By `ResourceInfo.key`.
COLUMNS: dict[str, Columns] = {
    "pods": PODS,
    "nodes": NODES,
    "events": EVENTS,
    "events.events.k8s.io": EVENTS_V1,
    "pods.metrics.k8s.io": metrics.POD_METRICS,
    "nodes.metrics.k8s.io": metrics.NODE_METRICS,
    "configmaps": others.CONFIG_MAPS,
    "secrets": others.SECRETS,
    "namespaces": others.NAMESPACES,
    "serviceaccounts": others.SERVICE_ACCOUNTS,
    "persistentvolumeclaims": others.CLAIMS,
    "priorityclasses.scheduling.k8s.io": others.PRIORITY_CLASSES,
    "services": services.SERVICES,
    "endpoints": services.ENDPOINTS,
    "endpointslices.discovery.k8s.io": services.ENDPOINT_SLICES,
    "podtemplates": workloads.POD_TEMPLATES,
    "deployments.apps": workloads.DEPLOYMENTS,
    "replicasets.apps": workloads.REPLICA_SETS,
    "jobs.batch": workloads.JOBS,
    "leases.coordination.k8s.io": others.LEASES,
}


def any_cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


DEFAULT_COLUMNS = Columns((NAME, Column("Created At", "date")), any_cells)
