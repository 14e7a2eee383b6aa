"""What clients ask before anything else: version, health, discovery, OpenAPI."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Callable

from aiohttp import web

from minikubelet import __version__
from minikubelet.api import discovery, openapi, respond
from minikubelet.api.request import Call
from minikubelet.errors import NotFound

log = logging.getLogger(__name__)

# kubectl's dispatcher picks a client by this version; the suffix says who really answers.
KUBERNETES_MINOR = 32
GIT_VERSION = f"v1.{KUBERNETES_MINOR}.0+minikubelet.{__version__}"

# With "@" in it, as in the type kubectl asks for, kubectl cannot parse the header.
OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


async def version(call: Call) -> web.Response:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return respond.json_response(
        {
            "major": "1",
            "minor": str(KUBERNETES_MINOR),
            "gitVersion": GIT_VERSION,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": f"python{sys.version_info.major}.{sys.version_info.minor}",
            "compiler": platform.python_implementation(),
            "platform": f"linux/{machine}",
        }
    )


# What `/livez` and its like look at; a check that raises has failed.
CHECKS: dict[str, Callable[[Call], object]] = {
    "ping": lambda call: None,
    "store": lambda call: call.backend.store.list("namespaces"),
}


async def healthy(call: Call) -> web.Response:
    """`ok`; with `verbose`, or when something fails (500), a line per check. `exclude` leaves some out."""
    part, excluded = call.params.get("part", ""), call.http.query.getall("exclude", [])
    if part and part not in CHECKS:
        raise NotFound("the server could not find the requested resource")
    wanted = [part] if part else [name for name in CHECKS if name not in excluded]
    failed = {name for name in wanted if not _passes(name, call)}
    if not failed and "verbose" not in call.http.query:
        return respond.text_response("ok")
    lines = [f"[-]{name} failed: reason withheld" if name in failed else f"[+]{name} ok" for name in wanted]
    verdict = f"{call.params['check']} check {'failed' if failed else 'passed'}"
    return respond.text_response("\n".join([*lines, verdict, ""]), code=500 if failed else 200)


def _passes(name: str, call: Call) -> bool:
    try:
        CHECKS[name](call)
    except Exception:  # whatever it is: that something is wrong is the answer
        log.exception("the health check %s failed", name)
        return False
    return True


async def probe_metrics(call: Call) -> web.Response:
    """`/metrics/probes`, as the kubelet has it (kubelet-behaviour 3.9)."""
    return respond.text_response(call.backend.probe_metrics())


async def core_group(call: Call) -> web.Response:
    """`/api`"""
    version = discovery.wanted_aggregate(call.http.headers.get("Accept", ""))
    if version is None:
        return respond.json_response(discovery.api_versions(call.http.host))
    return _aggregated(version, core=True)


async def named_groups(call: Call) -> web.Response:
    """`/apis`"""
    version = discovery.wanted_aggregate(call.http.headers.get("Accept", ""))
    if version is None:
        return respond.json_response(discovery.api_group_list())
    return _aggregated(version, core=False)


def _aggregated(version: str, *, core: bool) -> web.Response:
    return respond.json_response(
        discovery.aggregated(version, core=core),
        content_type=discovery.AGGREGATED.format(version=version),
    )


async def one_group(call: Call) -> web.Response:
    """`/apis/GROUP`"""
    group = discovery.api_group(call.params["group"])
    if group is None:
        raise NotFound("the server could not find the requested resource")
    return respond.json_response(group)


async def group_version(call: Call) -> web.Response:
    """`/api/v1`, `/apis/GROUP/VERSION`"""
    listed = discovery.api_resource_list(call.params["group_version"])
    if listed is None:
        raise NotFound("the server could not find the requested resource")
    return respond.json_response(listed)


async def openapi_v2(call: Call) -> web.Response:
    """Empty: enough for kubectl to leave validation to the server."""
    return web.Response(body=b"", headers=respond.headers(content_type=OPENAPI_V2))


async def openapi_v3_index(call: Call) -> web.Response:
    return respond.json_response(openapi.index())


async def openapi_v3(call: Call) -> web.Response:
    """The schemas of one group version. Its hash is in the URL, so it may be kept."""
    group_version = call.params["group_version"]
    document = openapi.document(group_version)
    if document is None:
        raise NotFound("the server could not find the requested resource")
    headers = respond.headers()
    headers["Etag"] = f'"{openapi.etag(group_version)}"'
    headers["Cache-Control"] = "public, max-age=31536000"
    if headers["Etag"] in call.http.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=document, headers=headers)
