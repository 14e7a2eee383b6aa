"""kubelet-behaviour 8.6: the rules V1 to V98, each with its exact text. Ids begin with the number.

A case is what is changed in a good pod, and the *whole* list of errors that must come of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from minikubelet.v1.validation import validate_pod
from minikubelet.v1.validation.names import (
    CONFIG_KEY_TEXT,
    LABEL_TEXT,
    LVALUE_TEXT,
    QNAME_CORE,
    SUBDOMAIN_TEXT,
)
from tests.unit.v1.pods import errors, pod

C = "spec.containers[0]"
I = "spec.initContainers[0]"  # noqa: E741
V = "spec.volumes[0]"
QNAME = f"name part {QNAME_CORE}"
ENV_NAME = "a valid environment variable name must consist only of printable ASCII characters other than '='"
IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
PORT = "must be between 1 and 65535, inclusive"
BYTE_DIVISORS = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
EXEC = {"exec": {"command": ["true"]}}
EMPTY = {"name": "v", "emptyDir": {}}


def env(**source: Any) -> dict[str, Any]:
    return {"container": {"env": [{"name": "A", "valueFrom": source}]}}


def mount(**fields: Any) -> dict[str, Any]:
    return {
        "container": {"volumeMounts": [{"name": "v", "mountPath": "/m", **fields}]},
        "volumes": [EMPTY],
    }


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


def limits(requests: dict[str, Any], limits_: dict[str, Any]) -> dict[str, Any]:
    return {"container": {"resources": {"requests": requests, "limits": limits_}}}


def case(number: str, changes: dict[str, Any], *expected: str) -> Any:
    return pytest.param(changes, list(expected), id=number)


METADATA = [
    case(
        "V1", {"metadata": {"name": None}}, "metadata.name: Required value: name or generateName is required"
    ),
    case("V2", {"metadata": {"name": "A"}}, f'metadata.name: Invalid value: "A": {SUBDOMAIN_TEXT}'),
    case(
        "V2 too long",
        {"metadata": {"name": "a" * 254}},
        f'metadata.name: Invalid value: "{"a" * 254}": must be no more than 253 characters',
    ),
    case("V3", {"metadata": {"namespace": "a.b"}}, f'metadata.namespace: Invalid value: "a.b": {LABEL_TEXT}'),
    case("V4 key", {"metadata": {"labels": {"a b": "x"}}}, f'metadata.labels: Invalid value: "a b": {QNAME}'),
    case(
        "V4 prefix",
        {"metadata": {"labels": {"A/b": "x"}}},
        f'metadata.labels: Invalid value: "A/b": prefix part {SUBDOMAIN_TEXT}',
    ),
    case(
        "V4 value",
        {"metadata": {"labels": {"a": "x y"}}},
        f'metadata.labels: Invalid value: "x y": {LVALUE_TEXT}',
    ),
    case(
        "V4 long value",
        {"metadata": {"labels": {"a": "x" * 64}}},
        f'metadata.labels: Invalid value: "{"x" * 64}": must be no more than 63 characters',
    ),
    case(
        "V5 key",
        {"metadata": {"annotations": {"a b": "x"}}},
        f'metadata.annotations: Invalid value: "a b": {QNAME}',
    ),
    case("V5 upper case", {"metadata": {"annotations": {"Example.COM/Key": "x"}}}),
    case(
        "V5 total",
        {"metadata": {"annotations": {"a": "x" * 262144}}},
        "metadata.annotations: Too long: may not be more than 262144 bytes",
    ),
    case(
        "V96",
        {"metadata": {"annotations": {"kubernetes.io/config.mirror": "h"}}},
        'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "h": '
        "must set spec.nodeName if mirror pod annotation is set",
    ),
]

CONTAINERS = [
    case("V6", {"containers": []}, "spec.containers: Required value"),
    case("V7", {"container": {"name": None}}, f"{C}.name: Required value"),
    case("V7 label", {"container": {"name": "a.b"}}, f'{C}.name: Invalid value: "a.b": {LABEL_TEXT}'),
    case(
        "V8 regular",
        {"containers": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]},
        'spec.containers[1].name: Duplicate value: "a"',
    ),
    case("V8 init", {"init": {"name": "main"}}, f'{I}.name: Duplicate value: "main"'),
    case("V9", {"container": {"image": None}}, f"{C}.image: Required value"),
    case(
        "V10",
        {"container": {"image": " x"}},
        f'{C}.image: Invalid value: " x": must not have leading or trailing whitespace',
    ),
    case(
        "V11",
        {"container": {"imagePullPolicy": "x"}},
        f'{C}.imagePullPolicy: Unsupported value: "x": supported values: "Always", "IfNotPresent", "Never"',
    ),
    case(
        "V12",
        {"container": {"terminationMessagePolicy": "x"}},
        f'{C}.terminationMessagePolicy: Unsupported value: "x": '
        'supported values: "File", "FallbackToLogsOnError"',
    ),
    case(
        "V17",
        {"container": {"ports": [{"containerPort": -1}, {"containerPort": 70000, "hostPort": -1}]}},
        f"{C}.ports[0].containerPort: Invalid value: -1: {PORT}",
        f"{C}.ports[1].containerPort: Invalid value: 70000: {PORT}",
        f"{C}.ports[1].hostPort: Invalid value: -1: {PORT}",
    ),
    case("V17 missing", {"container": {"ports": [{}]}}, f"{C}.ports[0].containerPort: Required value"),
    case("V17 host port 0", {"container": {"ports": [{"containerPort": 1, "hostPort": 0}]}}),
    case(
        "V18",
        {"container": {"ports": [{"containerPort": 1, "protocol": "x"}]}},
        f'{C}.ports[0].protocol: Unsupported value: "x": supported values: "SCTP", "TCP", "UDP"',
    ),
    *(
        case(
            f"V19 {name}",
            {"container": {"ports": [{"containerPort": 1, "name": name}]}},
            *(f'{C}.ports[0].name: Invalid value: "{name}": {text}' for text in texts),
        )
        for name, texts in {
            "a" * 16: ["must be no more than 15 characters"],
            "Ab": ["must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"],
            "12": ["must contain at least one letter (a-z)"],
            "a--b": ["must not contain consecutive hyphens"],
            "a-": ["must not begin or end with a hyphen"],
        }.items()
    ),
    case(
        "V20",
        {"container": {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]}},
        f'{C}.ports[1].name: Duplicate value: "a"',
    ),
    case(
        "V21",
        {
            "containers": [
                {"name": name, "image": "i", "ports": [{"containerPort": 1, "hostPort": 8080}]}
                for name in "ab"
            ]
        },
        'spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//8080"',
    ),
    case(
        "V21 init for itself",
        {
            "container": {"ports": [{"containerPort": 1, "hostPort": 8080}]},
            "init": {"ports": [{"containerPort": 1, "hostPort": 8080}]},
        },
    ),
    case(
        "V22",
        {"container": {"ports": [{"containerPort": 1, "hostPort": 1, "hostIP": "x"}]}},
        f'{C}.ports[0].hostIP: Invalid value: "x": {IP}',
    ),
    case(
        "V23",
        {"container": {"ports": [{"containerPort": 1, "hostPort": 2}]}, "hostNetwork": True},
        f"{C}.ports[0].hostPort: Invalid value: 2: must match `containerPort` when `hostNetwork` is true",
    ),
    case(
        "V64",
        {"init": {"lifecycle": {}, "livenessProbe": EXEC, "readinessProbe": EXEC, "startupProbe": EXEC}},
        *(
            f"{I}.{field}: Forbidden: may not be set for init containers without restartPolicy=Always"
            for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
        ),
    ),
    case("V64 sidecar", {"init": {"restartPolicy": "Always", "readinessProbe": EXEC}}),
    case(
        "V65",
        {"container": {"restartPolicy": "x"}},
        f'{C}.restartPolicy: Unsupported value: "x": supported values: "Always", "Never", "OnFailure"',
    ),
    case(
        "V65 rules",
        {"container": {"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In"}}]}},
        f"{C}.restartPolicy: Required value: must specify restartPolicy when restart rules are used",
    ),
    case(
        "V66",
        {
            "container": {
                "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In"}}] * 21,
            }
        },
        f"{C}.restartPolicyRules: Too many: 21: must have at most 20 items",
    ),
    case(
        "V67",
        {"container": {"restartPolicy": "Never", "restartPolicyRules": [{"action": "x"}]}},
        f'{C}.restartPolicyRules[0].action: Unsupported value: "x": '
        'supported values: "Restart", "RestartAllContainers"',
        f"{C}.restartPolicyRules[0].exitCodes: Required value: must be specified",
    ),
    case(
        "V68",
        {
            "container": {
                "restartPolicy": "Never",
                "restartPolicyRules": [
                    {"action": "Restart", "exitCodes": {"operator": "x", "values": [1] * 256}}
                ],
            }
        },
        f'{C}.restartPolicyRules[0].exitCodes.operator: Unsupported value: "x": supported values: '
        f'"In", "NotIn"',
        f"{C}.restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items",
    ),
    case(
        "V69",
        {
            "container": {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]},
            "restartPolicy": "Never",
        },
        f'{C}.resizePolicy: Invalid value: "RestartContainer": '
        "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
    ),
    case(
        "V70",
        {"init": {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}},
        f'{I}.resizePolicy[0].restartPolicy: Invalid value: "RestartContainer": '
        "must not be set to 'RestartContainer' for non-sidecar initContainers",
    ),
    case(
        "V78",
        {"ephemeralContainers": [{"name": "debug", "image": "i"}]},
        "spec.ephemeralContainers: Forbidden: cannot be set on create",
    ),
    case(
        "V89",
        {"container": {"securityContext": {"privileged": True, "allowPrivilegeEscalation": False}}},
        f'{C}.securityContext: Invalid value: {{"privileged":true,"allowPrivilegeEscalation":false}}: '
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
    ),
]

ENVIRONMENT = [
    case("V24", {"container": {"env": [{}]}}, f"{C}.env[0].name: Required value"),
    case(
        "V24 name",
        {"container": {"env": [{"name": "a=b"}]}},
        f'{C}.env[0].name: Invalid value: "a=b": {ENV_NAME}',
    ),
    case("V24 relaxed", {"container": {"env": [{"name": "1 odd-name!"}]}}),
    case(
        "V25 none",
        env(),
        f'{C}.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
        "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
    ),
    case(
        "V25 with value",
        {
            "container": {
                "env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
            }
        },
        f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ),
    case(
        "V25 two",
        env(secretKeyRef={"name": "s", "key": "k"}, fieldRef={"fieldPath": "metadata.name"}),
        f'{C}.env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time',
    ),
    case("V26", env(fieldRef={}), f"{C}.env[0].valueFrom.fieldRef.fieldPath: Required value"),
    case(
        "V26 unknown",
        env(fieldRef={"fieldPath": "spec.x"}),
        f'{C}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": '
        "error converting fieldPath: field label not supported: spec.x",
    ),
    case(
        "V27",
        env(fieldRef={"fieldPath": "metadata.labels"}),
        f'{C}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: '
        '"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
        '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
    ),
    case("V28 good", env(fieldRef={"fieldPath": "metadata.annotations['Example.com/X']"})),
    case(
        "V28 key",
        env(fieldRef={"fieldPath": "metadata.labels['a b']"}),
        f'{C}.env[0].valueFrom.fieldRef: Invalid value: "a b": {QNAME}',
    ),
    case(
        "V28 other base",
        env(fieldRef={"fieldPath": "metadata.name['a']"}),
        f"{C}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.name['a']\": "
        "error converting fieldPath: field label does not support subscript: metadata.name['a']",
    ),
    case("V29", env(resourceFieldRef={}), f"{C}.env[0].valueFrom.resourceFieldRef.resource: Required value"),
    case(
        "V29 resource",
        env(resourceFieldRef={"resource": "x"}),
        f'{C}.env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "x": supported values: '
        f'"limits.cpu", '
        '"limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", '
        '"requests.memory"',
    ),
    case("V29 huge pages", env(resourceFieldRef={"resource": "limits.hugepages-2Mi", "divisor": "1Mi"})),
    *(
        case(
            f"V29 divisor of {resource}",
            env(resourceFieldRef={"resource": resource, "divisor": "2"}),
            f'{C}.env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "{resource}": '
            f"only divisor's values {values} are supported with the {name} resource",
        )
        for resource, values, name in (
            ("limits.cpu", "1m and 1", "cpu"),
            ("requests.memory", BYTE_DIVISORS, "memory"),
            ("limits.ephemeral-storage", BYTE_DIVISORS, "local ephemeral storage"),
        )
    ),
    case(
        "V30 key",
        env(configMapKeyRef={"name": "c"}),
        f"{C}.env[0].valueFrom.configMapKeyRef.key: Required value",
    ),
    case(
        "V30 name and key",
        env(secretKeyRef={"name": "A", "key": "a/b"}),
        f'{C}.env[0].valueFrom.secretKeyRef.name: Invalid value: "A": {SUBDOMAIN_TEXT}',
        f'{C}.env[0].valueFrom.secretKeyRef.key: Invalid value: "a/b": {CONFIG_KEY_TEXT}',
    ),
    case(
        "V30 dots",
        env(secretKeyRef={"name": "s", "key": "..a"}),
        f"{C}.env[0].valueFrom.secretKeyRef.key: Invalid value: \"..a\": must not start with '..'",
    ),
    case(
        "V31",
        {"container": {"envFrom": [{}]}},
        f'{C}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
    ),
    case(
        "V31 both",
        {"container": {"envFrom": [{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]}},
        f'{C}.envFrom: Invalid value: "": may not have more than one field specified at a time',
    ),
    case(
        "V32",
        {"container": {"envFrom": [{"prefix": "=", "configMapRef": {"name": "a"}}]}},
        f'{C}.envFrom[0].prefix: Invalid value: "=": {ENV_NAME}',
    ),
    case(
        "V33",
        {"container": {"envFrom": [{"configMapRef": {}}, {"secretRef": {"name": "A"}}]}},
        f"{C}.envFrom[0].configMapRef.name: Required value",
        f'{C}.envFrom[1].secretRef.name: Invalid value: "A": {SUBDOMAIN_TEXT}',
    ),
    case(
        "V97",
        {
            **env(fileKeyRef={"volumeName": "v", "path": "f", "key": "K"}),
            **volume(hostPath={"path": "/x"}),
        },
        f'{C}.env[0].valueFrom.fileKeyRef.volumeName: Invalid value: "v": '
        "referenced volume must be of type emptyDir",
    ),
    case(
        "V97 missing",
        env(fileKeyRef={"volumeName": "v", "path": "f", "key": "K"}),
        f'{C}.env[0].valueFrom.fileKeyRef.volumeName: Not found: "v"',
    ),
]

VOLUMES = [
    case("V34", {"volumes": [{"emptyDir": {}}]}, f"{V}.name: Required value"),
    case(
        "V34 label",
        {"volumes": [{"name": "a.b", "emptyDir": {}}]},
        f'{V}.name: Invalid value: "a.b": {LABEL_TEXT}',
    ),
    case("V34 twice", {"volumes": [EMPTY, EMPTY]}, 'spec.volumes[1].name: Duplicate value: "v"'),
    case(
        "V35",
        volume(emptyDir={}, hostPath={"path": "/x"}),
        f"{V}.hostPath: Forbidden: may not specify more than 1 volume type",
    ),
    case("V36", volume(hostPath={}), f"{V}.hostPath.path: Required value"),
    case(
        "V36 backstep",
        volume(hostPath={"path": "/a/../b"}),
        f"{V}.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
    ),
    case(
        "V37",
        volume(hostPath={"path": "/a", "type": "x"}),
        f'{V}.hostPath.type: Unsupported value: "x": supported values: "", "BlockDevice", "CharDevice", '
        '"Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
    ),
    case(
        "V38",
        volume(emptyDir={"sizeLimit": "-1"}),
        f"{V}.emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
    ),
    case("V39 secret", volume(secret={}), f"{V}.secret.secretName: Required value"),
    case("V39 configMap", volume(configMap={}), f"{V}.configMap.name: Required value"),
    case(
        "V40",
        volume(configMap={"name": "c", "defaultMode": 512, "items": [{"key": "k", "path": "p", "mode": -1}]}),
        f"{V}.configMap.defaultMode: Invalid value: 512: "
        "must be a number between 0 and 0777 (octal), both inclusive",
        f"{V}.configMap.items[0].mode: Invalid value: -1: "
        "must be a number between 0 and 0777 (octal), both inclusive",
    ),
    case(
        "V41",
        volume(
            secret={
                "secretName": "s",
                "items": [{}, {"key": "k", "path": "/p"}, {"key": "k", "path": "a/../b"}],
            }
        ),
        f"{V}.secret.items[0].key: Required value",
        f"{V}.secret.items[0].path: Required value",
        f'{V}.secret.items[1].path: Invalid value: "/p": must be a relative path',
        f"{V}.secret.items[2].path: Invalid value: \"a/../b\": must not contain '..'",
    ),
    case(
        "V41 reserved",
        volume(secret={"secretName": "s", "items": [{"key": "k", "path": "..data"}]}),
        f"{V}.secret.items[0].path: Invalid value: \"..data\": must not start with '..'",
    ),
    case(
        "V42",
        volume(downwardAPI={"items": [{"path": "a"}]}),
        f"{V}.downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
    ),
    case(
        "V42 both",
        volume(
            downwardAPI={
                "items": [
                    {
                        "path": "a",
                        "fieldRef": {"fieldPath": "metadata.name"},
                        "resourceFieldRef": {"resource": "limits.cpu", "containerName": "main"},
                    }
                ]
            }
        ),
        f'{V}.downwardAPI: Invalid value: "resource": '
        "fieldRef and resourceFieldRef can not be specified simultaneously",
    ),
    case(
        "V43",
        volume(downwardAPI={"items": [{"path": "a", "fieldRef": {"fieldPath": "status.podIP"}}]}),
        f'{V}.downwardAPI.fieldRef.fieldPath: Unsupported value: "status.podIP": supported values: '
        '"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"',
    ),
    case(
        "V44",
        volume(downwardAPI={"items": [{"path": "a", "resourceFieldRef": {"resource": "limits.cpu"}}]}),
        f"{V}.downwardAPI.resourceFieldRef.containerName: Required value",
    ),
    case(
        "V45",
        volume(projected={"sources": [{"secret": {"name": "s"}, "configMap": {"name": "c"}}]}),
        f"{V}.projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
    ),
    case(
        "V45 conflict",
        volume(
            projected={
                "sources": [{"secret": {"name": n, "items": [{"key": "k", "path": "p"}]}} for n in "ab"]
            }
        ),
        f'{V}.projected: Invalid value: "b": conflicting duplicate paths',
    ),
    *(
        case(
            f"V46 {seconds}",
            volume(
                projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": seconds}}]}
            ),
            f"{V}.projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: "
            f"{seconds}: {text}",
        )
        for seconds, text in (
            (599, "may not specify a duration less than 10 minutes"),
            (2**32 + 1, "may not specify a duration larger than 2^32 seconds"),
        )
    ),
    case("V47", mount(name="x"), f'{C}.volumeMounts[0].name: Not found: "x"'),
    case(
        "V47 missing",
        mount(name=None),
        f"{C}.volumeMounts[0].name: Required value",
        f'{C}.volumeMounts[0].name: Not found: ""',
    ),
    case("V48", mount(mountPath=""), f"{C}.volumeMounts[0].mountPath: Required value"),
    case(
        "V48 unique",
        {"container": {"volumeMounts": [{"name": "v", "mountPath": "/m"}] * 2}, "volumes": [EMPTY]},
        f'{C}.volumeMounts[1].mountPath: Invalid value: "/m": must be unique',
    ),
    case(
        "V49",
        mount(subPath="/a"),
        f'{C}.volumeMounts.subPath: Invalid value: "/a": must be a relative path',
    ),
    case(
        "V49 expr",
        mount(subPathExpr="a/.."),
        f"{C}.volumeMounts.subPathExpr: Invalid value: \"a/..\": must not contain '..'",
    ),
    case(
        "V50",
        mount(subPath="a", subPathExpr="b"),
        f'{C}.volumeMounts[0].subPathExpr: Invalid value: "b": subPathExpr and subPath are mutually '
        f"exclusive",
    ),
    case(
        "V51",
        mount(mountPropagation="x"),
        f'{C}.volumeMounts.mountPropagation: Unsupported value: "x": '
        'supported values: "Bidirectional", "HostToContainer", "None"',
    ),
    case(
        "V51 privileged",
        mount(mountPropagation="Bidirectional"),
        f"{C}.volumeMounts.mountPropagation: Forbidden: "
        "Bidirectional mount propagation is available only to privileged containers",
    ),
    case(
        "V52",
        mount(recursiveReadOnly="Enabled", mountPropagation="HostToContainer"),
        f"{C}.volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        f"{C}.volumeMounts.recursiveReadOnly: Forbidden: "
        "may only be specified when mountPropagation is None or not specified",
    ),
    case(
        "V53",
        {
            "container": {
                "volumeMounts": [{"name": "v", "mountPath": "/m"}],
                "volumeDevices": [
                    {"name": "d"},
                    {"name": "e", "devicePath": "/x"},
                    {"name": "f", "devicePath": "/x"},
                    {"name": "g", "devicePath": "/m"},
                ],
            },
            "volumes": [EMPTY, *({"name": n, "persistentVolumeClaim": {"claimName": n}} for n in "defg")],
        },
        f'{C}.volumeMounts[0].mountPath: Invalid value: "/m": must not already exist as a path in '
        f"volumeDevices",
        f"{C}.volumeDevices[0].devicePath: Required value",
        f'{C}.volumeDevices[2].devicePath: Invalid value: "/x": must be unique',
        f'{C}.volumeDevices[3].devicePath: Invalid value: "/m": must not already exist as a path in '
        f"volumeMounts",
    ),
]

PROBES = [
    *(
        case(
            f"V54 {field}",
            {"container": {field: {}}},
            f"{C}.{field}: Required value: must specify a handler type",
        )
        for field in ("livenessProbe", "readinessProbe", "startupProbe")
    ),
    case(
        "V54 hook",
        {"container": {"lifecycle": {"preStop": {}}}},
        f"{C}.lifecycle.preStop: Required value: must specify a handler type",
    ),
    case(
        "V54 two",
        {"container": {"livenessProbe": {**EXEC, "httpGet": {"port": 80}, "tcpSocket": {"port": 80}}}},
        f"{C}.livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
        f"{C}.livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
    ),
    case(
        "V55",
        {"container": {"livenessProbe": {"exec": {}}}},
        f"{C}.livenessProbe.exec.command: Required value",
    ),
    case(
        "V56 number",
        {"container": {"livenessProbe": {"tcpSocket": {"port": 0}}}},
        f"{C}.livenessProbe.tcpSocket.port: Invalid value: 0: {PORT}",
    ),
    case(
        "V56 name",
        {"container": {"livenessProbe": {"httpGet": {"port": "12"}}}},
        f'{C}.livenessProbe.httpGet.port: Invalid value: "12": must contain at least one letter (a-z)',
    ),
    case(
        "V56 grpc",
        {"container": {"livenessProbe": {"grpc": {"port": 70000}}}},
        f"{C}.livenessProbe.grpc.port: Invalid value: 70000: {PORT}",
    ),
    case(
        "V57",
        {"container": {"livenessProbe": {"httpGet": {"port": 80, "scheme": "x"}}}},
        f'{C}.livenessProbe.httpGet.scheme: Unsupported value: "x": supported values: "HTTP", "HTTPS"',
    ),
    case(
        "V58",
        {"container": {"livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "a b"}]}}}},
        f'{C}.livenessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of '
        "alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
    ),
    case(
        "V59",
        {
            "container": {
                "readinessProbe": {
                    **EXEC,
                    **dict.fromkeys(
                        (
                            "initialDelaySeconds",
                            "timeoutSeconds",
                            "periodSeconds",
                            "successThreshold",
                            "failureThreshold",
                        ),
                        -1,
                    ),
                }
            }
        },
        *(
            f"{C}.readinessProbe.{field}: Invalid value: -1: must be greater than or equal to 0"
            for field in (
                "initialDelaySeconds",
                "timeoutSeconds",
                "periodSeconds",
                "successThreshold",
                "failureThreshold",
            )
        ),
    ),
    *(
        case(
            f"V60 {field}",
            {"container": {field: {**EXEC, "successThreshold": 2}}},
            f"{C}.{field}.successThreshold: Invalid value: 2: must be 1",
        )
        for field in ("livenessProbe", "startupProbe")
    ),
    case("V60 readiness", {"container": {"readinessProbe": {**EXEC, "successThreshold": 2}}}),
    case(
        "V61",
        {"container": {"livenessProbe": {**EXEC, "terminationGracePeriodSeconds": 0}}},
        f"{C}.livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
    ),
    case(
        "V61 readiness",
        {"container": {"readinessProbe": {**EXEC, "terminationGracePeriodSeconds": 1}}},
        f"{C}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: "
        "must not be set for readinessProbes",
    ),
    case(
        "V62",
        {"container": {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}},
        f"{C}.lifecycle.preStop.sleep: Invalid value: 31: "
        "must be non-negative and less than terminationGracePeriodSeconds (30)",
    ),
    case("V62 equal", {"container": {"lifecycle": {"preStop": {"sleep": {"seconds": 30}}}}}),
    case(
        "V63",
        {"container": {"lifecycle": {"stopSignal": "SIGUSR1"}}},
        f"{C}.lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`",
    ),
    case("V63 linux", {"container": {"lifecycle": {"stopSignal": "SIGUSR1"}}, "os": {"name": "linux"}}),
]

RESOURCES = [
    case(
        "V71",
        limits({}, {"cpu": "-1"}),
        f'{C}.resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        f'{C}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
    ),
    case(
        "V72",
        limits({"cpu": "1"}, {"cpu": "500m"}),
        f'{C}.resources.requests: Invalid value: "1": must be less than or equal to cpu limit of 500m',
    ),
    case(
        "V73 equal",
        limits({"example.com/gpu": 2}, {"example.com/gpu": 1}),
        f'{C}.resources.requests: Invalid value: "2": must be equal to example.com/gpu limit of 1',
    ),
    case(
        "V73 limit",
        limits({"example.com/gpu": 2}, {}),
        f"{C}.resources.limits: Required value: Limit must be set for non overcommitable resources",
    ),
    case(
        "V74",
        {"container": {"resources": {"requests": {"foo": 1}}}},
        f'{C}.resources.requests[foo]: Invalid value: "foo": must be a standard resource type or '
        f"fully qualified",
        f'{C}.resources.requests[foo]: Invalid value: "foo": must be a standard resource for containers',
    ),
    case(
        "V74 standard elsewhere",
        {"container": {"resources": {"requests": {"pods": 1}}}},
        f'{C}.resources.requests[pods]: Invalid value: "pods": must be a standard resource for containers',
    ),
    case(
        "V75",
        limits({"example.com/gpu": "500m"}, {"example.com/gpu": "500m"}),
        f'{C}.resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
        f'{C}.resources.requests[example.com/gpu]: Invalid value: "500m": must be an integer',
    ),
    case(
        "V76 alone",
        limits({"hugepages-2Mi": "2Mi"}, {"hugepages-2Mi": "2Mi"}),
        f"{C}.resources: Forbidden: HugePages require cpu or memory",
    ),
    case(
        "V76 multiple",
        limits({"cpu": 1, "hugepages-2Mi": "3Mi"}, {"cpu": 1, "hugepages-2Mi": "3Mi"}),
        f'{C}.resources.limits[hugepages-2Mi]: Invalid value: "3Mi": '
        "3Mi is not positive integer multiple of hugepages-2Mi",
        f'{C}.resources.requests[hugepages-2Mi]: Invalid value: "3Mi": '
        "3Mi is not positive integer multiple of hugepages-2Mi",
    ),
    case(
        "V77 requests",
        {"resources": {"requests": {"cpu": "500m"}}, "container": {"resources": {"requests": {"cpu": 1}}}},
        'spec.resources.requests[cpu]: Invalid value: "500m": '
        "must be greater than or equal to aggregate container requests of 1",
    ),
    case(
        "V77 limits",
        {
            "resources": {"limits": {"cpu": 1}},
            "container": {"resources": {"limits": {"cpu": 2}, "requests": {"cpu": 1}}},
        },
        'spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to '
        "pod limits of 1",
    ),
]

POD = [
    case(
        "V13",
        {"restartPolicy": "x"},
        'spec.restartPolicy: Unsupported value: "x": supported values: "Always", "OnFailure", "Never"',
    ),
    case(
        "V14",
        {"dnsPolicy": "x"},
        'spec.dnsPolicy: Unsupported value: "x": supported values: '
        '"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"',
    ),
    case(
        "V16",
        {"activeDeadlineSeconds": 0},
        "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
    ),
    case(
        "V79",
        {"hostname": "a.b", "subdomain": "A"},
        f'spec.hostname: Invalid value: "a.b": {LABEL_TEXT}',
        f'spec.subdomain: Invalid value: "A": {LABEL_TEXT}',
    ),
    case(
        "V80",
        {"hostAliases": [{"ip": "x", "hostnames": ["A"]}]},
        f'spec.hostAliases[0].ip: Invalid value: "x": {IP}',
        f'spec.hostAliases[0].hostnames[0]: Invalid value: "A": {SUBDOMAIN_TEXT}',
    ),
    case(
        "V81",
        {"dnsPolicy": "None"},
        "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
    ),
    case(
        "V81 nameservers",
        {"dnsPolicy": "None", "dnsConfig": {}},
        "spec.dnsConfig.nameservers: Required value: "
        "must provide at least one DNS nameserver when `dnsPolicy` is None",
    ),
    case(
        "V82",
        {"dnsConfig": {"nameservers": ["1.1.1.1"] * 3 + ["x"], "searches": ["a"] * 33, "options": [{}]}},
        'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.1","1.1.1.1","x"]: '
        "must not have more than 3 nameservers",
        f'spec.dnsConfig.nameservers[3]: Invalid value: "x": {IP}',
        "spec.dnsConfig.searches: Invalid value: [" + ",".join(['"a"'] * 33) + "]: "
        "must not have more than 32 search paths",
        "spec.dnsConfig.options[0]: Required value: must not be empty",
    ),
    case(
        "V82 characters",
        {"dnsConfig": {"searches": ["a" * 63 + "." + "b" * 63] * 17}},
        "spec.dnsConfig.searches: Invalid value: ["
        + ",".join(['"' + "a" * 63 + "." + "b" * 63 + '"'] * 17)
        + "]: must not have more than 2048 characters (including spaces) in the search list",
    ),
    case(
        "V83",
        {
            "tolerations": [
                {},
                {"key": "a", "operator": "Exists", "value": "x"},
                {"key": "a", "operator": "x"},
            ]
        },
        'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, '
        'which means "match all values and all keys"',
        "spec.tolerations[1].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'",
        'spec.tolerations[2].operator: Unsupported value: "x": supported values: "Equal", "Exists"',
    ),
    case(
        "V84",
        {
            "tolerations": [
                {"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1},
                {"key": "a", "effect": "x"},
            ]
        },
        'spec.tolerations[0].effect: Invalid value: "NoSchedule": '
        "effect must be 'NoExecute' when `tolerationSeconds` is set",
        'spec.tolerations[1].effect: Unsupported value: "x": '
        'supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    ),
    case(
        "V85",
        {"nodeSelector": {"a b": "x y"}, "overhead": {"foo": 1}},
        f'spec.nodeSelector: Invalid value: "a b": {QNAME}',
        f'spec.nodeSelector: Invalid value: "x y": {LVALUE_TEXT}',
        'spec.overhead.limits[foo]: Invalid value: "foo": must be a standard resource type or fully '
        "qualified",
        'spec.overhead.limits[foo]: Invalid value: "foo": must be a standard resource for containers',
    ),
    case(
        "V86",
        {"nodeName": "A", "serviceAccountName": "B", "priorityClassName": "C", "runtimeClassName": "D"},
        f'spec.serviceAccountName: Invalid value: "B": {SUBDOMAIN_TEXT}',
        f'spec.nodeName: Invalid value: "A": {SUBDOMAIN_TEXT}',
        f'spec.priorityClassName: Invalid value: "C": {SUBDOMAIN_TEXT}',
        f'spec.runtimeClassName: Invalid value: "D": {SUBDOMAIN_TEXT}',
    ),
    case(
        "V87",
        {"nodeName": "n", "schedulingGates": [{"name": "g"}]},
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    ),
    case(
        "V88",
        {
            "securityContext": {
                "runAsUser": -1,
                "runAsGroup": 2**31,
                "fsGroup": -1,
                "supplementalGroups": [-1],
            }
        },
        "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        "spec.securityContext.runAsGroup: Invalid value: 2147483648: "
        "must be between 0 and 2147483647, inclusive",
        "spec.securityContext.supplementalGroups[0]: Invalid value: -1: "
        "must be between 0 and 2147483647, inclusive",
    ),
    case(
        "V88 container",
        {"container": {"securityContext": {"runAsUser": -1}}},
        f"{C}.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ),
    case(
        "V90",
        {"shareProcessNamespace": True, "hostPID": True},
        "spec.securityContext.shareProcessNamespace: Invalid value: true: "
        "ShareProcessNamespace and HostPID cannot both be enabled",
    ),
    case(
        "V91",
        {"securityContext": {"sysctls": [{}, {"name": "A"}, {"name": "a.b"}, {"name": "a.b"}]}},
        "spec.securityContext.sysctls[0].name: Required value",
        'spec.securityContext.sysctls[1].name: Invalid value: "A": must have at most 253 characters '
        "and match "
        r"regex ^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([\./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$",
        'spec.securityContext.sysctls[3].name: Duplicate value: "a.b"',
    ),
    case(
        "V92",
        {"hostUsers": False, "hostNetwork": True, "hostPID": True, "hostIPC": True},
        "spec.hostNetwork: Forbidden: when `hostUsers` is false",
        "spec.HostPID: Forbidden: when `hostUsers` is false",
        "spec.HostIPC: Forbidden: when `hostUsers` is false",
    ),
    case(
        "V93",
        {"hostnameOverride": "A" * 65, "setHostnameAsFQDN": True, "hostNetwork": True},
        "spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true",
        "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true",
        "spec.hostnameOverride: Too long: may not be more than 64 bytes",
        f'spec.hostnameOverride: Invalid value: "{"A" * 65}": {SUBDOMAIN_TEXT}',
    ),
    case(
        "V94",
        {"readinessGates": [{"conditionType": "a b"}]},
        f'spec.readinessGates[0].conditionType: Invalid value: "a b": {QNAME}',
    ),
    case(
        "V98",
        {"preemptionPolicy": "x"},
        'spec.preemptionPolicy: Unsupported value: "x": supported values: "PreemptLowerPriority", "Never"',
    ),
]


CASES = [*METADATA, *CONTAINERS, *ENVIRONMENT, *VOLUMES, *PROBES, *RESOURCES, *POD]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_rule(changes: dict[str, Any], expected: list[str]) -> None:
    assert errors(**changes) == expected


def test_every_rule_has_a_case() -> None:
    numbers = {str(case.id).split()[0] for case in CASES}
    apart = {"V15", "V95"}  # tests of their own, below
    assert numbers | apart == {f"V{number}" for number in range(1, 99)}


def test_v15_a_pod_without_defaults_lacks_its_grace_period_and_more() -> None:
    bare = pod()
    assert bare.spec is not None
    bare.spec.termination_grace_period_seconds = None
    bare.spec.restart_policy = None
    bare.spec.dns_policy = None
    assert [str(error) for error in validate_pod(bare)] == [
        "spec.terminationGracePeriodSeconds: Required value",
        "spec.restartPolicy: Required value",
        "spec.dnsPolicy: Required value",
    ]


def test_v46_a_token_needs_a_service_account() -> None:
    made = pod(**volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}))
    assert made.spec is not None
    made.spec.service_account_name = None
    assert [str(error) for error in validate_pod(made)] == [
        f"{V}.projected.sources[0].serviceAccountToken: Forbidden: "
        "must not be specified when serviceAccountName is not set"
    ]


def test_v95_a_pull_secret_has_only_a_name_by_its_type() -> None:
    """Any other field is already unknown to the decoder, as in today's API server."""
    assert errors(imagePullSecrets=[{"name": "s"}]) == []


