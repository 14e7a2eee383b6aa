"""What a new pod gets from its ServiceAccount: the API server's admission of that name.

The account it names must be there (`default`, if it names none); its imagePullSecrets are the pod's, unless
the pod has its own; and unless pod or account decline, every container finds a token, the CA of the API and
the pod's namespace in a volume (`token_volume`).
"""

from __future__ import annotations

from typing import Any

from minikubelet.api import token_volume
from minikubelet.api.kinds import generated_name
from minikubelet.errors import Forbidden, NotFound
from minikubelet.store import Store
from minikubelet.v1.defaults import MIRROR

Object = dict[str, Any]

ACCOUNTS = "serviceaccounts"
DEFAULT = "default"


def admit(pod: Object, store: Store, *, token_volumes: bool) -> None:
    """Complete a pod that is about to be stored. `token_volumes`: is there an API to show a token to?

    Raises Forbidden.
    """
    spec = pod.get("spec")
    if spec is None or MIRROR in (pod["metadata"].get("annotations") or {}):
        return  # validation has the words; a static pod refers to nothing
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT
    spec["serviceAccountName"] = name
    account = _account(pod, name, store)
    if token_volumes and _mounts(spec, account):
        token_volume.add(spec, generated_name(token_volume.PREFIX))
    if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]


def _account(pod: Object, name: str, store: Store) -> Object:
    namespace = pod["metadata"].get("namespace", "")
    try:
        return store.get(ACCOUNTS, namespace, name)
    except NotFound:
        if name == DEFAULT:
            return {}  # every namespace has one: it is about to be made
        raise Forbidden(
            f'pods "{pod["metadata"].get("name", "")}" is forbidden: error looking up service account '
            f'{namespace}/{name}: serviceaccount "{name}" not found',
            name=pod["metadata"].get("name", ""),
            kind="pods",
        ) from None


def _mounts(spec: Object, account: Object) -> bool:
    """The pod's word counts for more than the account's; without any it is yes."""
    own = spec.get("automountServiceAccountToken")
    return bool(account.get("automountServiceAccountToken", True) if own is None else own)
