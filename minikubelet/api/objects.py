"""What get, list, create, update, patch and delete mean, for every kind, without HTTP.

A write goes through the same steps whichever verb it came by: decode strictly, drop nulls and unknown
fields, set defaults, validate, check what this node does not honour, let the kind have its say (`kinds`),
store. `dryRun` does all of it inside a rehearsal of the store. Everything here is synchronous, so a
read-modify-write cannot be interrupted by another one.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from minikubelet.api import deletion, intake, kinds, service_account, subresources
from minikubelet.api.deletion import DeleteOptions
from minikubelet.api.listing import Page
from minikubelet.api.omitempty import omit_empty
from minikubelet.api.patches import Change, Patch
from minikubelet.api.priority import prioritize
from minikubelet.api.selectors import Matcher
from minikubelet.api.service_addresses import ServiceAddresses
from minikubelet.api.turns import Turns
from minikubelet.config import SERVICE_CIDR
from minikubelet.errors import BadRequest, Conflict, FieldError, Forbidden, Invalid, NotFound
from minikubelet.store import Store
from minikubelet.store.store import check_same, timestamp, utc_now
from minikubelet.v1 import conversion, managed_fields
from minikubelet.v1.managed_fields import Writer
from minikubelet.v1.resources import ResourceInfo

Object = dict[str, Any]


@dataclass(slots=True)
class WriteOptions:
    """How a write is meant; `warnings` collects what the client should be told."""

    dry_run: bool = False
    validation: str = "Warn"  # Strict, Warn, Ignore
    manager: str = ""
    recorded_as: str = ""  # the subresource to note for a write through a view of the object (`scale`)
    warnings: list[str] = field(default_factory=list)


class Objects:
    """The verbs, on one store."""

    def __init__(
        self,
        store: Store,
        refuse: intake.Refuse = intake.refuse_nothing,
        service_cidr: str = SERVICE_CIDR,
    ) -> None:
        self.store = store
        self._refuse = refuse
        self.token_volumes = False  # do new pods get a token, because there is a port to show it at
        self.services = ServiceAddresses(IPv4Network(service_cidr))
        self.turns = Turns()

    # Reading.

    def get(self, info: ResourceInfo, namespace: str, name: str) -> Object:
        return conversion.shown(info, self.store.get(info.stored, namespace, name))

    def list(self, info: ResourceInfo, namespace: str, matches: Matcher | None = None) -> Page:
        """Everything that matches; an empty namespace means all of them."""
        items, revision = self.store.list(info.stored, namespace or None)
        items = [conversion.shown(info, obj) for obj in items]
        return Page([obj for obj in items if matches is None or matches(obj)], revision)

    # Writing.

    def create(self, info: ResourceInfo, namespace: str, body: Object, options: WriteOptions) -> Object:
        """Store a new object."""
        return self._create(info, namespace, body, options)

    def update(self, info: ResourceInfo, namespace: str, name: str, change: Change, options: WriteOptions,
               subresource: str = "") -> Object:  # fmt: skip
        """Replace an object by what `change` makes of the present one (PUT ignores it, PATCH merges)."""
        return self._update(info, namespace, name, change, options, subresource)

    def apply(self, info: ResourceInfo, namespace: str, name: str, config: Object, options: WriteOptions,
              subresource: str = "", *, force: bool = False) -> tuple[Object, bool]:  # fmt: skip
        """Make an object what its manager's configuration says; whether it is a new one. Raises Conflict."""
        config = intake.decode(info, intake.identified(info, namespace, config, name), options)
        writer = _writer(info, options, subresource)

        def merged(old: Object | None) -> Object:
            return managed_fields.apply(writer, old, config, force=force)

        if subresource or self.exists(info, namespace, name):
            return self._update(info, namespace, name, merged, options, subresource, applied=True), False
        if config["metadata"].get("uid"):
            raise Conflict(
                f'Operation cannot be fulfilled on {info.key} "{name}": uid mismatch: the provided object '
                f"specified uid {config['metadata']['uid']}, and no existing object was found",
                name=name, group=info.group, kind=info.plural,
            )  # fmt: skip
        return self._create(info, namespace, merged(None), options, applied=True), True

    def _create(
        self,
        info: ResourceInfo,
        namespace: str,
        body: Object,
        options: WriteOptions,
        *,
        applied: bool = False,
    ) -> Object:
        obj = omit_empty(intake.decode(info, intake.identified(info, namespace, body), options))
        if obj["metadata"].get("resourceVersion"):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        kinds.prepare_metadata(obj, lambda name: self.exists(info, namespace, name))
        if not applied:
            # What is filled in from here on, by admission and for the kind, is not the client's.
            asked_for = intake.with_defaults(info, obj) if options.manager else obj
            obj["metadata"] = _tracked(info, None, asked_for, options)["metadata"]
        kinds.prepare_create(info, obj)
        if info.key == "pods":
            service_account.admit(obj, self.store, token_volumes=self.token_volumes)
            prioritize(obj, self.store)
        obj = intake.complete(info, obj, options, refuse=self._refuse)
        self._check_namespace(info, obj)
        if info.key == "services":
            self.services.complete(obj, self.store)
        with self._maybe_rehearsal(options.dry_run):
            created = self.store.create(info.stored, conversion.stored(info, obj))
        if options.dry_run:
            del created["metadata"]["resourceVersion"]
        return conversion.shown(info, created)

    def _update(self, info: ResourceInfo, namespace: str, name: str, change: Change, options: WriteOptions,
                subresource: str, *, applied: bool = False) -> Object:  # fmt: skip
        old = self.get(info, namespace, name)
        changed = intake.identified(info, namespace, change(old), name)
        try:
            obj = omit_empty(intake.decode(info, changed, options))
        except BadRequest as error:
            raise change.refused(changed, error) if isinstance(change, Patch) else error from None
        entries = obj["metadata"].get("managedFields")
        if isinstance(change, Patch) or applied:
            # What changes the uid is refused by validation.
            check_same(info.stored, old, None, obj["metadata"].get("resourceVersion"))
        else:
            _check_meant(info, old, obj["metadata"])
        if subresource == "status":
            obj = kinds.with_status(obj, old)
        elif subresource == "finalize":
            obj = kinds.with_finalizers(obj, old)
        elif subresource:
            obj = subresources.changed(subresource, obj, old, options.warnings)
        else:
            kinds.prepare_update(info, obj, old)
            obj = intake.complete(info, obj, options, old, refuse=self._refuse)
            if info.key == "services":
                self.services.complete(obj, self.store)
        obj["metadata"]["managedFields"] = entries
        if not applied:
            obj = _tracked(info, old, obj, options, subresource or options.recorded_as)
        with self._maybe_rehearsal(options.dry_run):
            updated = self.store.update(info.stored, conversion.stored(info, obj))
        if options.dry_run:
            updated["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        return conversion.shown(info, updated)

    def delete(
        self, info: ResourceInfo, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Object, bool]:
        """The object as it is now, and whether it is gone."""
        with self._maybe_rehearsal(options.dry_run):
            return self._delete(info, namespace, name, options)

    def _delete(
        self, info: ResourceInfo, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Object, bool]:
        present = self.store.get(info.stored, namespace, name)
        deletion.check_preconditions(info, present, options)
        if info.key == "namespaces":
            if name in ("default", "kube-system", "kube-public"):
                raise Forbidden(f'namespaces "{name}" is forbidden: this namespace may not be deleted',
                                name=name, kind=info.plural)  # fmt: skip
            deletion.mark_namespace(present, utc_now())
            obj = self.store.update(info.stored, present)
        elif deletion.mark(info, present, options, utc_now()):
            obj = self.store.update(info.stored, present)
        else:
            obj = self.store.delete(info.stored, namespace, name)
        return conversion.shown(info, obj), not self.exists(info, namespace, name)

    def ensure(self, info: ResourceInfo, obj: Object) -> None:
        """Create the object unless it is there: for what every node has."""
        metadata = obj["metadata"]
        if not self.exists(info, metadata.get("namespace", ""), metadata["name"]):
            self.create(info, metadata.get("namespace", ""), obj, WriteOptions(validation="Strict"))

    def exists(self, info: ResourceInfo, namespace: str, name: str) -> bool:
        with contextlib.suppress(NotFound):
            self.store.get(info.stored, namespace, name)
            return True
        return False

    def _check_namespace(self, info: ResourceInfo, obj: Object) -> None:
        """Nothing is born in a namespace that is not there or is going."""
        if not info.namespaced:
            return
        name = obj["metadata"]["namespace"]
        namespace = self.store.get("namespaces", "", name)
        if "deletionTimestamp" in namespace["metadata"]:
            raise Forbidden(
                f'{info.key} "{obj["metadata"]["name"]}" is forbidden: unable to create new content in '
                f"namespace {name} because it is being terminated",
                name=obj["metadata"]["name"],
                kind=info.plural,
                group=info.group,
                causes=[
                    {
                        "reason": "NamespaceTerminating",
                        "message": f"namespace {name} is being terminated",
                        "field": "metadata.namespace",
                    }
                ],
            )

    def _maybe_rehearsal(self, dry_run: bool) -> contextlib.AbstractContextManager[None]:
        return self.store.rehearsal() if dry_run else contextlib.nullcontext()


def _check_meant(info: ResourceInfo, old: Object, metadata: Object) -> None:
    """Before anything is said about the content of a PUT: it may have been written over something else."""
    version = metadata.get("resourceVersion")
    if not version and info.key in kinds.ONLY_CONDITIONAL:
        error = FieldError(
            "metadata.resourceVersion", "Invalid", "Invalid value: 0x0: must be specified for an update"
        )
        raise Invalid.of(info.kind, old["metadata"]["name"], [error], group=info.group)
    check_same(info.stored, old, metadata.get("uid"), version)


def _writer(info: ResourceInfo, options: WriteOptions, subresource: str) -> Writer:
    return Writer(info.type, options.manager, subresource, timestamp(utc_now()))


def _tracked(
    info: ResourceInfo, old: Object | None, new: Object, options: WriteOptions, subresource: str = ""
) -> Object:
    """`new` with a note of who made it what it is. What the node writes for itself is nobody's."""
    if options.manager:
        return managed_fields.track(_writer(info, options, subresource), old, new)
    entries = old["metadata"].get("managedFields") if old is not None else None
    metadata = {key: value for key, value in new["metadata"].items() if key != "managedFields"}
    return {**new, "metadata": {**metadata, **({"managedFields": entries} if entries else {})}}
