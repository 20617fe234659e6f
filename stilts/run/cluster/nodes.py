"""Which nodes are being preempted, and which are gone. Notices a dead node before Ray declares it dead."""

import socket
import time
from collections.abc import Collection

import ray

from stilts.run.ray_private import draining_nodes, was_preempted
from stilts.schedule.causes import Cause

POLL_SECONDS = 1.0
PROBE_SECONDS = 2.0


class Nodes:
    """The state of the nodes of one run. One request to Ray serves all trials."""

    def __init__(self) -> None:
        self._asked = -POLL_SECONDS
        self._draining: set[str] = set()
        self._gone: set[str] = set()

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
        return "node" if any(self._is_gone(node, known.get(node)) for node in nodes) else "process"

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
