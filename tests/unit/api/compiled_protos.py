"""Kubernetes' own .proto files, from where they are compiled in: every kubectl carries them, gzipped."""

from __future__ import annotations

import re
import zlib
from functools import cache
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

GZIP = re.compile(rb"\x1f\x8b\x08\x00\x00\x00\x00\x00")
LARGEST = 200_000  # bytes of a compressed file
API, MACHINERY = "k8s.io.api", "k8s.io.apimachinery.pkg"


@cache
def files(kubectl: str) -> list[descriptor_pb2.FileDescriptorProto]:
    """The files of Kubernetes in a kubectl, those first that others need."""
    data, found = Path(kubectl).read_bytes(), {}
    for match in GZIP.finditer(data):
        try:
            unzipped = zlib.decompressobj(31).decompress(data[match.start() : match.start() + LARGEST])
            file = descriptor_pb2.FileDescriptorProto.FromString(unzipped)
        except Exception:  # what only looks like one
            continue
        if file.package.startswith(API):
            # Old ones were compiled from a vendor folder, and yet name what they need by its own place.
            file.name = file.name[file.name.rfind("k8s.io/") :]
            found[file.name] = file
    ordered: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(name: str) -> None:
        if name in found and name not in ordered:
            for needed in found[name].dependency:
                add(needed)
            ordered[name] = found[name]

    for name in found:
        add(name)
    return list(ordered.values())


@cache
def pool(kubectl: str) -> descriptor_pool.DescriptorPool:
    made = descriptor_pool.DescriptorPool()
    for file in files(kubectl):
        known = {other.name for other in files(kubectl)}
        kept = [needed for needed in file.dependency if needed in known]
        del file.dependency[:]
        file.dependency.extend(kept)
        made.Add(file)
    return made


def descriptor(kubectl: str, name: str):
    """A message by its name in our table; KeyError if this kubectl does not know it."""
    group, _, short = name.rpartition(".")
    groups = [group] if group else ["core", "apps", "batch", "policy", "coordination", "discovery", "events",
                                    "scheduling", "autoscaling", "rbac", "authorization", "authentication"]  # fmt: skip  # noqa: E501
    for full in [*(f"{API}.{one}.v1.{short}" for one in groups), f"{MACHINERY}.apis.meta.v1.{short}"]:
        if full.endswith("core.v1.Preconditions"):  # an older one of the same name
            continue
        try:
            return pool(kubectl).FindMessageTypeByName(full)
        except KeyError:
            continue
    raise KeyError(name)


def new(descriptor):
    return message_factory.GetMessageClass(descriptor)()
