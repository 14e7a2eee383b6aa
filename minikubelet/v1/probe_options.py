"""What annotations ask of probes beyond core/v1; all of it is off by default.

For experiments that the kubelet's whole seconds are too coarse for. The name of the container is the key's
name, so that every container can be meant:

    period-seconds.KIND.probes.minikubelet.io/CONTAINER: "0.25"     KIND: startup, readiness, liveness
    timeout-seconds.KIND.probes.minikubelet.io/CONTAINER: "0.1"
    probes.minikubelet.io/start-jitter-seed: "7"        the random wait of a young agent (3.2), repeatable
    probes.minikubelet.io/pressure-in-events: "true"    throttling and PSI of the container in the Event of
                                                        a check that did not succeed

A mistake is an error of the API (`v1.validation`); the prober, should it meet one all the same, tells it in
an Event and does as if the annotation were not there. A probe worker takes what holds when it is made:
changing an annotation of a running pod changes nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from minikubelet.v1.container import Container
from minikubelet.v1.pod import Pod

DOMAIN = "probes.minikubelet.io"
SEED = f"{DOMAIN}/start-jitter-seed"
PRESSURE = f"{DOMAIN}/pressure-in-events"
KINDS = ("startup", "readiness", "liveness")
SHORTEST, LONGEST = 0.01, 3600.0  # seconds

_SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,6})?")
_SEED = re.compile(r"-?[0-9]{1,18}")
_TIMING = re.compile(rf"(period|timeout)-seconds\.({'|'.join(KINDS)})\.{re.escape(DOMAIN)}/(.+)")


@dataclass(frozen=True, slots=True)
class Mistake:
    """An annotation that cannot be followed."""

    key: str
    value: str
    detail: str


@dataclass(slots=True)
class ProbeOptions:
    """`seconds`: (period or timeout, kind, container) → seconds."""

    seconds: dict[tuple[str, str, str], float] = field(default_factory=dict)
    seed: int | None = None
    pressure: bool = False
    mistakes: list[Mistake] = field(default_factory=list)

    @classmethod
    def of(cls, pod: Pod) -> ProbeOptions:
        """What the pod's annotations ask for, and what is wrong with them."""
        options = cls()
        annotations = (pod.metadata and pod.metadata.annotations) or {}
        probed = dict(_probed(pod)) if any(map(_is_ours, annotations)) else {}
        for key, value in annotations.items():
            if _is_ours(key) and (detail := options._take(key, value, probed)):
                options.mistakes.append(Mistake(key, value, detail))
        return options

    def _take(self, key: str, value: str, probed: Mapping[str, set[str]]) -> str:
        """Follow one annotation; what is wrong with it, if anything."""
        if key == SEED:
            if not _SEED.fullmatch(value):
                return "must be a whole number"
            self.seed = int(value)
        elif key == PRESSURE:
            if value not in ("true", "false"):
                return "must be true or false"
            self.pressure = value == "true"
        elif found := _TIMING.fullmatch(key):
            what, kind, container = found.groups()
            if kind not in probed.get(container, ()):
                return f"container {container} has no {kind} probe"
            if not _SECONDS.fullmatch(value) or not SHORTEST <= float(value) <= LONGEST:
                return f"must be seconds between {SHORTEST:g} and {LONGEST:g}"
            self.seconds[what, kind, container] = float(value)
        else:
            return "no such option of probes"
        return ""


def _is_ours(key: str) -> bool:
    prefix = key.partition("/")[0]
    return prefix == DOMAIN or prefix.endswith(f".{DOMAIN}")


def _probed(pod: Pod) -> Iterator[tuple[str, set[str]]]:
    """The containers with the kinds of probes they have."""
    spec = pod.spec
    for container in (*((spec and spec.init_containers) or ()), *((spec and spec.containers) or ())):
        yield container.name or "", {kind for kind, probe in _probes(container) if probe is not None}


def _probes(container: Container) -> zip[tuple[str, object]]:
    probes = (container.startup_probe, container.readiness_probe, container.liveness_probe)
    return zip(KINDS, probes, strict=True)
