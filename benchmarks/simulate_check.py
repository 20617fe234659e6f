"""Compares a real run with its simulation: the same grid on a small cluster whose nodes are processes of this machine.

    python benchmarks/simulate_check.py [EXPERIMENT.yaml] [--nodes 2] [--set A.B=C] [--json results/simulate_check.json]

Each node is a Ray node with one CPU. The grid (by default the quickstart) runs on them with Ray and DeepSpeed. Then the
plan of an empty store is simulated twice on the same nodes: with the speeds measured during the run (median over the
stages of each task), and with the real duration of each stage instead of the estimate of the cost model. The first
error is that of the whole prediction, the second that of the simulation alone. The measured time covers the trials;
preparing data and starting Ray are not included. Other programs on the same cores make the run longer than its
prediction.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def run(experiment: Path, overrides: list[str], nodes: int) -> tuple[float, dict[str, float]]:
    """Run the experiment; return the seconds of the whole run, and those of each stage by name."""
    import ray
    from ray.cluster_utils import Cluster

    from stilts.run.tune_adapter.execute import execute
    from stilts.session import Session

    session = Session.open(experiment, overrides)
    plan = session.plan()
    seconds = {plan.jobs[key].name: value for key, value in plan.seconds.items()}
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp") as folder:
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "temp_dir": folder}
        )
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        began = time.monotonic()
        outcome = execute(list(plan.jobs.values()), runtime=session.experiment.runtime, seconds=seconds)
        ended = time.monotonic()
        ray.shutdown()
        cluster.shutdown()
    assert outcome.complete, outcome
    return ended - began, {name: stage.seconds for name, stage in outcome.stages.items()}


def predict(experiment: Path, overrides: list[str], taken: dict[str, float]) -> dict[str, Any]:
    """Simulate the run; return the predicted seconds of the whole run and of each stage.

    Args:
        taken: the real seconds of each stage by name.
    """
    from stilts.ledger.record import read_stage
    from stilts.plan.cost.simulate import simulate
    from stilts.plan.summary import make_plan
    from stilts.session import Session

    session = Session.open(experiment, overrides)
    records = [record for name in taken if (record := read_stage(session.store, name)) is not None]
    plan = make_plan(session.expansion, {}, session.store.uri, records)
    cluster = session.experiment.cluster
    assert cluster is not None
    as_taken = replace(plan)
    as_taken.seconds = {key: taken[job.name] for key, job in plan.jobs.items()}
    as_taken.node_seconds = dict.fromkeys(plan.node_seconds, as_taken.seconds)
    return {
        "speed": plan.rates.source,
        "predicted_seconds": simulate(plan, cluster, 0).hours * 3600,
        "simulated_with_real_stages_seconds": simulate(as_taken, cluster, 0).hours * 3600,
        "stage_seconds": {
            job.name: {"real": taken[job.name], "predicted": plan.seconds[key]} for key, job in plan.jobs.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path, nargs="?", default=HERE.parent / "ray_jobs" / "quickstart.yaml")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="as of every command")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    machines = {"nodes": {"node": {"cpus": 1, "min_nodes": options.nodes, "max_nodes": options.nodes}}}
    with tempfile.TemporaryDirectory() as folder:
        given = [*options.set, f"store={folder}/store", "runtime.accelerator=cpu", f"cluster={json.dumps(machines)}"]
        settings = [f"--set={setting}" for setting in given]
        command = [sys.executable, "-m", "stilts", "data", "prepare", str(options.experiment), *settings]
        subprocess.run(command, check=True)
        load = os.getloadavg()[0]
        real, taken = run(options.experiment, given, options.nodes)
        found = {"nodes": options.nodes, "load": [load, os.getloadavg()[0]], "real_seconds": real}
        found |= predict(options.experiment, given, taken)
    print(f"{len(taken)} stages on {options.nodes} nodes of 1 CPU; speed {found['speed']}")
    print(f"{'real':<34} {real:8.1f} s")
    for name in ("predicted_seconds", "simulated_with_real_stages_seconds"):
        print(
            f"{name.removesuffix('_seconds').replace('_', ' '):<34} {found[name]:8.1f} s {found[name] / real - 1:+8.1%}"
        )
    if options.json:
        machine = {"cpus": os.cpu_count(), "platform": platform.platform()}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": machine, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
