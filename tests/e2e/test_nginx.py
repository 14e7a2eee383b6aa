"""The first pod of every course, as it is written there: `image: nginx:1.21`, from a mirror of Docker's."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.registries import RealRegistry, image_layout
from tests.kernel.test_images import entry, folder, tar

from .conftest import Agent, until

NGINX = Path(__file__).parents[2] / "build/nginx"  # unpacked by ./dev
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  name: nginx-pod
  labels:
    app: nginx
    tier: frontend
spec:
  containers:
    - name: nginx
      image: nginx:1.21
      ports:
        - containerPort: 80
      readinessProbe:
        httpGet:
          path: /
          port: 80
        periodSeconds: 1
"""
CONFIGURATION = b"""\
user nobody nogroup;
pid /run/nginx.pid;
error_log stderr;
events {}
http { access_log off; server { listen 80; root /www; } }
"""
TEMPORARY = ("body", "proxy", "fastcgi", "uwsgi", "scgi")


def layer() -> bytes:
    """The program, the libraries it asks for, and a page."""
    program = NGINX / "usr/sbin/nginx"
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = sorted(set(re.findall(r"(/\S+)", told)))
    return tar(
        [
            *(folder(name) for name in ("run", "www", "var/log/nginx")),
            *(folder(f"var/lib/nginx/{name}", mode=0o777) for name in TEMPORARY),
            (entry("usr/sbin/nginx", mode=0o755), program.read_bytes()),
            *((entry(path[1:], mode=0o755), Path(path).read_bytes()) for path in libraries),
            (entry("etc/nginx.conf"), CONFIGURATION),
            (entry("etc/passwd"), b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
            (entry("etc/group"), b"root:x:0:\nnogroup:x:65534:\n"),
            (entry("www/index.html", mode=0o644), b"<h1>Welcome to nginx!</h1>\n"),
        ]
    )  # fmt: skip


@pytest.fixture
def mirror(agent: Agent, tmp_path: Path) -> Iterator[RealRegistry]:
    """It is asked instead of Docker's registry, which nobody can reach from here."""
    with RealRegistry(tmp_path / "registry") as registry:
        command = ["/usr/sbin/nginx", "-c", "/etc/nginx.conf", "-g", "daemon off;"]
        image = image_layout(tmp_path / "image", [layer()], Cmd=command, ExposedPorts={"80/tcp": {}})
        registry.push(image, "library/nginx:1.21")
        folder = agent.root / "etc/certs.d/docker.io"
        folder.mkdir(parents=True)
        (folder / "hosts.toml").write_text(f'[host."http://{registry.domain}"]\n')
        yield registry


def test_the_nginx_pod_serves_its_page_on_the_pods_address(agent: Agent, mirror: RealRegistry) -> None:
    agent.apply(MANIFEST)
    until(lambda: agent.container("nginx-pod", "nginx").get("ready"), limit=60, what="it is ready")
    pod = agent.pod("nginx-pod")
    assert agent.container("nginx-pod", "nginx")["image"] == "docker.io/library/nginx:1.21"
    assert re.fullmatch(
        r"docker\.io/library/nginx@sha256:[0-9a-f]{64}",
        agent.container("nginx-pod", "nginx")["imageID"],
    )
    page = subprocess.run(
        ["curl", "-sS", f"http://{pod['status']['podIP']}/"], capture_output=True, text=True, check=True
    )
    assert page.stdout == "<h1>Welcome to nginx!</h1>\n"
    labels = agent.run("get", "pods", "-l", "app=nginx", "--show-labels", "--no-headers").split()[-1]
    assert labels == "app=nginx,tier=frontend"
    agent.run("delete", "pod", "nginx-pod")
