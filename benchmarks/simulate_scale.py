"""Simulates how a grid scales from 1 GPU to 1,000, and measures the time and memory of the simulation.

    python benchmarks/simulate_scale.py [--json results/simulate_scale.json]

The grid is that of `plan_scale.py` (XLM-R Large, declared sizes, no downloads). The nodes are spot machines with eight
GPUs (with one, for 1 GPU) that are preempted once in 20 hours with two minutes' notice, and boot in four minutes:

- 10,080 cells on 1 to 1,000 GPUs: hours, and `efficiency`, the lower bound of the hours divided by the hours;
- 100,080 cells on 1,000 GPUs, with and without notice.

Each point is planned once and simulated five times in a separate process. The exit status is 1 if that takes more than
60 seconds of one core, or 1 GB.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from plan_scale import write_experiment

SECONDS = 60.0
MEGABYTES = 1000.0
GPUS = (1, 8, 64, 256, 1000)

SIMULATE = """
import json, resource, sys, time
from pathlib import Path
from stilts.plan.cost.simulate import simulation
from stilts.session import Session
session = Session.open(Path(sys.argv[1]), sys.argv[2:])
plan = session.plan()
planned = time.process_time()
found = simulation(plan)
ended = time.process_time()
figures = {name: value["mean"] if isinstance(value, dict) else value for name, value in found.items()}
figures["efficiency"] = round(figures["hours_at_least"] / figures["hours"], 4)
seconds = {"plan": round(planned, 2), "simulation": round(ended - planned, 2)}
peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps({"stages": len(plan.jobs), **figures, "seconds": seconds, "megabytes": peak}))
"""


def machines(gpus: int, notice: float) -> str:
    """The experiment's `cluster:` section."""
    spot = {"losses_per_hour": 0.05, "notice_seconds": notice, "boot_seconds": 240}
    big = {"gpus": min(8, gpus), "max_nodes": max(1, gpus // 8), "price_per_hour": 1.2 * min(8, gpus)}
    return json.dumps({"nodes": {"head": {"min_nodes": 1, "price_per_hour": 0.4}, "spot": {**big, **spot}}})


def measure(folder: Path, cells: int, gpus: int, notice: float) -> dict[str, Any]:
    """Plan and simulate in a new process."""
    experiment = write_experiment(folder, cells)
    command = [sys.executable, "-c", SIMULATE, str(experiment), f"cluster={machines(gpus, notice)}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"cells": cells, "gpus": gpus, "notice_seconds": notice, **json.loads(done.stdout)}


def show(found: dict[str, Any]) -> None:
    seconds = found["seconds"]
    print(
        f"{found['cells']:>7,} {found['stages']:>7,} {found['gpus']:>6,} {found['notice_seconds']:>7g} "
        f"{found['hours']:>9.2f} {found['hours_at_least']:>9.2f} {found['efficiency']:>11.1%} "
        f"{found['utilisation']:>12.1%} {found['cost']:>11,.0f} {found['interruptions']:>14.1f} "
        f"{found['lost_gpu_hours']:>9.2f} {seconds['plan']:>7.1f} {seconds['simulation'] / found['seeds']:>9.2f} "
        f"{found['megabytes']:>5}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs=2, default=(10_080, 100_080), help="of the two parts")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    scaling, large = options.cells
    print(
        "  cells  stages   GPUs  notice     hours  at least  efficiency  utilisation  cost (USD)  interruptions  "
        "lost GPU-h  plan s  sim. s  MB"
    )
    with tempfile.TemporaryDirectory() as folder:
        points = [(scaling, gpus, 120.0) for gpus in GPUS] + [(large, 1000, 120.0), (large, 1000, 0.0)]
        results = []
        for point in points:
            results.append(measure(Path(folder), *point))
            show(results[-1])
    slowest = max(sum(found["seconds"].values()) for found in results)
    most = max(found["megabytes"] for found in results)
    within = slowest <= SECONDS and most <= MEGABYTES
    limits = "within the limits" if within else "EXCEEDS A LIMIT"
    print(f"{slowest:.1f} s of {SECONDS:g} s of one core, {most} MB of {MEGABYTES:g} MB: {limits}")
    if options.json:
        machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
