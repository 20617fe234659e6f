"""Whether a node or only a process of it was lost, from what the cluster says and what answers. Without Ray."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stilts.run.cluster import nodes as module
from stilts.run.cluster.nodes import Nodes


class Cluster:
    """A cluster of one node, whose raylet is a socket. Ray takes it for alive throughout, as it does for seconds."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))

    def nodes(self) -> list[dict[str, Any]]:
        address, port = self.listener_address
        return [{"NodeID": "n", "Alive": True, "NodeManagerAddress": address, "NodeManagerPort": port}]

    def start(self) -> "Cluster":
        self.listener_address = self.listener.getsockname()
        return self


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    found = Cluster().start()
    monkeypatch.setattr(module.ray, "nodes", found.nodes)
    monkeypatch.setattr(module, "draining_nodes", set)
    monkeypatch.setattr(module, "was_preempted", lambda node: False)
    yield found
    found.listener.close()


def test_a_process_of_a_node_that_answers_is_a_process(cluster: Cluster) -> None:
    assert Nodes().cause(["n"]) == "process"


def test_a_node_that_does_not_answer_is_a_node(cluster: Cluster) -> None:
    cluster.listener.close()
    assert Nodes().cause(["n"]) == "node"


def test_a_node_that_dies_a_moment_after_its_rank_is_a_node(cluster: Cluster) -> None:
    timer = threading.Timer(module.GRACE_SECONDS / 3, cluster.listener.close)
    timer.start()
    assert Nodes().cause(["n"]) == "node"
    timer.join()


def test_many_losses_of_one_node_wait_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep: Callable[[float], None] = waits.append
    monkeypatch.setattr(module.time, "sleep", sleep)
    found = Nodes()
    assert [found.cause(["n"]) for _ in range(64)] == ["process"] * 64
    assert waits == [module.GRACE_SECONDS]
