"""110 pods at once, and what they cost while nothing happens.

    ./dev bench pods [--json] [-n 110] [--idle 10]

`all Running`    from the first POST to the moment the API shows all of them Running
`agent RSS`      before the first pod, and with all of them
`idle CPU`       of the agent and the zygote, while nobody asks anything
`shim PSS`       the median: what one more pod costs in memory, shared pages split among those who share them
`adopted`        the agent is killed and started again: from its start to the moment it says it is ready
`restarts`, `not ready`   of containers, as the API shows them right after that: both should be 0
`all gone`       from the first DELETE to the moment nothing of the pods is left on the node

Aims (DESIGN section 8): Running ≤ 3 s, RSS ≤ 60 and 80 MiB, idle ≤ 0.5 %, PSS ≤ 1.5 MiB, adopted ≤ 1 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from start import PODS, Agent, cpu_seconds, node_directory, pod, show, wait_until

Results = dict[str, float]


def memory(pid: int, field: str) -> float:
    """MiB, from smaps_rollup: "Rss" or "Pss"."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"the kernel does not tell {field} of process {pid}")


def pods_of(agent: Agent) -> list[dict[str, Any]]:
    return list(agent.call("GET", PODS)["items"])


def shims(agent: Agent) -> list[int]:
    states = (agent.root / "run/pods").glob("*/*/state.json")
    return [int(json.loads(state.read_text())["pid"]) for state in states]


def container_statuses(agent: Agent) -> Iterator[dict[str, Any]]:
    for one in pods_of(agent):
        yield from one["status"]["containerStatuses"]


def start_all(agent: Agent, names: Iterable[str]) -> float:
    begin = time.monotonic()
    for name in names:
        agent.call("POST", PODS, pod(name, 1))
    wait_until(lambda: all(one["status"].get("phase") == "Running" for one in pods_of(agent)))
    return time.monotonic() - begin


def remove_all(agent: Agent) -> float:
    """Gracefully, and until their last file is gone: an agent stopped earlier would leave things behind."""
    begin = time.monotonic()
    for one in pods_of(agent):
        agent.call("DELETE", f"{PODS}/{one['metadata']['name']}")
    left = agent.root / "run/pods"
    wait_until(lambda: not pods_of(agent) and not (left.exists() and list(left.iterdir())))
    return time.monotonic() - begin


def idle_cpu(agent: Agent, seconds: float) -> float:
    """Percent of one core."""
    time.sleep(2)  # the last reports are written
    before = agent.cpu()
    time.sleep(seconds)
    return (agent.cpu() - before) / seconds * 100


def measure(root: Path, n: int, idle: float) -> Results:
    agent = Agent(root)
    results: Results = {"agent RSS, no pod (MiB)": memory(agent.process.pid, "Rss")}
    try:
        results["all Running (s)"] = start_all(agent, (f"pod-{number}" for number in range(n)))
        results["CPU of agent and zygote for it (s)"] = agent.cpu()
        results[f"agent RSS, {n} pods (MiB)"] = memory(agent.process.pid, "Rss")
        results["idle CPU (%)"] = idle_cpu(agent, idle)
        results["shim PSS (MiB)"] = statistics.median(memory(pid, "Pss") for pid in shims(agent))

        agent.process.kill()
        agent.process.wait()
        agent.log.close()
        begin = time.monotonic()
        agent = Agent(root)
        results["adopted (s)"] = time.monotonic() - begin
        results["CPU of the new agent for it (s)"] = cpu_seconds(agent.process.pid)
        statuses = list(container_statuses(agent))
        results["restarts"] = sum(status["restartCount"] for status in statuses)
        results["not ready"] = n - sum(bool(status["ready"]) for status in statuses)
    finally:
        results["all gone (s)"] = remove_all(agent)
        agent.stop()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="many pods at once")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("-n", type=int, default=110, help="how many (default 110)")
    parser.add_argument(
        "--idle", type=float, default=10, help="seconds to watch them doing nothing (default 10)"
    )
    options = parser.parse_args()
    with node_directory() as root:
        results = measure(root, options.n, options.idle)
    show(results, as_json=options.json)


if __name__ == "__main__":
    main()
