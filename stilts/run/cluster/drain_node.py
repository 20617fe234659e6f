"""Take this machine back from Ray: `python -m stilts.run.cluster.drain_node ADDRESS NODE SECONDS REASON`.

Marks Ray's nodes on this machine as draining: nothing new is placed there, and drivers see it and have their trials
leave. A node without work ends at once. A process of its own: Ray's client gives an unreachable cluster up by ending
its process, and keeps tens of megabytes that the watcher can do without.

ADDRESS is that of the cluster, `auto` for the one that this machine belongs to; NODE an id, `here` for all nodes of
this machine; SECONDS what is left, 0 where nobody knows; `look` in its place only finds the nodes. The first letters of
their ids are printed.
"""

import socket
import sys
import time
from typing import Any

import psutil
from ray import _raylet
from ray._private import services
from ray.core.generated import autoscaler_pb2, gcs_pb2

RPC_SECONDS = 10.0


def main(address: str, node: str, seconds: str, reason: str) -> None:
    client = _raylet.GcsClient(address=_found(address))  # type: ignore[attr-defined]  # compiled
    nodes = [found for found, here in _living(client).items() if (here if node == "here" else found == node)]
    if not nodes and node != "here":
        raise SystemExit(f"no living node of Ray has the id {node}")
    for found in nodes:
        if seconds != "look":
            _drain(client, found, float(seconds), reason)
    print(*(found[:8] for found in nodes))


def _found(address: str) -> str:
    found = services.canonicalize_bootstrap_address(address)
    if found is None:
        raise SystemExit("no Ray runs on this machine")
    return str(found)


def _living(client: Any) -> dict[str, bool]:
    """Ids of the living nodes, and whether each is at an address of this machine."""
    here = {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }
    return {
        found.hex(): node.node_manager_address in here
        for found, node in client.get_all_node_info(timeout=RPC_SECONDS).items()
        if node.state == gcs_pb2.GcsNodeInfo.ALIVE  # type: ignore[attr-defined]  # made when imported
    }


def _drain(client: Any, node: str, seconds: float, reason: str) -> None:
    deadline = int((time.time() + seconds) * 1000) if seconds else 0
    reasons = autoscaler_pb2.DrainNodeReason  # type: ignore[attr-defined]
    preemption = reasons.Value("DRAIN_NODE_REASON_PREEMPTION")
    accepted, why = client.drain_node(node, preemption, reason, deadline, timeout=RPC_SECONDS)
    if not accepted:
        raise SystemExit(f"Ray refuses to drain node {node[:8]}: {why}")


if __name__ == "__main__":
    main(*sys.argv[1:])
