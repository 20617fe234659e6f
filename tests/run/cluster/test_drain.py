"""Trials leave a node that is preempted, and lose no work."""

import time
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.tune.experiment import Trial

from tests.run.conftest import MakeJob
from tests.run.walks import RUNTIME, AtFirstStep, assert_walked_on, run


def drain_nodes(cluster: Cluster, node: str, seconds: float = 60) -> None:
    """What the watcher on the node does."""
    client = ray._raylet.GcsClient(address=cluster.address)
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    accepted, why = client.drain_node(node, reason, "a test", int((time.time() + seconds) * 1000))
    assert accepted, why


def test_a_gang_leaves_when_one_of_its_nodes_is_taken_back(cluster: Cluster, make_job: MakeJob) -> None:
    for _ in range(3):
        cluster.add_node(num_cpus=1)
    homes: list[set[str]] = []

    class Homes(AtFirstStep):
        """Notes where the trials are; takes back the node of the first one's second rank."""

        def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
            if set(result["nodes"].split()) not in homes:
                homes.append(set(result["nodes"].split()))
            super().on_trial_result(iteration, trials, trial, result, **info)

    job = make_job("walk-pair")
    leave = Homes(lambda: drain_nodes(cluster, max(homes[0])))
    outcome = run(job, runtime=RUNTIME.model_copy(update={"ranks": 2}), callbacks=[leave])
    assert outcome.complete
    assert outcome.stages[job.name].lost == {"preemption": 1}
    assert max(homes[0]) not in homes[1]
    assert len(homes[0]) == len(homes[1]) == 2
    assert_walked_on(job)
