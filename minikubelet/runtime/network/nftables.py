"""The agent's own nftables table, as one transaction for `nft -j -f -`.

Everything is in a table of our own, so nothing of the node's firewall is touched and all of it goes with one
`delete table`. The whole table is replaced in one transaction: the kernel either takes all of it or none, and
no packet ever meets half of it. What another table drops, ours cannot allow (in nftables an accept ends only
its own chain); such chains are therefore looked for and reported.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

FAMILY = "ip"
DEFAULT_BRIDGE = "mk0"


def table_name(bridge: str) -> str:
    """Agents side by side differ by their bridge, and so do their tables."""
    return "minikubelet" if bridge == DEFAULT_BRIDGE else f"minikubelet-{bridge}"


def apply(commands: list[dict[str, Any]]) -> None:
    """One transaction. OSError when the kernel or nft refuses it."""
    _nft(json.dumps({"nftables": commands}))


def replace_table(bridge: str, cidr: str) -> list[dict[str, Any]]:
    """The table from scratch, whatever was there before: `add` makes sure there is one to delete."""
    table = {"family": FAMILY, "name": table_name(bridge)}
    chain = {"family": FAMILY, "table": table["name"], "name": "postrouting"}
    return [
        {"add": {"table": table}},
        {"delete": {"table": table}},
        {"add": {"table": table}},
        {"add": {"chain": {**chain, "type": "nat", "hook": "postrouting", "prio": 100, "policy": "accept"}}},
        {
            "add": {
                "rule": {**_in_chain(chain), "comment": "egress of pods", "expr": _masquerade(bridge, cidr)}
            }
        },
    ]


def delete_table(bridge: str) -> list[dict[str, Any]]:
    """Accepts that the table is gone already."""
    table = {"family": FAMILY, "name": table_name(bridge)}
    return [{"add": {"table": table}}, {"delete": {"table": table}}]


def dropping_forward_chains() -> list[str]:
    """Chains of others that drop forwarded packets by default, as "family table chain"."""
    found = []
    for item in json.loads(_nft("", "list", "chains"))["nftables"]:
        chain = item.get("chain", {})
        drops = chain.get("hook") == "forward" and chain.get("policy") == "drop"
        if drops and chain["family"] in ("ip", "inet"):
            found.append(f"{chain['family']} {chain['table']} {chain['name']}")
    return found


def _in_chain(chain: dict[str, str]) -> dict[str, str]:
    return {"family": chain["family"], "table": chain["table"], "chain": chain["name"]}


def _masquerade(bridge: str, cidr: str) -> list[dict[str, Any]]:
    """ip saddr CIDR oifname != BRIDGE masquerade"""
    address, _, length = cidr.partition("/")
    return [
        {
            "match": {
                "op": "==",
                "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                "right": {"prefix": {"addr": address, "len": int(length)}},
            }
        },
        {"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": bridge}},
        {"masquerade": None},
    ]


def _nft(text: str, *words: str) -> str:
    """Blocks for some milliseconds: call it in a worker thread."""
    command = ["nft", "-j", *(words or ("-f", "-"))]
    try:
        result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError as error:
        raise OSError(error.errno, "cannot run nft: not found; install the package nftables") from error
    if result.returncode != 0:
        raise OSError(f"cannot run {' '.join(command)}: {result.stderr.strip()}")
    return result.stdout
