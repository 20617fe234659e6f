"""A cluster of several nodes, all on this machine, reached by its address; and the loss of one of them."""

from collections.abc import Callable
from typing import Any

import pytest
import ray
from ray import tune
from ray.cluster_utils import Cluster
from ray.tune.experiment import Trial

from stilts.errors import StiltsError
from stilts.experiment.runtime import Runtime
from stilts.plan.job import StageJob
from stilts.run.tune_adapter.execute import execute

pytestmark = pytest.mark.slow


def test_a_static_cluster_that_is_too_small_is_refused(cluster: Cluster, make_job: Callable[[str], StageJob]) -> None:
    cluster.add_node(num_cpus=1)
    with pytest.raises(StiltsError, match="2 ranks with 1 CPUs each"):
        execute([make_job("ok-1")], runtime=Runtime(ranks=2, accelerator="cpu"), stage_function="stages:behave")
    assert not ray.is_initialized()


class NodeLoss(tune.Callback):
    """When the stage reports for the first time, a second node comes, and the first one dies with it."""

    def __init__(self, lose: Callable[[], None]) -> None:
        self.lose = lose

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
        if "step" in result:
            self.lose()

    def __getstate__(self) -> dict:
        return {}


def test_a_stage_moves_on_when_its_node_dies(cluster: Cluster, make_job: Callable[[str], StageJob]) -> None:
    nodes = [cluster.add_node(num_cpus=1)]

    def lose() -> None:
        if len(nodes) == 1:
            nodes.append(cluster.add_node(num_cpus=1))
            cluster.remove_node(nodes[0], allow_graceful=False)

    job = make_job("slow-once")
    runtime = Runtime(accelerator="cpu")
    outcome = execute([job], runtime=runtime, callbacks=[NodeLoss(lose)], stage_function="stages:behave")
    assert outcome.complete
    assert outcome.stages[job.name].lost == {"node": 1}
    assert outcome.stages[job.name].seconds < 50
