"""Drain the Ray nodes of this machine: `python -m stilts.run.cluster.drain_node ADDRESS NODE SECONDS REASON`.

Draining a node stops Ray from placing anything new on it, and the drivers see it and move their trials away. A node
without work ends at once.

ADDRESS is the address of the cluster, or `auto` for the cluster that this machine belongs to. NODE is a node id, or
`here` for all nodes of this machine. SECONDS is the time that is left, 0 if it is not known; `look` in its place finds
the nodes and drains none. Prints the first characters of their ids.

Why this is a process of its own: Ray's client ends its process when it cannot reach the cluster, and it keeps tens of
megabytes that the watcher can do without. Why not the command `ray drain-node`: it takes one node id, which it can find
by itself only as a driver on that node, and Ray does not declare it public either.
"""

import socket
import sys

import psutil

from stilts.run.ray_private import ClusterClient


def main(address: str, node: str, seconds: str, reason: str) -> None:
    """Drain the nodes and print their ids.

    Raises:
        SystemExit: there is no cluster or no such node, or Ray refuses.
    """
    try:
        client = ClusterClient(address)
    except ConnectionError as error:
        raise SystemExit(str(error)) from None
    here = _addresses()
    living = client.living_nodes()
    nodes = [found for found, at in living.items() if (at in here if node == "here" else found == node)]
    if not nodes and node != "here":
        raise SystemExit(f"no living node of Ray has the id {node}")
    for found in nodes:
        refusal = None if seconds == "look" else client.drain_node(found, reason, float(seconds) or None)
        if refusal is not None:
            raise SystemExit(f"Ray refuses to drain node {found[:8]}: {refusal}")
    print(*(found[:8] for found in nodes))


def _addresses() -> set[str]:
    """IP addresses of this machine."""
    return {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6)
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
