"""Trials leave a node that is taken back, and lose nothing by it."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.tune.experiment import Trial

from tests.execute.conftest import MakeJob
from tests.execute.walks import RUNTIME, AtFirstStep, assert_walked_on, run

HERE = Path(__file__).resolve().parent


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without CPUs and three nodes with one each; RAY_ADDRESS leads there."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    with tempfile.TemporaryDirectory(prefix="stilts-ray-", dir="/tmp") as folder:
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": folder})
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        for _ in range(3):
            nodes.add_node(num_cpus=1)
        yield nodes
        ray.shutdown()
        nodes.shutdown()


def take_back(cluster: Cluster, node: str, seconds: float = 60) -> None:
    """What the watcher on the node does."""
    client = ray._raylet.GcsClient(address=cluster.address)
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    accepted, why = client.drain_node(node, reason, "a test", int((time.time() + seconds) * 1000))
    assert accepted, why


def test_a_gang_leaves_when_one_of_its_nodes_is_taken_back(cluster: Cluster, make_job: MakeJob) -> None:
    homes: list[set[str]] = []

    class Homes(AtFirstStep):
        """Notes where the trials are; takes back the node of the first one's second rank."""

        def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
            if set(result["nodes"].split()) not in homes:
                homes.append(set(result["nodes"].split()))
            super().on_trial_result(iteration, trials, trial, result, **info)

    job = make_job("walk-pair")
    leave = Homes(lambda: take_back(cluster, max(homes[0])))
    outcome = run(job, runtime=RUNTIME.model_copy(update={"ranks": 2}), callbacks=[leave])
    assert outcome.complete
    assert outcome.stages[job.name].lost == {"preemption": 1}
    assert max(homes[0]) not in homes[1]
    assert len(homes[0]) == len(homes[1]) == 2
    assert_walked_on(job)
