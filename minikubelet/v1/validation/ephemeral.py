"""What may be written to a pod's ephemeral containers: more may be added, what is there stays as it is."""

from __future__ import annotations

from minikubelet.v1.meta import ObjectMeta
from minikubelet.v1.pod import Pod, PodSpec
from minikubelet.v1.validation.container import Surroundings, ephemeral_container_errors
from minikubelet.v1.validation.field import Errors, forbidden
from minikubelet.v1.validation.pod import MIRROR
from minikubelet.v1.validation.volume import volume_errors
from minikubelet.v1.wire import to_dict

PATH = "spec.ephemeralContainers"


def ephemeral_update_errors(new: Pod, old: Pod) -> Errors:
    """Of a pod whose ephemeral containers alone were changed."""
    new_spec, old_spec = new.spec or PodSpec(), old.spec or PodSpec()
    if MIRROR in ((new.metadata or ObjectMeta()).annotations or {}):
        yield forbidden("", "static pods do not support ephemeral containers")
        return
    volumes, _ = volume_errors(new_spec)
    yield from ephemeral_container_errors(Surroundings(new_spec, volumes))
    now = {container.name: container for container in new_spec.ephemeral_containers or ()}
    for container in old_spec.ephemeral_containers or ():
        present = now.get(container.name)
        if present is None:
            yield forbidden(PATH, f'existing ephemeral containers "{container.name}" may not be removed\n')
        elif to_dict(present) != to_dict(container):
            yield forbidden(PATH, f'existing ephemeral containers "{container.name}" may not be changed\n')
