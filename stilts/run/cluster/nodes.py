"""Nodes: which ones are being taken back, and which are gone. As Ray's control service knows, and quicker than it."""

import socket
import time
from collections.abc import Collection

import ray

from stilts.schedule.agenda import Cause

POLL_SECONDS = 1.0
PROBE_SECONDS = 2.0
_DRAINED_BEFORE_DEATH = 3  # NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED


def draining() -> set[str]:
    """Ids of the nodes that are alive and being taken back. Private to Ray: no public call tells."""
    return set(ray._private.state.state.get_draining_nodes())


class Nodes:
    """What has become of the nodes of one run. One request to Ray serves all trials."""

    def __init__(self) -> None:
        self._asked = -POLL_SECONDS
        self._draining: set[str] = set()
        self._gone: set[str] = set()

    def draining(self) -> set[str]:
        """Ids of the nodes that are being taken back, or were and are gone; asked anew once a second."""
        if time.monotonic() - self._asked >= POLL_SECONDS:
            self._refresh()
        return self._draining

    def _refresh(self) -> None:
        self._asked = time.monotonic()
        self._draining = self._draining | draining()

    def cause(self, nodes: Collection[str]) -> Cause:
        """Why a trial on these nodes was lost just now, as far as they tell."""
        self._refresh()
        known = {node["NodeID"]: node for node in ray.nodes()}
        if any(node in self._draining or _taken_back(known.get(node)) for node in nodes):
            return "preemption"
        return "node" if any(self._is_gone(node, known.get(node)) for node in nodes) else "process"

    def _is_gone(self, node: str, known: dict | None) -> bool:
        """Ray declares a node dead seconds after it ceased to answer."""
        if node not in self._gone and (known is None or not known["Alive"] or not _answers(known)):
            self._gone.add(node)
        return node in self._gone


def _taken_back(node: dict | None) -> bool:
    return node is not None and not node["Alive"] and node["DeathReason"] == _DRAINED_BEFORE_DEATH


def _answers(node: dict) -> bool:
    try:
        socket.create_connection((node["NodeManagerAddress"], node["NodeManagerPort"]), PROBE_SECONDS).close()
    except OSError:
        return False
    return True
