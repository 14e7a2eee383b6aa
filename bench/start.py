"""How fast a pod starts, beside crun and podman in the same run.

    ./dev bench start [--json] [-n 20]

`minikubelet pod`        from the moment the API stored the pod to the moment its process had exec'd; both
are the agent's own                          stamps (the store's log, the shim's state file)
`minikubelet container`  one more container in a pod that runs: from the exec of the first to the exec of the
second `crun run`               from the call to the first thing the process does: it writes into a FIFO
`podman run`             the same, with podman's network
`podman kube play`       the same, from a manifest of one container

What lives in /run on a real system lies on a tmpfs here too: minikubelet's run directory, crun's state.

`cpu_ms` is the CPU time of everything a start needs, waited-for children included. Rows of a tool that
cannot run on this kernel are missing from --json, and the table says why.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BUSYBOX = "/bin/busybox"
IMAGE = "localhost/mk-bench:1"


@dataclass
class Row:
    name: str
    n: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def row(name: str, seconds: list[float], cpu: float) -> Row:
    ordered = sorted(s * 1000 for s in seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return Row(
        name,
        len(ordered),
        round(statistics.median(ordered), 2),
        round(p99, 2),
        round(cpu * 1000 / len(ordered), 2),
    )


# minikubelet


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Agent:
    """A private agent on a root of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        command = [sys.executable, "-m", "minikubelet", "--root", str(root), "agent", "--bridge", "mkbench"]
        self.log = (root / "agent.log").open("w")
        self.process = subprocess.Popen(
            [*command, "--pod-cidr", "10.244.88.0/24", "--remove-on-exit"],
            stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        if not self.process.stdout.readline().startswith("ready"):
            raise SystemExit(f"bench: the agent did not start:\n{(root / 'agent.log').read_text()}")

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = UnixConnection(str(self.root / "run/minikubelet.sock"))
        connection.request(
            method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"}
        )
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return dict(answer)

    def cpu(self) -> float:
        """Of the agent and the zygote; a shim's share ends up in its containers' start as well."""
        every = [self.process.pid]
        for pid in every:
            every += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return sum(cpu_seconds(pid) for pid in every)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


STAY = f"trap 'exit 0' TERM; {BUSYBOX} sleep 1000 & wait"
PODS = "/api/v1/namespaces/default/pods"
QUIET = 0.25  # seconds before each start: how the kernel clears away the last pod is another question


def pod(name: str, containers: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [
                {"name": f"c{i}", "image": "localhost/host", "command": [BUSYBOX, "sh", "-c", STAY]}
                for i in range(containers)
            ],
        },
    }


def wait_until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit("bench: waited for a minute")
        time.sleep(0.02)


@contextmanager
def node_directory() -> Iterator[Path]:
    """A root for an agent, on disk, and `run` in it on a tmpfs, as /run is wherever systemd is."""
    root = Path(tempfile.mkdtemp(prefix="mk-bench-", dir="/run"))
    (root / "run").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "mk-bench", root / "run"], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", root / "run"], check=True)
        shutil.rmtree(root, ignore_errors=True)


def show(results: Mapping[str, float], *, as_json: bool) -> None:
    """One number a line, or all of them as one JSON object."""
    if as_json:
        print(json.dumps({name: round(value, 3) for name, value in results.items()}))
    else:
        for name, value in results.items():
            print(f"{name:36}{value:10.2f}")


def measure_minikubelet(n: int) -> list[Row]:
    with node_directory() as root:
        return measure_agent(root, n)


def measure_agent(root: Path, n: int) -> list[Row]:
    agent = Agent(root)
    try:
        for warm in range(2):
            run_pod(agent, f"warm-{warm}", 1)
        before = agent.cpu()
        starts = [run_pod(agent, f"pod-{i}", 1) for i in range(n)]
        pods = row("minikubelet pod", [first - accepted for accepted, first in starts], agent.cpu() - before)
        before = agent.cpu()
        pairs = [run_pod(agent, f"pair-{i}", 2) for i in range(n)]
        cpu = max(0.0, agent.cpu() - before - pods.cpu_ms * n / 1000)
        containers = row("minikubelet container", [times[2] - times[1] for times in pairs], cpu)
        return [pods, containers]
    finally:
        agent.stop()


