"""The agent as a process: what is there, in the order it is started, and how it ends.

The only module that knows all the others. Nothing is decided here; `_serve` is the inventory. On SIGTERM or
SIGINT the agent lets go of everything and leaves the pods running: their shims look after them until the next
agent comes.
"""

from __future__ import annotations

import asyncio
import faulthandler
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TextIO

import msgspec

from minikubelet import vital_tasks
from minikubelet.agent.cluster_names import ClusterNames
from minikubelet.agent.config_objects import ConfigObjects
from minikubelet.agent.eviction.thresholds import eviction_settings
from minikubelet.agent.node import Node
from minikubelet.agent.node_settings import NodeSettings, node_settings
from minikubelet.agent.node_status import allocatable, boot_id, default_node_name, read_facts
from minikubelet.agent.service_account_tokens import ServiceAccountTokens
from minikubelet.agent.service_links import ServiceLinks
from minikubelet.agent.service_proxy import ServiceProxy
from minikubelet.config import AgentOptions, Paths
from minikubelet.errors import NodeNotFit
from minikubelet.kubelet_config import KubeletConfiguration, read_configuration
from minikubelet.linux import cgroup, processes, syscalls
from minikubelet.runtime import doctor, hostfiles
from minikubelet.runtime.cgroups import Cgroups
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.network import Network
from minikubelet.runtime.network.services import ServiceNetwork, service_network
from minikubelet.runtime.preparation import NodeView, Preparation
from minikubelet.runtime.resolver import Forwarder, Resolver
from minikubelet.runtime.service import Service
from minikubelet.runtime.shim_client import ZygoteClient
from minikubelet.store.store import Store
from minikubelet.v1 import wire
from minikubelet.v1.resources import RESOURCES

logger = logging.getLogger(__name__)

OOM_SCORE_ADJ = -999  # the kubelet's own (14.3); shims have -998, containers what their class gives them
SHIMS = "minikubelet"  # cgroup of the zygote and all shims


def run(options: AgentOptions) -> int:
    """Until a signal. Raises NodeNotFit before anything was changed."""
    if sys.stderr is not None:  # closed by who started us
        faulthandler.enable()  # an extension that crashes says where
    logging.basicConfig(level=logging.INFO, format="%(levelname).1s %(name)s: %(message)s", stream=sys.stderr)
    os.umask(0o077)
    processes.set_oom_score(OOM_SCORE_ADJ)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)  # our memory holds Secrets: no core dump writes it to a disk
    paths = Paths.under(options.root)
    configuration = read_configuration(options.config)
    # What cannot be read is said before anything is changed.
    eviction_settings(configuration)
    settings = node_settings(configuration, options, os.cpu_count() or 1)
    lacking = [check for check in doctor.checks(paths.lib) if check.required and not check.ok]
    if lacking:
        raise NodeNotFit("; ".join(f"{check.name}: {check.detail}; {check.remedy}" for check in lacking))
    make_directories(paths)
    wire.learn(resource.type for resource in RESOURCES)
    with lock(paths):
        try:
            return asyncio.run(_serve(options, paths, configuration, settings))
        except BrokenPipeError:  # to a command line it is the end of `| head`, and no word is said
            logger.exception("the agent failed")
            return 1


