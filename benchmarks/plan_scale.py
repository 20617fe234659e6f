"""Measures the time and memory of `stilts plan` for ten thousand cells.

    python benchmarks/plan_scale.py [--cells 10000] [--done 2000] [--json]

The experiment has ten intermediate regimes, nine targets, and as many seeds as are needed for `--cells` cells, on XLM-R
Large. It uses the sizes that the tasks declare, so that nothing is downloaded. The store holds the records, weights and
evaluations of `--done` stages. Planning runs in a separate process, as it does for the command: imports, loading,
expansion, inventory, summary. The exit status is 1 if a limit is exceeded: 2 seconds of one core for each 10,000 cells,
1 GB. Seconds of the wall are printed as well; they are longer where other programs use the machine.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 2.0
"""Of one core, for each 10,000 cells."""
MEGABYTES = 1000.0

REGIMES = {
    "none": [],
    "hellaswag": ["hellaswag"],
    "squad": ["squad"],
    "mnli": ["mnli"],
    "panx": ["panx"],
    "udpos": ["udpos"],
    "tydiqa": ["tydiqa"],
    "hellaswag-mnli": ["hellaswag", "mnli"],
    "squad-mnli": ["squad", "mnli"],
    "mnli-squad": ["mnli", "squad"],
}
TARGETS = ["xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa", "squad", "tatoeba"]
"""All nine have hub data with declared sizes (BUCC is read from files, which this benchmark does not have)."""

PLAN = """
import json, resource, sys, time
began = time.perf_counter()
from pathlib import Path
from stilts.plan.summary import stage_rows, summarize
from stilts.session import Session
marks = {"import": time.perf_counter()}
session = Session.open(Path(sys.argv[1]))
marks["expand"] = time.perf_counter()
plan = session.plan()
marks["inventory"] = time.perf_counter()
figures = summarize(plan)
rows = stage_rows(plan)
marks["summary"] = time.perf_counter()
last, parts = began, {}
for name, mark in marks.items():
    parts[name], last = round(mark - last, 3), mark
heavy = [name for name in ("torch", "ray") if name in sys.modules]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
cpu = round(time.process_time(), 3)
print(json.dumps({"seconds": round(last - began, 3), "cpu": cpu, "parts": parts, "megabytes": round(peak, 1),
                  "heavy": heavy,
                  **{k: figures[k] for k in ("cells", "stages", "done", "to_train", "evaluations", "gpu_hours")}}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--done", type=int, default=2_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        experiment = write_experiment(Path(folder), arguments.cells)
        fill_store(experiment, arguments.done)
        done = subprocess.run([sys.executable, "-c", PLAN, str(experiment)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    limit = SECONDS * max(1.0, arguments.cells / 10_000)
    within = found["cpu"] <= limit and found["megabytes"] <= MEGABYTES and not found["heavy"]
    if arguments.json:
        print(json.dumps({**found, "limits": {"cpu": limit, "megabytes": MEGABYTES}, "within": within}))
    else:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in found["parts"].items())
        print(", ".join(f"{found[name]} {name}" for name in ("cells", "stages", "done", "evaluations")))
        print(f"{found['cpu']:.2f} s of one core, of {limit:g} s; {found['seconds']:.2f} s in all ({parts})")
        print(f"{found['megabytes']:.0f} MB of {MEGABYTES:g} MB at the peak")
        print("within the limits" if within else "EXCEEDS A LIMIT")
    return 0 if within else 1


def write_experiment(folder: Path, cells: int) -> Path:
    """Write the experiment as JSON, which is also YAML; return the path."""
    seeds = math.ceil(cells / (len(REGIMES) * len(TARGETS)))
    experiment = {
        "name": "scale",
        "store": str(folder / "store"),
        "seeds": list(range(seeds)),
        "models": {"large": {"hub": "FacebookAI/xlm-roberta-large", "revision": "c23d21b"}},
        "intermediates": REGIMES,
        "targets": TARGETS,
        "languages": "present",
        "splits": ["dev", "test"],
    }
    path = folder / "scale.yaml"
    path.write_text(json.dumps(experiment))
    return path


def fill_store(experiment: Path, count: int) -> None:
    """Write the artifacts of the first stages: records, evaluations, and small files in the place of weights."""
    from stilts.identity.stage import StageSpec
    from stilts.session import Session

    session = Session.open(experiment)
    for node in [node for node in session.expansion.graph if isinstance(node.spec, StageSpec)][:count]:
        folder = Path(session.experiment.store) / "stages" / node.name
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / "model.safetensors").write_bytes(b"")
        record = {
            "schema": 1,
            "name": node.name,
            "key": node.key,
            "payload": node.spec.payload(),
            "weights": {"model.safetensors": {"bytes": 0, "sha256": ""}},
            "train": {"seconds": 600.0, "steps": 1000},
            "speed": {"kind": "gpu", "device": "NVIDIA A100-SXM4-40GB", "flops": 1e14},
        }
        (folder / "record.json").write_text(json.dumps(record, indent=1))
        for path in node.evaluations:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{path}.record.json").write_text("{}")
            (folder / f"{path}.tsv").write_text("")


if __name__ == "__main__":
    sys.exit(main())
