"""The table of Pod fields and what this node makes of them; `v1.support` applies it.

When you implement a field: move its path from `RULES` to `IMPLEMENTED` and run the tests; they tell what else
to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["warning", "refused"]
WARNING: State = "warning"
REFUSED: State = "refused"

# `C` stands for a regular, init or ephemeral container; all obey the same rules.
CONTAINERS = ("spec.containers[*]", "spec.initContainers[*]", "spec.ephemeralContainers[*]")

# Fields that work. Each is named to the leaf: a new field inside a known object is not in it.
WORKING = """
apiVersion kind

metadata.name metadata.generateName metadata.namespace metadata.uid metadata.resourceVersion
metadata.generation metadata.creationTimestamp metadata.deletionTimestamp
metadata.deletionGracePeriodSeconds metadata.labels metadata.annotations metadata.finalizers
metadata.ownerReferences[*].apiVersion metadata.ownerReferences[*].kind metadata.ownerReferences[*].name
metadata.ownerReferences[*].uid metadata.ownerReferences[*].controller
metadata.ownerReferences[*].blockOwnerDeletion

spec.restartPolicy spec.terminationGracePeriodSeconds spec.activeDeadlineSeconds spec.nodeName
spec.hostNetwork spec.hostPID spec.hostIPC spec.hostUsers spec.shareProcessNamespace
spec.serviceAccountName spec.serviceAccount spec.automountServiceAccountToken
spec.hostname spec.subdomain spec.setHostnameAsFQDN spec.hostnameOverride spec.enableServiceLinks
spec.dnsPolicy spec.dnsConfig.nameservers spec.dnsConfig.searches
spec.dnsConfig.options[*].name spec.dnsConfig.options[*].value
spec.hostAliases[*].ip spec.hostAliases[*].hostnames
spec.readinessGates[*].conditionType spec.schedulingGates[*].name
spec.nodeSelector
spec.overhead spec.priority spec.priorityClassName spec.preemptionPolicy
spec.resources.limits spec.resources.requests
spec.securityContext.runAsUser spec.securityContext.runAsGroup spec.securityContext.runAsNonRoot
spec.securityContext.supplementalGroups
spec.securityContext.fsGroup spec.securityContext.fsGroupChangePolicy
spec.ephemeralContainers[*].targetContainerName
spec.imagePullSecrets[*].name
spec.volumes[*].name spec.volumes[*].emptyDir.sizeLimit
spec.volumes[*].hostPath.path spec.volumes[*].hostPath.type
spec.volumes[*].image.reference spec.volumes[*].image.pullPolicy
spec.volumes[*].persistentVolumeClaim.claimName spec.volumes[*].persistentVolumeClaim.readOnly

spec.volumes[*].configMap.name spec.volumes[*].configMap.optional spec.volumes[*].configMap.defaultMode
spec.volumes[*].configMap.items[*].key spec.volumes[*].configMap.items[*].path
spec.volumes[*].configMap.items[*].mode
spec.volumes[*].secret.secretName spec.volumes[*].secret.optional spec.volumes[*].secret.defaultMode
spec.volumes[*].secret.items[*].key spec.volumes[*].secret.items[*].path spec.volumes[*].secret.items[*].mode
spec.volumes[*].downwardAPI.defaultMode
spec.volumes[*].projected.defaultMode