def test_a_bad_volume_is_no_volume_for_its_mounts() -> None:
    found = errors(
        volumes=[{"name": "v", "hostPath": {}}],
        container={"volumeMounts": [{"name": "v", "mountPath": "/m"}]},
    )
    assert found == [f"{V}.hostPath.path: Required value", f'{C}.volumeMounts[0].name: Not found: "v"']


def test_errors_come_in_the_order_of_the_api_server() -> None:
    """kubelet-behaviour 8.3."""
    found = errors(
        metadata={"name": "A", "annotations": {"a b": ""}},
        volumes=[{"name": "V"}],
        containers=[
            {
                "name": "C",
                "image": " i",
                "terminationMessagePolicy": "x",
                "ports": [{"containerPort": -1}],
                "env": [{}],
                "envFrom": [{}],
                "volumeMounts": [{"name": "n", "mountPath": "/"}],
                "imagePullPolicy": "x",
                "resources": {"requests": {"foo/bar/baz": 1}},
                "securityContext": {"runAsUser": -1},
                "lifecycle": {"preStop": {}},
                "livenessProbe": {},
                "readinessProbe": {},
                "startupProbe": {},
                "restartPolicy": "x",
            }
        ],
        initContainers=[{"name": "I"}],
        restartPolicy="x",
        dnsPolicy="x",
        nodeSelector={"a b": ""},
        securityContext={"runAsUser": -1},
        dnsConfig={"nameservers": ["x"]},
        readinessGates=[{}],
        hostname="A",
        subdomain="A",
        tolerations=[{}],
        hostAliases=[{"ip": "x"}],
        priorityClassName="A",
        preemptionPolicy="x",
    )
    seen = list(dict.fromkeys(error.partition(": ")[0] for error in found))
    assert seen == [
        "metadata.name",
        "metadata.annotations",
        "spec.volumes[0].name",
        "spec.containers[0].name",
        "spec.containers[0].terminationMessagePolicy",
        "spec.containers[0].ports[0].containerPort",
        "spec.containers[0].env[0].name",
        "spec.containers[0].envFrom",
        "spec.containers[0].volumeMounts[0].name",
        "spec.containers[0].imagePullPolicy",
        "spec.containers[0].resources.requests[foo/bar/baz]",
        "spec.containers[0].resources.limits",
        "spec.containers[0].securityContext.runAsUser",
        "spec.containers[0].lifecycle.preStop",
        "spec.containers[0].livenessProbe",
        "spec.containers[0].readinessProbe",
        "spec.containers[0].startupProbe",
        "spec.containers[0].restartPolicy",
        "spec.initContainers[0].name",
        "spec.initContainers[0].image",
        "spec.restartPolicy",
        "spec.dnsPolicy",
        "spec.nodeSelector",
        "spec.securityContext.runAsUser",
        "spec.dnsConfig.nameservers[0]",
        "spec.readinessGates[0].conditionType",
        "spec.hostname",
        "spec.subdomain",
        "spec.tolerations[0].operator",
        "spec.hostAliases[0].ip",
        "spec.priorityClassName",
        "spec.preemptionPolicy",
        "spec.containers[0].image",
    ]
