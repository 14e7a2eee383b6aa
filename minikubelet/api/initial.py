"""What every cluster has from its first moment: four namespaces and two priority classes."""

from __future__ import annotations

from minikubelet.api.objects import Objects
from minikubelet.v1 import to_dict
from minikubelet.v1.priority_class import SYSTEM_CLASSES
from minikubelet.v1.resources import BY_KEY

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def make_initial(objects: Objects) -> None:
    """Whatever of it is not there yet."""
    for name in NAMESPACES:
        objects.ensure(BY_KEY["namespaces"], {"metadata": {"name": name}})
    for priority in SYSTEM_CLASSES:
        objects.ensure(BY_KEY["priorityclasses.scheduling.k8s.io"], to_dict(priority))
