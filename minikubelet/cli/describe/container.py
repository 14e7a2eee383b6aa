"""One container in `describe pod`: what it is, what state it is in, what it is given."""

from __future__ import annotations

from typing import Any

from minikubelet.cli.describe.writer import Writer, stamp, yes

PROBES = (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe"))
# Downward API fields that kubectl shows with their value.
FIELD_VALUES = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "metadata.uid": ("metadata", "uid"),
    "spec.nodeName": ("spec", "nodeName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
    "status.podIP": ("status", "podIP"),
    "status.hostIP": ("status", "hostIP"),
}


def describe_container(
    writer: Writer, pod: dict[str, Any], container: dict[str, Any], status: dict[str, Any], indent: str = ""
) -> None:
    """`indent`: in a template kubectl moves the name by a blank, and nothing else."""
    writer.line(1, f"{indent}{container['name']}:")
    _identity(writer, container, status)
    _command(writer, container)
    if status:
        _state(writer, "State", status.get("state") or {})
        if (status.get("lastState") or {}).get("terminated"):
            _state(writer, "Last State", status["lastState"])
        writer.line(2, f"Ready:\t{yes(status.get('ready'))}")
        writer.line(2, f"Restart Count:\t{status.get('restartCount', 0)}")
    describe_resources(writer, 2, container.get("resources") or {})
    for title, field in PROBES:
        if container.get(field):
            writer.line(2, f"{title}:\t{probe_text(container[field])}")
    _environment_from(writer, container)
    _environment(writer, pod, container)
    _mounts(writer, container)


def describe_resources(writer: Writer, level: int, resources: dict[str, Any]) -> None:
    for title, field in (("Limits", "limits"), ("Requests", "requests")):
        if resources.get(field):
            writer.line(level, f"{title}:")
            for name, quantity in sorted(resources[field].items()):
                writer.line(level + 1, f"{name}:\t{quantity}")


def probe_text(probe: dict[str, Any]) -> str:
    """`http-get http://:8080/healthz delay=0s timeout=1s period=10s #success=1 #failure=3`."""
    attributes = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 1)}s "
        f"period={probe.get('periodSeconds', 10)}s #success={probe.get('successThreshold', 1)} "
        f"#failure={probe.get('failureThreshold', 3)}"
    )
    if action := probe.get("exec"):
        return f"exec [{' '.join(action.get('command') or ())}] {attributes}"
    if action := probe.get("httpGet"):
        scheme = (action.get("scheme") or "HTTP").lower()
        path = action.get("path") or ""
        path = path if not path or path.startswith("/") else f"/{path}"
        return f"http-get {scheme}://{action.get('host') or ''}:{action.get('port')}{path} {attributes}"
    if action := probe.get("tcpSocket"):
        return f"tcp-socket {action.get('host') or ''}:{action.get('port')} {attributes}"
    if action := probe.get("grpc"):
        return f"grpc <pod>:{action.get('port')} {action.get('service') or ''} {attributes}"
    return f"unknown {attributes}"


def _identity(writer: Writer, container: dict[str, Any], status: dict[str, Any]) -> None:
    if status:
        writer.line(2, f"Container ID:\t{status.get('containerID', '')}")
    writer.line(2, f"Image:\t{container.get('image', '')}")
    if status:
        writer.line(2, f"Image ID:\t{status.get('imageID', '')}")
    ports = [_port(port) for port in container.get("ports") or ()]
    host = [
        f"{port.get('hostPort', 0)}/{port.get('protocol', 'TCP')}" for port in container.get("ports") or ()
    ]
    plural = "s" if len(ports) > 1 else ""
    writer.line(2, f"Port{plural}:\t{', '.join(ports) or '<none>'}")
    writer.line(2, f"Host Port{plural}:\t{', '.join(host) or '<none>'}")


def _port(port: dict[str, Any]) -> str:
    name = f" ({port['name']})" if port.get("name") else ""
    return f"{port.get('containerPort')}/{port.get('protocol', 'TCP')}{name}"