C.name C.image C.command C.args C.workingDir C.imagePullPolicy
C.ports[*].name C.ports[*].containerPort C.ports[*].protocol C.ports[*].hostPort C.ports[*].hostIP
C.env[*].name C.env[*].value
C.env[*].valueFrom.fieldRef.apiVersion C.env[*].valueFrom.fieldRef.fieldPath
C.env[*].valueFrom.resourceFieldRef.containerName C.env[*].valueFrom.resourceFieldRef.resource
C.env[*].valueFrom.resourceFieldRef.divisor
C.env[*].valueFrom.configMapKeyRef.name C.env[*].valueFrom.configMapKeyRef.key
C.env[*].valueFrom.configMapKeyRef.optional
C.env[*].valueFrom.secretKeyRef.name C.env[*].valueFrom.secretKeyRef.key
C.env[*].valueFrom.secretKeyRef.optional
C.env[*].valueFrom.fileKeyRef.volumeName C.env[*].valueFrom.fileKeyRef.path
C.env[*].valueFrom.fileKeyRef.key C.env[*].valueFrom.fileKeyRef.optional
C.envFrom[*].prefix C.envFrom[*].configMapRef.name C.envFrom[*].configMapRef.optional
C.envFrom[*].secretRef.name C.envFrom[*].secretRef.optional
C.volumeMounts[*].name C.volumeMounts[*].mountPath C.volumeMounts[*].readOnly
C.resources.limits C.resources.requests C.resizePolicy[*].resourceName C.resizePolicy[*].restartPolicy
C.volumeMounts[*].recursiveReadOnly C.volumeMounts[*].mountPropagation
C.volumeMounts[*].subPath C.volumeMounts[*].subPathExpr
C.restartPolicy C.restartPolicyRules[*].action
C.restartPolicyRules[*].exitCodes.operator C.restartPolicyRules[*].exitCodes.values
C.terminationMessagePath C.terminationMessagePolicy C.stdin C.stdinOnce C.tty
C.securityContext.runAsUser C.securityContext.runAsGroup C.securityContext.runAsNonRoot
C.securityContext.capabilities.add C.securityContext.capabilities.drop
C.securityContext.allowPrivilegeEscalation C.securityContext.readOnlyRootFilesystem
C.securityContext.privileged C.securityContext.procMount
spec.securityContext.supplementalGroupsPolicy
spec.securityContext.sysctls[*].name spec.securityContext.sysctls[*].value
spec.securityContext.appArmorProfile.type spec.securityContext.appArmorProfile.localhostProfile
C.securityContext.appArmorProfile.type C.securityContext.appArmorProfile.localhostProfile
spec.securityContext.seccompProfile.type spec.securityContext.seccompProfile.localhostProfile
C.securityContext.seccompProfile.type C.securityContext.seccompProfile.localhostProfile
"""
WORKING_HTTP = """
httpGet.path httpGet.port httpGet.host httpGet.scheme httpGet.httpHeaders[*].name httpGet.httpHeaders[*].value
"""
WORKING_PROBE = f"""
exec.command {WORKING_HTTP} tcpSocket.port tcpSocket.host grpc.port grpc.service
initialDelaySeconds timeoutSeconds periodSeconds
successThreshold failureThreshold terminationGracePeriodSeconds
"""
WORKING_HOOK = f"exec.command {WORKING_HTTP} sleep.seconds"
SELECTOR = """
labelSelector.matchLabels
labelSelector.matchExpressions[*].key labelSelector.matchExpressions[*].operator
labelSelector.matchExpressions[*].values
"""
WORKING_TERM = f"""
{SELECTOR} {SELECTOR.replace("labelSelector", "namespaceSelector")}
namespaces topologyKey matchLabelKeys mismatchLabelKeys
"""
WORKING_NODE_TERM = """
matchExpressions[*].key matchExpressions[*].operator matchExpressions[*].values
matchFields[*].key matchFields[*].operator matchFields[*].values
"""
WORKING_TOLERATION = "key operator value effect tolerationSeconds"
WORKING_SPREAD = f"""
{SELECTOR} matchLabelKeys maxSkew minDomains nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable
"""
AFFINITIES = tuple(
    (f"spec.affinity.{kind}.{when}[*]{within}", fields)
    for kind in ("podAffinity", "podAntiAffinity")
    for when, within, fields in (
        ("requiredDuringSchedulingIgnoredDuringExecution", "", WORKING_TERM),
        ("preferredDuringSchedulingIgnoredDuringExecution", ".podAffinityTerm", WORKING_TERM),
        ("preferredDuringSchedulingIgnoredDuringExecution", "", "weight"),
    )
)
NODE_AFFINITY = "spec.affinity.nodeAffinity"
WORKING_LISTS = (
    ("spec.tolerations[*]", WORKING_TOLERATION),
    ("spec.topologySpreadConstraints[*]", WORKING_SPREAD),
    *AFFINITIES,
    (
        f"{NODE_AFFINITY}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[*]",
        WORKING_NODE_TERM,
    ),
    (f"{NODE_AFFINITY}.preferredDuringSchedulingIgnoredDuringExecution[*].preference", WORKING_NODE_TERM),
    (f"{NODE_AFFINITY}.preferredDuringSchedulingIgnoredDuringExecution[*]", "weight"),
)
# Of a downwardAPI volume, and of a projected volume's parts.
WORKING_DOWNWARD = """
items[*].path items[*].mode items[*].fieldRef.apiVersion items[*].fieldRef.fieldPath
items[*].resourceFieldRef.containerName items[*].resourceFieldRef.resource items[*].resourceFieldRef.divisor
"""
WORKING_PART = "name optional items[*].key items[*].path items[*].mode"
PARTS = "spec.volumes[*].projected.sources[*]"
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")

IMPLEMENTED: tuple[str, ...] = (
    *WORKING.split(),
    *(f"C.{probe}.{field}" for probe in PROBES for field in WORKING_PROBE.split()),
    *(f"{path}.{field}" for path, fields in WORKING_LISTS for field in fields.split()),
    *(f"spec.volumes[*].downwardAPI.{field}" for field in WORKING_DOWNWARD.split()),
    *(f"{PARTS}.downwardAPI.{field}" for field in WORKING_DOWNWARD.split()),
    *(f"{PARTS}.serviceAccountToken.{field}" for field in ("path", "audience", "expirationSeconds")),
    *(f"{PARTS}.{part}.{field}" for part in ("configMap", "secret") for field in WORKING_PART.split()),
    *(f"C.lifecycle.{hook}.{field}" for hook in HOOKS for field in WORKING_HOOK.split()),
)


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule applies to a value, as words and as a function of the value and the pod's spec."""

    words: str
    holds: Callable[[Any, Mapping[str, Any]], bool]


