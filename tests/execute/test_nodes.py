"""A cluster of several nodes, all on this machine, reached by its address; and the loss of one of them."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
import ray
from ray.cluster_utils import Cluster

from stilts.errors import StiltsError
from stilts.execute.run import execute
from stilts.plan.job import StageJob
from stilts.spec.runtime import Runtime

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without CPUs; RAY_ADDRESS leads to it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    with tempfile.TemporaryDirectory(prefix="stilts-ray-", dir="/tmp") as folder:
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": folder})
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        yield nodes
        ray.shutdown()
        nodes.shutdown()


def test_a_static_cluster_that_is_too_small_is_refused(cluster: Cluster, make_job: Callable[[str], StageJob]) -> None:
    cluster.add_node(num_cpus=1)
    with pytest.raises(StiltsError, match="2 ranks with 1 CPUs each"):
        execute([make_job("ok-1")], runtime=Runtime(ranks=2, accelerator="cpu"), stage_function="stages:behave")
    assert not ray.is_initialized()


def test_a_stage_moves_on_when_its_node_dies(cluster: Cluster, make_job: Callable[[str], StageJob]) -> None:
    """The second node comes after the stage has started on the first, and the first dies with it."""
    job = make_job("slow-once")
    first = cluster.add_node(num_cpus=1)

    def lose_the_first() -> None:
        while not list(Path(job.store).glob("slow-once.*")):
            time.sleep(0.2)
        cluster.add_node(num_cpus=1)
        cluster.remove_node(first, allow_graceful=False)

    thread = Thread(target=lose_the_first)
    thread.start()
    outcome = execute([job], runtime=Runtime(accelerator="cpu"), stage_function="stages:behave")
    thread.join()
    assert outcome.complete
    assert outcome.stages[job.name].retries == 1
