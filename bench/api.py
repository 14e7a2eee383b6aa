"""The API under load: 50 watches, 20 writers and somebody who lists 110 pods, on a real agent.

    ./dev bench api [--json] [--seconds 60] [--watches 50] [--writers 20] [-n 110]

`get pods idle p50, p99`   a Table of 110 pods, as `kubectl get pods` asks for it, while nothing else happens
`get pods busy p50, p99`   the same beside the watches and writers
`writes/s`                 creations, changes and deletions together
`events/s`                 told to all watches together
`mistakes`                 watches that missed an event, were told one twice, or out of order: should be 0
`agent RSS`                MiB, at the end

Aim: get pods p99 ≤ 50 ms. The pods are on another node's account, so that only the API is measured; readers,
writers and watches are one process of Python, which is slower than the agent.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1]))
from pods import memory
from start import PODS, Agent, node_directory, pod, show

from tests import api_load

Results = dict[str, float]


def measure(root: Path, options: argparse.Namespace) -> Results:
    agent = Agent(root)
    try:
        for number in range(options.n):
            elsewhere = pod(f"pod-{number}", 1)
            elsewhere["spec"]["nodeName"] = "elsewhere"
            agent.call("POST", PODS, elsewhere)
        socket = root / "run/minikubelet.sock"
        idle = asyncio.run(api_load.time_lists(socket, min(10.0, options.seconds)))
        end = time.monotonic() + options.seconds
        busy = asyncio.run(
            api_load.run(socket, options.watches, options.writers, lambda _: time.monotonic() < end)
        )
        events = sum(len(seen) for seen in busy.seen) * 3 / 2  # deletions are seen, too
        return {
            **_shown("get pods idle", idle),
            **_shown("get pods busy", busy.lists),
            "writes/s": len(busy.written) * 3 / 2 / busy.seconds,
            "events/s": events / busy.seconds,
            "mistakes": len(busy.mistakes()),
            "agent RSS": memory(agent.process.pid, "Rss"),
        }
    finally:
        agent.stop()


def _shown(name: str, seconds: list[float]) -> Results:
    ordered = sorted(seconds)
    p99 = ordered[int(len(ordered) * 0.99)]
    return {f"{name} p50 ms": statistics.median(ordered) * 1000, f"{name} p99 ms": p99 * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description="the API under load")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--watches", type=int, default=50, help="how many (default 50)")
    parser.add_argument("--writers", type=int, default=20, help="how many (default 20)")
    parser.add_argument("-n", type=int, default=110, help="pods to list (default 110)")
    options = parser.parse_args()
    with node_directory() as root:
        results = measure(root, options)
    show(results, as_json=options.json)


if __name__ == "__main__":
    main()
