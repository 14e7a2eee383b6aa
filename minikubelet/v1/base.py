"""What every type of core/v1 shares: how it is named in JSON, and the scalar types.

Attributes are snake_case here and camelCase in JSON; `json_name` is the one rule, with one table for the
names that Kubernetes spells otherwise (podIP, hostPID). Every field is optional and None when absent, and
what is None or absent is not printed. Scalars that are more than a Python type carry a `msgspec.Meta`, so
that `v1.schema` can tell an int32 from an int64, a quantity from a text, a map of bytes from a map of texts.

Structs hold no behaviour and may be changed in place; to copy one, go through `to_dict` and `from_dict` of
`v1.wire`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

SPELLINGS = {
    "boot_id": "bootID",
    "client_ip": "clientIP",
    "cluster_ip": "clusterIP",
    "cluster_ips": "clusterIPs",
    "container_id": "containerID",
    "dataset_uuid": "datasetUUID",
    "disk_uri": "diskURI",
    "downward_api": "downwardAPI",
    "external_id": "externalID",
    "external_ips": "externalIPs",
    "host_ip": "hostIP",
    "host_ipc": "hostIPC",
    "host_ips": "hostIPs",
    "host_pid": "hostPID",
    "image_id": "imageID",
    "load_balancer_ip": "loadBalancerIP",
    "machine_id": "machineID",
    "non_resource_urls": "nonResourceURLs",
    "pd_id": "pdID",
    "pod_cidr": "podCIDR",
    "pod_cidrs": "podCIDRs",
    "pod_ip": "podIP",
    "pod_ips": "podIPs",
    "provider_id": "providerID",
    "resource_id": "resourceID",
    "scale_io": "scaleIO",
    "set_hostname_as_fqdn": "setHostnameAsFQDN",
    "storage_policy_id": "storagePolicyID",
    "system_uuid": "systemUUID",
    "target_wwns": "targetWWNs",
    "volume_id": "volumeID",
}


def json_name(attribute: str) -> str:
    """The JSON name of an attribute: restart_policy → restartPolicy, pod_ip → podIP."""
    if attribute in SPELLINGS:
        return SPELLINGS[attribute]
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Object(msgspec.Struct, kw_only=True, omit_defaults=True, rename=json_name):
    """Any object or part of an object."""


Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1, extra={"format": "int32"})]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1, extra={"format": "int64"})]
Quantity = Annotated[str, msgspec.Meta(extra={"format": "quantity"})]
ResourceList = dict[str, Quantity]
Base64 = Annotated[str, msgspec.Meta(extra={"format": "byte"})]
Time = Annotated[datetime, msgspec.Meta(extra={"format": "date-time"})]
MicroTime = Annotated[datetime, msgspec.Meta(extra={"format": "micro-time"})]
IntOrString = int | str