def run_pod(agent: Agent, name: str, containers: int) -> list[float]:
    """[accepted, exec of the first container, exec of the second…]; the pod is gone again afterwards."""
    time.sleep(QUIET)
    created = agent.call("POST", PODS, pod(name, containers))
    uid = created["metadata"]["uid"]
    wait_until(lambda: agent.call("GET", f"{PODS}/{name}")["status"].get("phase") == "Running")
    database = sqlite3.connect(agent.root / "lib/store.db")
    (accepted,) = database.execute(
        "SELECT min(at) FROM log WHERE resource = 'pods' AND name = ?", [name]
    ).fetchone()
    database.close()
    (state,) = (agent.root / "run/pods" / uid).glob("*/state.json")
    started = sorted(record["started_at"] for record in json.loads(state.read_text())["containers"])
    agent.call("DELETE", f"{PODS}/{name}")
    wait_until(lambda: agent.call("GET", f"{PODS}/{name}").get("reason") == "NotFound")
    return [accepted, *started]


# The peers


@contextmanager
def fifo() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="mk-bench-"))
    os.mkfifo(directory / "fifo")
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


# On a hybrid machine the peers find no cgroup2 controllers, and cgroup v1 is not ours to touch.
HYBRID = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
NO_CGROUPS = {
    "crun": ["--cgroup-manager=disabled"] if HYBRID else [],
    "podman": ["--cgroups=disabled"] if HYBRID else [],
}
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]  # raising limits needs CAP_SYS_RESOURCE
[engine]
cgroup_manager = "cgroupfs"
"""

TELL = [BUSYBOX, "sh", "-c", "echo x > /signal/fifo"]


def time_to_signal(directory: Path, command: list[str]) -> float:
    """Seconds from the call of the command to the first word of the process it starts."""
    heard: list[float] = []

    def listen() -> None:
        (directory / "fifo").read_bytes()
        heard.append(time.monotonic())

    listener = threading.Thread(target=listen)
    listener.start()
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        (directory / "fifo").write_text("x")
        listener.join()
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else f"exit {done.returncode}")
    listener.join()
    return heard[0] - begin


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_crun(n: int) -> Row:
    with fifo() as directory:
        bundle = directory / "bundle"
        (bundle / "rootfs/bin").mkdir(parents=True)
        (bundle / "rootfs/signal").mkdir()
        shutil.copy(BUSYBOX, bundle / "rootfs/bin/busybox")
        subprocess.run(["crun", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"] |= {"args": TELL, "terminal": False}
        config["mounts"].append(
            {"destination": "/signal", "source": str(directory), "type": "bind", "options": ["rbind"]}
        )
        (bundle / "config.json").write_text(json.dumps(config))
        state = str(directory / "state")
        os.mkdir(state)
        # Nobody else sees it: measure_peers_apart has made a mount namespace.
        subprocess.run(["mount", "-t", "tmpfs", "mk-bench", state], check=True)

        def once(number: int) -> float:
            command = [
                "crun",
                "--root",
                state,
                *NO_CGROUPS["crun"],
                "run",
                "--bundle",
                str(bundle),
                f"mk-bench-{number}",
            ]
            return time_to_signal(directory, command)

        try:
            return repeated("crun run", n, once)
        finally:
            subprocess.run(["umount", "--lazy", state], check=True)


def measure_podman_run(n: int) -> Row:
    with fifo() as directory:
        volume = f"{directory}:/signal"

        def once(number: int) -> float:
            command = ["podman", "run", "--rm", *NO_CGROUPS["podman"], "-v", volume, IMAGE, *TELL]
            return time_to_signal(directory, command)

        return repeated("podman run", n, once)


def measure_podman_kube_play(n: int) -> Row:
    with fifo() as directory:

        def once(number: int) -> float:
            name = f"mk-bench-{number}"
            manifest = pod(name, 1)
            (container,) = manifest["spec"]["containers"]
            container |= {"image": IMAGE, "command": TELL, "imagePullPolicy": "Never"}
            container["volumeMounts"] = [{"name": "signal", "mountPath": "/signal"}]
            manifest["spec"]["volumes"] = [{"name": "signal", "hostPath": {"path": str(directory)}}]
            manifest["spec"]["restartPolicy"] = "Never"
            file = directory / "pod.json"
            file.write_text(json.dumps(manifest))
            try:
                return time_to_signal(directory, ["podman", "kube", "play", str(file)])
            finally:
                subprocess.run(["podman", "pod", "rm", "-f", "-t", "0", name], capture_output=True)

        return repeated("podman kube play", n, once)


def repeated(name: str, n: int, once: Callable[[int], float]) -> Row:
    once(0)
    before = children_cpu()
    seconds = [once(number) for number in range(1, n + 1)]
    return row(name, seconds, children_cpu() - before)


def make_podman_image() -> None:
    """One busybox in a tar."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "bin").mkdir()
        (Path(directory) / "signal").mkdir()
        shutil.copy(BUSYBOX, Path(directory) / "bin/busybox")
        subprocess.run(["tar", "-C", directory, "-cf", f"{directory}.tar", "."], check=True)
        subprocess.run(["podman", "import", f"{directory}.tar", IMAGE], check=True, capture_output=True)
        Path(f"{directory}.tar").unlink()


