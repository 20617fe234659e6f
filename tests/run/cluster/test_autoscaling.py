"""A cluster that grows when a grid waits, shrinks to nothing when it is done, and replaces what it loses."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray

from stilts.errors import StiltsError
from stilts.experiment.runtime import Runtime
from stilts.run.cluster.autoscaler import startable
from stilts.run.cluster.cluster import capacity, use_gpu
from stilts.run.ray_private import is_autoscaled
from tests.own_ray import seconds_until
from tests.run.cluster.autoscaled import AutoscaledCluster
from tests.tiny import TINY

IDLE_SECONDS = 5.0
NODES = 2
EXPERIMENT = (
    """\
name: grid
store: {store}
seeds: [1]
"""
    + TINY
    + """\
intermediates: [none, mnli]
targets: [xnli, udpos]
recipe: {{precision: fp32, learning_rate: 1e-3, max_steps: 60, batch_size: 8, max_length: 64}}
data: {{generate: {{languages: 2, sentences: 60}}}}
runtime: {{checkpoint_seconds: 0.5, accelerator: cpu}}
"""
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[AutoscaledCluster]:
    """Nodes of one CPU each, two at most; this process is connected to the cluster."""
    mode = os.environ.get("RAY_AUTH_MODE")
    # Ray reads it once, when it is imported: the cluster does as this process does.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    nodes = AutoscaledCluster({"worker": {"CPU": 1}}, NODES, IDLE_SECONDS)
    try:
        nodes.connect()
        yield nodes
    finally:
        ray.shutdown()
        nodes.close()
        if mode is None:
            del os.environ["RAY_AUTH_MODE"]


@pytest.mark.usefixtures("cluster")
def test_the_autoscaler_tells_what_can_start_on_a_cluster_without_nodes() -> None:
    assert is_autoscaled()
    assert not use_gpu(Runtime())
    assert not startable([{"CPU": 1.0}] * (NODES + 1))
    with pytest.raises(StiltsError, match="cluster's nodes have"):
        capacity(Runtime(cpus_per_rank=2), gpu=False)
    assert capacity(Runtime(ranks=NODES), gpu=False)() > NODES  # so that there is a demand
    assert capacity(Runtime(max_parallel=NODES), gpu=False)() == NODES


def start(cluster: AutoscaledCluster, folder: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    experiment = folder / "grid.yaml"
    experiment.write_text(EXPERIMENT.format(store=folder / "store"))
    command = [sys.executable, "-m", "stilts", "run", str(experiment)]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def table(folder: Path) -> list[dict]:
    read = pq.read_table(folder / "results" / "grid" / "results.parquet")
    return read.select(["intermediate", "target", "language", "metric", "value", "status"]).to_pylist()


def run(cluster: AutoscaledCluster, folder: Path, lose_a_node: bool) -> tuple[str, dict[str, float]]:
    """What the driver said, and how long each step took, in seconds."""
    begin, took = time.monotonic(), {}
    with start(cluster, folder) as driver:
        took["until the first node"] = seconds_until(cluster.nodes, 180)
        took["first node until a rank runs"] = seconds_until(cluster.working, 180)
        if lose_a_node:
            seconds_until(lambda: list(folder.glob("store/stages/*/resume/*")), 180)
            [lost, *_] = cluster.working()
            cluster.kill(lost)
            took["killed until declared dead"] = seconds_until(lambda: lost not in cluster.nodes(), 120)
            took["declared dead until a rank runs"] = seconds_until(cluster.working, 180)
        else:
            took["until all nodes"] = took["until the first node"] + seconds_until(
                lambda: len(cluster.nodes()) == NODES, 180
            )
        output = driver.communicate(timeout=400)[1]
    assert driver.returncode == 0, output
    took["run"] = time.monotonic() - begin
    took["end until no node"] = seconds_until(lambda: not cluster.nodes(), 120)
    return output, took


@pytest.mark.slow
def test_a_grid_scales_up_and_down_and_a_lost_node_only_delays_it(cluster: AutoscaledCluster, tmp_path: Path) -> None:
    seconds_until(lambda: not cluster.nodes(), 120)
    _, quiet = run(cluster, tmp_path / "quiet", lose_a_node=False)
    output, disturbed = run(cluster, tmp_path / "disturbed", lose_a_node=True)
    for took in (quiet, disturbed):
        print("; ".join(f"{step}: {seconds:.1f} s" for step, seconds in took.items()))
    # Of the processes of a node that is killed, the rank may be gone before the node is.
    assert re.search(r"lost +\S+ (with its node, again|again, retry 1 of 3)", output), output
    assert {row["status"] for row in table(tmp_path / "quiet")} == {"ok"}
    assert table(tmp_path / "disturbed") == table(tmp_path / "quiet")
