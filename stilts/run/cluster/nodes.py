"""Which nodes are being preempted, and which are gone. Notices a dead node before Ray declares it dead."""

import socket
import time
from collections.abc import Collection

import ray

from stilts.run.ray_private import draining_nodes, was_preempted
from stilts.schedule.causes import Cause

POLL_SECONDS = 1.0
PROBE_SECONDS = 2.0
GRACE_SECONDS = 1.0
"""How long after the loss of a rank its node is looked at again. The processes of a node that dies do not all end at
the same moment, and the one that answers for the node may be the last."""


class Nodes:
    """The state of the nodes of one run. One request to Ray serves all trials."""

    def __init__(self) -> None:
        self._asked = -POLL_SECONDS
        self._draining: set[str] = set()
        self._gone: set[str] = set()
        self._seen: dict[str, float] = {}

    def draining(self) -> set[str]:
        """Ids of the nodes that are draining or were draining when they died; refreshed once a second."""
        if time.monotonic() - self._asked >= POLL_SECONDS:
            self._refresh()
        return self._draining

    def _refresh(self) -> None:
        self._asked = time.monotonic()
        self._draining = self._draining | draining_nodes()

    def cause(self, nodes: Collection[str]) -> Cause:
        """Why a trial on these nodes was lost just now, as far as the state of the nodes tells."""
        self._refresh()
        known = {node["NodeID"]: node for node in ray.nodes()}
        if any(node in self._draining or (node in known and was_preempted(known[node])) for node in nodes):
            return "preemption"
        if any(self._is_gone(node, known.get(node)) for node in nodes):
            return "node"
        return "node" if self._die(nodes) else "process"

    def _die(self, nodes: Collection[str]) -> bool:
        """Whether one of the nodes, which all answered just now, is gone a moment later."""
        now = time.monotonic()
        fresh = [node for node in nodes if now - self._seen.get(node, float("-inf")) > 5 * GRACE_SECONDS]
        if not fresh:
            return False  # Tune's loop does not wait once for each rank of a node
        time.sleep(GRACE_SECONDS)
        self._seen |= dict.fromkeys(fresh, time.monotonic())
        known = {node["NodeID"]: node for node in ray.nodes()}
        return any(self._is_gone(node, known.get(node)) for node in fresh)

    def _is_gone(self, node: str, known: dict | None) -> bool:
        """Whether a node is dead or does not answer; Ray itself declares it dead only seconds later."""
        if node not in self._gone and (known is None or not known["Alive"] or not _answers(known)):
            self._gone.add(node)
        return node in self._gone


def _answers(node: dict) -> bool:
    try:
        socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), PROBE_SECONDS).close()
    except OSError:
        return False
    return True