# Neither absent nor what absent means: false, zero, empty.
IF_SET = Condition("set", lambda value, _: bool(value))
IF_PRESENT = Condition("present, even empty", lambda value, _: value is not None)
ALWAYS_FINE = Condition("never", lambda value, _: False)


def unless(*values: Any) -> Condition:
    """Set, and to something else than these."""
    return Condition(
        f"not {' or '.join(map(str, values))}", lambda value, _: bool(value) and value not in values
    )


def only(*values: Any) -> Condition:
    """Set to one of these."""
    return Condition(" or ".join(map(str, values)), lambda value, _: value in values)


def keys_beside(*keys: str) -> Condition:
    """A map with other keys than these."""
    return Condition(
        f"keys other than {', '.join(keys)}", lambda value, _: bool(set(value or ()) - set(keys))
    )


IPV6_WITHOUT_HOST_NETWORK = Condition(
    "an IPv6 address, without hostNetwork",
    lambda value, spec: ":" in (value or "") and not spec.get("hostNetwork"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A field, or everything below it, that this node does not honour."""

    path: str
    state: State
    reason: str  # continues "… is ignored: " or "… is not supported: "
    comes: str = ""  # what is planned, or why never
    when: Condition = IF_SET


CLIENTS = "issue 6"  # kubectl and every API client
NEVER = "never"  # outside this program

STORAGE = """
ephemeral csi nfs iscsi fc cephfs rbd glusterfs gitRepo flexVolume awsElasticBlockStore azureDisk azureFile
cinder flocker gcePersistentDisk photonPersistentDisk portworxVolume quobyte scaleIO storageos vsphereVolume
"""
RULES: tuple[Rule, ...] = (
    # Metadata
    Rule("metadata.managedFields", WARNING, "field managers are not tracked", CLIENTS, ALWAYS_FINE),
    Rule("metadata.selfLink", WARNING, "no longer part of Kubernetes", NEVER),
    Rule("status", WARNING, "the status is written by the node alone", NEVER, ALWAYS_FINE),
    # Scheduling
    Rule("spec.schedulerName", WARNING, "the node binds its pods itself", NEVER, unless("default-scheduler")),
    Rule("spec.schedulingGroup", WARNING, "pods are bound one by one", NEVER),
    Rule("spec.runtimeClassName", REFUSED, "there is one runtime, and it may isolate less", NEVER),
    Rule("spec.os.name", REFUSED, "this is a Linux node", NEVER, unless("linux")),
    # Claims
    Rule("spec.resources.claims", REFUSED, "dynamic resource allocation is not done", NEVER),
    Rule("spec.resourceClaims", REFUSED, "dynamic resource allocation is not done", NEVER),
    # Security of the pod
    Rule("spec.securityContext.seLinuxOptions", REFUSED, "no SELinux label is set", NEVER),
    Rule("spec.securityContext.seLinuxChangePolicy", WARNING, "no SELinux label is set", NEVER),
    Rule("spec.securityContext.windowsOptions", REFUSED, "this is a Linux node", NEVER),
    # Containers
    Rule("C.ports[*].hostIP", REFUSED, "the pod network has no IPv6", NEVER, IPV6_WITHOUT_HOST_NETWORK),
    Rule("C.resources.claims", REFUSED, "dynamic resource allocation is not done", NEVER),
    Rule("C.volumeDevices", REFUSED, "block devices are not handed in", NEVER),
    *(
        Rule(f"C.lifecycle.{hook}.tcpSocket", WARNING, "the hook fails, as everywhere", NEVER, IF_PRESENT)
        for hook in HOOKS
    ),
    Rule(
        "C.lifecycle.stopSignal",
        REFUSED,
        "its gate is off in Kubernetes 1.36: containers are stopped with the image's signal",
        NEVER,
    ),
    # Security of containers
    Rule("C.securityContext.seLinuxOptions", REFUSED, "no SELinux label is set", NEVER),
    Rule("C.securityContext.windowsOptions", REFUSED, "this is a Linux node", NEVER),
    # Volumes
    Rule("spec.volumes[*].emptyDir.medium", REFUSED, "no huge pages are mounted", NEVER, unless("Memory")),
    Rule(f"{PARTS}.clusterTrustBundle", REFUSED, "there are no trust bundles", NEVER, IF_PRESENT),
    Rule(f"{PARTS}.podCertificate", REFUSED, "no certificates are signed", NEVER, IF_PRESENT),
    *(
        Rule(f"spec.volumes[*].{source}", REFUSED, "this storage is not connected", NEVER, IF_PRESENT)
        for source in STORAGE.split()
    ),
)
