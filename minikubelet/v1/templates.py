"""Where a pod is described in an object: the pod itself, or a template for pods to come.

So that what is checked of a pod is checked of every template too, and told with the path it has there.
"""

from __future__ import annotations

from dataclasses import replace

from minikubelet.errors import FieldError
from minikubelet.v1.apps import Deployment, ReplicaSet
from minikubelet.v1.batch import Job
from minikubelet.v1.meta import ObjectMeta, Resource
from minikubelet.v1.pod import Pod, PodSpec, PodTemplate, PodTemplateSpec


def pod_of(template: PodTemplateSpec | None) -> Pod:
    """The pod as the template has it; nothing is copied."""
    template = template or PodTemplateSpec()
    return Pod(metadata=template.metadata or ObjectMeta(), spec=template.spec or PodSpec())


def described_pod(object_: Resource) -> tuple[str, Pod] | None:
    """The pod an object describes, and the path it has in it; None where there is none."""
    match object_:
        case Pod():
            return "", object_
        case PodTemplate():
            return "template", pod_of(object_.template)
        case Deployment() | ReplicaSet() | Job():
            return "spec.template", pod_of(object_.spec.template if object_.spec else None)
    return None


def below(path: str, error: FieldError) -> FieldError:
    """An error in a pod, told of the template it is in."""
    return replace(error, path=f"{path}.{error.path}") if path else error