def measure_peers(n: int) -> tuple[list[Row], dict[str, str]]:
    """The rows of those that can run here, and why the others cannot."""
    rows: list[Row] = []
    missing: dict[str, str] = {}
    peers: list[tuple[str, Callable[[int], Row]]] = [
        ("crun run", measure_crun),
        ("podman run", measure_podman_run),
        ("podman kube play", measure_podman_kube_play),
    ]
    if shutil.which("podman"):
        make_podman_image()
    for name, measure in peers:
        if shutil.which(name.split()[0]) is None:
            missing[name] = "not installed"
            continue
        try:
            rows.append(measure(n if name == "crun run" else max(3, n // 4)))
        except RuntimeError as error:
            missing[name] = str(error)
    return rows, missing


def measure_peers_apart(n: int) -> tuple[list[Row], dict[str, str]]:
    """In a mount namespace without cgroup2 on a hybrid machine, where crun would refuse; else right here."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        settings.write(CONTAINERS_CONF)
        settings.flush()
        hide = 'umount -l /sys/fs/cgroup/unified; exec "$@"' if HYBRID else 'exec "$@"'
        done = subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", hide, "sh",
             sys.executable, __file__, "--peers", "-n", str(n)],
            env=os.environ | {"CONTAINERS_CONF": settings.name},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    answer = json.loads(done.stdout)
    return [Row(**one) for one in answer["rows"]], answer["missing"]


def main() -> None:
    parser = argparse.ArgumentParser(description="start-up times, beside crun and podman")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--peers", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-n", type=int, default=20, help="starts of each kind (default 20)")
    options = parser.parse_args()
    if options.peers:
        rows, missing = measure_peers(options.n)
        print(json.dumps({"rows": [asdict(one) for one in rows], "missing": missing}))
        return
    rows = measure_minikubelet(options.n)
    peers, missing = measure_peers_apart(options.n)
    rows += peers
    if options.json:
        print(json.dumps({"rows": [asdict(one) for one in rows]}))
    else:
        print_table(rows, missing)


def print_table(rows: list[Row], missing: dict[str, str]) -> None:
    base = {"minikubelet pod": rows[0].p50_ms, "minikubelet container": rows[1].p50_ms}
    print(f"{'':24}{'n':>5}{'p50 ms':>10}{'p99 ms':>10}{'CPU ms':>10}{'× pod':>9}{'× container':>13}")
    for one in rows:
        ratios = [one.p50_ms / value for value in base.values()]
        print(
            f"{one.name:24}{one.n:5}{one.p50_ms:10.2f}{one.p99_ms:10.2f}{one.cpu_ms:10.2f}"
            f"{ratios[0]:9.1f}{ratios[1]:13.1f}"
        )
    for name, why in missing.items():
        print(f"{name:24}  cannot run here: {why}")


if __name__ == "__main__":
    main()
