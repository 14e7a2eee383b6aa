"""Where the node keeps its state, and what it was told at start.

`--root DIR` moves everything below DIR, so that two agents can live side by side (DESIGN section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SERVICE_CIDR = "10.96.0.0/16"


@dataclass(frozen=True, slots=True)
class Paths:
    """Every directory the agent owns. All are created with mode 0700 unless noted."""

    run: Path  # sockets, shim state; on tmpfs, so a reboot empties it
    lib: Path  # store, images, container layers, pod directories
    log_pods: Path  # 0755, the kubelet's layout
    log_containers: Path  # 0755, symlinks into log_pods
    etc: Path  # PKI, kubeconfig, configuration

    @classmethod
    def under(cls, root: Path | None) -> Paths:
        if root is None:
            return cls(
                run=Path("/run/minikubelet"),
                lib=Path("/var/lib/minikubelet"),
                log_pods=Path("/var/log/pods"),
                log_containers=Path("/var/log/containers"),
                etc=Path("/etc/minikubelet"),
            )
        root = root.absolute()
        return cls(root / "run", root / "lib", root / "log/pods", root / "log/containers", root / "etc")

    @property
    def audit_log(self) -> Path:
        """Who wrote what through the API."""
        return self.log_pods.parent / "minikubelet" / "audit.log"

    @property
    def account_key(self) -> Path:
        """Signs the tokens of ServiceAccounts."""
        return self.etc / "pki" / "sa.key"

    @property
    def socket(self) -> Path:
        """The API for root on this machine."""
        return self.run / "minikubelet.sock"

    @property
    def kubeconfig(self) -> Path:
        return self.etc / "kubeconfig"

    @property
    def store(self) -> Path:
        return self.lib / "store.db"

    @property
    def seccomp(self) -> Path:
        """Localhost profiles, put there by whoever runs the node."""
        return self.lib / "seccomp"

    @property
    def images(self) -> Path:
        return self.lib / "images"

    @property
    def claims(self) -> Path:
        """The data of PersistentVolumeClaims, by namespace and uid."""
        return self.lib / "claims"

    def pod(self, uid: str) -> Path:
        """The kubelet's pod directory: volumes, etc-hosts, termination logs."""
        return self.lib / "pods" / uid

    def sandbox(self, uid: str) -> Path:
        """The shim's directory: socket, lock, state.json."""
        return self.run / "pods" / uid

    def container(self, container_id: str) -> Path:
        """Overlay upper and work directory of one container instance."""
        return self.lib / "containers" / container_id


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What `minikubelet agent` was told on its command line."""

    root: Path | None = None
    bridge: str = "mk0"
    pod_cidr: str = "10.244.0.0/24"
    service_cidr: str = SERVICE_CIDR  # where Services get their addresses from
    listen: str = "127.0.0.1:6443"  # HOST:PORT; port 0 takes a free one
    node_name: str | None = None  # None: the host name in lower case
    manifests: Path | None = None  # static pods
    config: Path | None = None  # a KubeletConfiguration
    kube_reserved: str | None = None  # cpu=100m,memory=200Mi
    system_reserved: str | None = None
    node_labels: str | None = None  # disk=ssd,zone=a
    remove_on_exit: bool = False  # take bridge and nftables table away at the end (`play`)

    @property
    def paths(self) -> Paths:
        return Paths.under(self.root)