async def _serve(
    options: AgentOptions, paths: Paths, configuration: KubeletConfiguration, settings: NodeSettings
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async with AsyncExitStack() as stack:
        # 1. The zygote first: it is forked from a small process.
        mount = cgroup.find_mount()
        cgroups = Cgroups(Path(mount), frozenset(cgroup.controllers(mount)))
        stack.push_async_callback(cgroups.stop, SHIMS)
        zygote = ZygoteClient(f"{mount}/{SHIMS}")
        zygote.start()
        stack.push_async_callback(zygote.close)

        # 2. What the node is and has.
        network = Network(options.bridge, options.pod_cidr, paths.run / "network")
        service_cidr = service_network(options.service_cidr, network.cidr)
        await network.start()
        for warning in network.warnings:
            logger.warning("%s", warning)
        stack.push_async_callback(network.stop, remove=options.remove_on_exit)
        facts = read_facts(
            options.node_name or default_node_name(),
            node_address() or str(network.gateway),
            paths.lib,
            cgroups.controllers,
            settings.max_pods,
            eviction_settings(configuration).thresholds,
        )
        facts = replace(facts, reserved=settings.reserved, labels=settings.labels, taints=settings.taints)

        # 3. What it remembers.
        store = Store(paths.store)
        stack.callback(store.close)
        images = ImageStore(paths)
        await images.start()
        services = ServiceNetwork(network, service_cidr)
        stack.push_async_callback(services.stop, remove=options.remove_on_exit)
        configuration = await start_resolver(stack, network, service_cidr, store, configuration)

        # 4. Who works: the runtime, the node, the API.
        view = NodeView(facts.name, facts.address, facts.memory, allocatable(facts))
        objects = ConfigObjects(store)
        tokens = ServiceAccountTokens(store, paths.account_key)
        preparation = Preparation(
            paths, images, network, objects.find, configuration, cgroups, view, tokens.for_pod
        )
        service = Service(paths, cgroups, zygote, preparation)
        stack.push_async_callback(service.close)
        if options.remove_on_exit:
            stack.push_async_callback(service.remove_all)
        node = Node(
            paths,
            facts,
            options.pod_cidr,
            store,
            service,
            cgroups,
            images,
            configuration,
            objects,
            options.manifests,
        )
        preparation.warn = node.warn
        preparation.service_variables = ServiceLinks(store).variables
        stack.push_async_callback(node.stop)
        await node.start()

        from minikubelet.api import PodsDoor, serve  # aiohttp: nothing above waits for its import
        from minikubelet.controllers import Controllers

        server = await serve(
            node,
            paths,
            options.listen,
            options.service_cidr,
            tokens=tokens,
            pods=PodsDoor(str(network.gateway), configuration.clusterDomain),
        )
        stack.push_async_callback(server.close)
        controllers = Controllers(server.objects, server.root_ca, server.for_pods)
        controllers.start()
        stack.push_async_callback(controllers.stop)
        proxy = ServiceProxy(store, services)
        proxy.start()
        stack.push_async_callback(proxy.stop)

        gc.collect()
        gc.freeze()  # what is there now stays: no need to look at it again and again
        print(ready_line(paths, server.https), flush=True)
        notify("READY=1")
        await stop.wait()
        notify("STOPPING=1")
    return 1 if vital_tasks.failed else 0


async def start_resolver(
    stack: AsyncExitStack,
    network: Network,
    service_cidr: IPv4Network,
    store: Store,
    configuration: KubeletConfiguration,
) -> KubeletConfiguration:
    """Where no clusterDNS is configured the agent itself is it; the configuration as it is then.

    When somebody has the port, pods get the node's own resolv.conf, as with a kubelet without clusterDNS.
    """
    if configuration.cluster_dns:
        return configuration
    own, file = str(network.gateway), Path(configuration.resolvConf)

    def servers() -> list[str]:
        """The node's, as they are now; never ourselves."""
        return [
            each
            for each in hostfiles.parse_resolv_conf(hostfiles.node_resolv_conf(file)).servers
            if each != own
        ]

    names = ClusterNames(store, configuration.clusterDomain, (network.cidr, service_cidr))
    resolver = Resolver(names, network.cidr, Forwarder(servers))
    try:
        await resolver.start(network.gateway)
    except OSError as error:
        logger.warning("no names for pods, they get the node's own resolv.conf: %s", error)
        return configuration
    stack.push_async_callback(resolver.close)
    return msgspec.structs.replace(configuration, cluster_dns=[own])


def ready_line(paths: Paths, https: str) -> str:
    return f"ready: unix={paths.socket} https={https or '-'} kubeconfig={paths.kubeconfig if https else '-'}"


def make_directories(paths: Paths) -> None:
    """0700 for everything but the logs, which others may collect."""
    for path in (paths.run, paths.lib, paths.etc):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    for path in (paths.run / "pods", paths.lib / "pods", paths.lib / "containers", paths.images):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (paths.log_pods, paths.log_containers):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)


def lock(paths: Paths) -> TextIO:
    """One agent for one root. The lock goes with the process, whatever ends it."""
    path = paths.lib / "agent.lock"
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().split()[0:1]
        file.close()
        raise NodeNotFit(
            f"cannot start: an agent already runs on {paths.lib} (process {''.join(holder) or 'unknown'}); "
            "stop it first, or choose another --root"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()} {boot_id()}\n")
    file.flush()
    return file


def notify(state: str) -> None:
    """sd_notify(3): one datagram to NOTIFY_SOCKET, if systemd waits for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
        connection.sendall(state.encode())


def node_address() -> str | None:
    """The address from which this node would leave; nothing is sent (udp(7): connect only looks)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None  # no default route
        return str(probe.getsockname()[0])
