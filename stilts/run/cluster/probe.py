"""Examine the nodes of a Ray cluster: their clocks, and whether they reach each other's ports."""

import socket
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stilts.run.cluster.connect import connected

MOST_NODES = 32
"""Nodes that are examined, at most."""

ANSWER_SECONDS = 20.0
REACH_SECONDS = 5.0


@dataclass(frozen=True)
class Examined:
    """What was found on a cluster.

    Attributes:
        resources: totals by name (`CPU`, `GPU`, `memory` in bytes, ...).
        clocks: seconds by which the clock of each node is ahead of this machine's, by address; exact to `error`.
        error: seconds.
        blocked: pairs of addresses of which the first cannot connect to a port of the second.
        silent: addresses of nodes that did not answer.
    """

    resources: dict[str, float]
    clocks: dict[str, float]
    error: float
    blocked: list[tuple[str, str]]
    silent: list[str]


class _Node:
    """Runs on a node. It holds a port open, as the leader of a gang does."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("", 0))
        self._listener.listen(8)

    def look(self) -> tuple[float, int]:
        """The time by this node's clock, and the port that it holds open."""
        return time.time(), self._listener.getsockname()[1]

    def reaches(self, address: str, port: int) -> bool:
        """Whether a connection to a port of another node can be made."""
        try:
            socket.create_connection((address, port), REACH_SECONDS).close()
        except OSError:
            return False
        return True


def examine_cluster() -> Examined:
    """Examine the cluster at RAY_ADDRESS. Reserves no CPU and no GPU.

    Raises:
        StiltsError: no cluster answers there.
    """
    with connected():
        nodes = [node for node in ray.nodes() if node["Alive"]][:MOST_NODES]
        actors = {node["NodeManagerAddress"]: _start(node["NodeID"]) for node in nodes}
        clocks, ports, error = {}, {}, 0.0
        for address, actor in actors.items():
            if _answer(actor.look.remote()) is None:  # starts the process
                continue
            before = time.time()
            found = _answer(actor.look.remote())
            after = time.time()
            if found is not None:
                clocks[address], ports[address] = found[0] - (before + after) / 2, found[1]
                error = max(error, (after - before) / 2)
        ring = list(ports)
        pairs = list(zip(ring, ring[1:] + ring[:1], strict=True)) if len(ring) > 1 else []
        asked = [(pair, actors[pair[0]].reaches.remote(pair[1], ports[pair[1]])) for pair in pairs]
        blocked = [pair for pair, answer in asked if _answer(answer) is False]
        silent = sorted(actors.keys() - ports.keys())
        return Examined(dict(ray.cluster_resources()), clocks, error, blocked, silent)


def _start(node: str) -> Any:
    where = NodeAffinitySchedulingStrategy(node, soft=False)
    # The nodes need not have this package, and their processes need no environment of their own.
    return ray.remote(num_cpus=0)(_Node).options(scheduling_strategy=where, max_restarts=0).remote()


def _answer(reference: Any) -> Any:
    """The answer of a node; None if there is none in time."""
    try:
        return ray.get(reference, timeout=ANSWER_SECONDS)
    except Exception:  # Ray has many errors; each means that the node does not answer
        return None
