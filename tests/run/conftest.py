"""A private local Ray for the tests of a module, and jobs that need nothing but a folder."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.job import StageJob

HERE = Path(__file__).resolve().parent
MakeJob = Callable[..., StageJob]


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """Three CPUs, whatever the machine has, in a directory of its own; the workers can import `stages`."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[1]), *([before] if before else [])])
    # Short, because Ray puts Unix sockets into it.
    with tempfile.TemporaryDirectory(prefix="stilts-ray-", dir="/tmp") as folder:
        ray.init(
            address="local",
            num_cpus=3,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without CPUs, to which a test adds nodes; RAY_ADDRESS leads to it, and the workers can import `stages`."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    with tempfile.TemporaryDirectory(prefix="stilts-ray-", dir="/tmp") as folder:
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": folder})
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        yield nodes
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture(scope="module")
def make_job(tmp_path_factory: pytest.TempPathFactory) -> MakeJob:
    """`make_job(name, parent)`: a job of the stage functions in `stages`; all share one folder as their store."""
    store = tmp_path_factory.mktemp("store")

    def make(name: str, parent: str | None = None) -> StageJob:
        return StageJob(
            name=name,
            spec=BaseSpec({"hub": name}),
            parent=parent,
            evaluations=(),
            keep_weights=True,
            trained=False,
            store=str(store),
            runtime=Runtime(),
        )

    return make