def _command(writer: Writer, container: dict[str, Any]) -> None:
    for title, field in (("Command", "command"), ("Args", "args")):
        if container.get(field):
            writer.line(2, f"{title}:")
            for word in container[field]:
                writer.line(3, word.replace("\t", "        "))


def _state(writer: Writer, title: str, state: dict[str, Any]) -> None:
    if (running := state.get("running")) is not None:
        writer.line(2, f"{title}:\tRunning")
        writer.line(3, f"Started:\t{stamp(running.get('startedAt'))}")
    elif ended := state.get("terminated"):
        writer.line(2, f"{title}:\tTerminated")
        if ended.get("reason"):
            writer.line(3, f"Reason:\t{ended['reason']}")
        if ended.get("message"):
            _text(writer, 3, "Message", ended["message"])
        writer.line(3, f"Exit Code:\t{ended.get('exitCode', 0)}")
        if ended.get("signal"):
            writer.line(3, f"Signal:\t{ended['signal']}")
        writer.line(3, f"Started:\t{stamp(ended.get('startedAt'))}")
        writer.line(3, f"Finished:\t{stamp(ended.get('finishedAt'))}")
    else:
        waiting = state.get("waiting") or {}
        writer.line(2, f"{title}:\tWaiting")
        if waiting.get("reason"):
            writer.line(3, f"Reason:\t{waiting['reason']}")


def _text(writer: Writer, level: int, title: str, text: str) -> None:
    """A text of several lines stays in its column."""
    first, *rest = text.rstrip("\n").split("\n")
    writer.line(level, f"{title}:\t{first}")
    for line in rest:
        writer.line(level, f"\t{line}")


def _environment_from(writer: Writer, container: dict[str, Any]) -> None:
    if not container.get("envFrom"):
        return
    writer.line(2, "Environment Variables from:")
    for source in container["envFrom"]:
        kind, field = ("ConfigMap", "configMapRef") if source.get("configMapRef") else ("Secret", "secretRef")
        reference = source.get(field) or {}
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        optional = str(bool(reference.get("optional"))).lower()
        writer.line(3, f"{reference.get('name')}\t{kind}{prefix}\tOptional: {optional}")


def _environment(writer: Writer, pod: dict[str, Any], container: dict[str, Any]) -> None:
    variables = container.get("env") or []
    writer.line(2, "Environment:" if variables else "Environment:\t<none>")
    for variable in variables:
        name, source = variable["name"], variable.get("valueFrom")
        if source:
            writer.line(3, f"{name}:\t{_from(pod, source)}")
            continue
        first, *rest = str(variable.get("value") or "").split("\n")
        writer.line(3, f"{name}:\t{first}")
        for line in rest:
            writer.line(3, f"\t{line}")


def _from(pod: dict[str, Any], source: dict[str, Any]) -> str:
    if reference := source.get("fieldRef"):
        path = reference.get("fieldPath", "")
        part, field = FIELD_VALUES.get(path, ("", ""))
        value = (pod.get(part) or {}).get(field, "") if part else ""
        return f"{value} ({reference.get('apiVersion', 'v1')}:{path})"
    if reference := source.get("resourceFieldRef"):
        return f" ({reference.get('resource')})"
    if reference := source.get("secretKeyRef"):
        optional = str(bool(reference.get("optional"))).lower()
        key, name = reference.get("key"), reference.get("name")
        return f"<set to the key '{key}' in secret '{name}'>\tOptional: {optional}"
    if reference := source.get("configMapKeyRef"):
        optional = str(bool(reference.get("optional"))).lower()
        key, name = reference.get("key"), reference.get("name")
        return f"<set to the key '{key}' of config map '{name}'>\tOptional: {optional}"
    return "<unknown>"


def _mounts(writer: Writer, container: dict[str, Any]) -> None:
    mounts = sorted(container.get("volumeMounts") or [], key=lambda mount: str(mount.get("mountPath")))
    writer.line(2, "Mounts:" if mounts else "Mounts:\t<none>")
    for mount in mounts:
        flags = "ro" if mount.get("readOnly") else "rw"
        if mount.get("subPath"):
            flags += f',path="{mount["subPath"]}"'
        writer.line(3, f"{mount.get('mountPath')} from {mount.get('name')} ({flags})")
