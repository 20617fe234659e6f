"""Compares the cost model's predictions with measured stages, and with a model of one speed for all stages.

    [XTREME_DATA=DIR] python benchmarks/cost_error.py [--model PATH] [--clock cpu|wall] [--json FILE]

Trains a small spread of stages in this process, one after the other and on one core: two models (a very small one that
is made here, and a checkpoint if `--model` names one), tasks, batch sizes and maximum lengths. The factors of the cost
model are fitted to every other stage, as a plan fits them to a store, and predict the rest. The other model is the
median of the operations per second of the fitted stages, for each task: what one number can say.

The data is XTREME's, if XTREME_DATA names the folder that holds it as xtreme/ and texts as mlm/, else a generated
corpus.

The table has the seconds of all stages; those that were fitted are marked. The figure that counts is the median
absolute error of the others. Seconds are those of the process's core (`--clock cpu`), because a machine that also does
other things stretches them; `--clock wall` takes the time of the wall, as records do.
"""

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

TASKS = {"xnli": (64, 128), "udpos": (64, 128), "squad": (192, 384)}
"""Maximum lengths by task."""
BATCHES = {"tiny": (4, 16, 64), "model": (4, 16)}
TOKENS = {"tiny": 6_000, "model": 1_500}
"""Tokens that a stage trains on, about."""
MEAN = {"xnli": 40, "udpos": 25, "squad": 150}
LEAST_STEPS, MOST_STEPS = 2, 60

TINY = {
    "init": {
        "config": {
            "model_type": "xlm-roberta",
            "hidden_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 512,
            "max_position_embeddings": 514,
        },
        "tokenizer": {"vocab_size": 8000},
    }
}


def experiment(folder: Path, name: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment with one intermediate stage for each task, batch size and maximum length."""
    regimes = {}
    for task, lengths in TASKS.items():
        for batch in BATCHES[name]:
            for length in lengths:
                steps = min(MOST_STEPS, max(LEAST_STEPS, TOKENS[name] // (batch * MEAN[task])))
                recipe = {"batch_size": batch, "max_length": length, "max_steps": steps, "epochs": None}
                recipe["max_examples"] = 600
                recipe |= {"stride": 64, "max_query_length": 48} if task == "squad" else {}
                regimes[f"{task}-b{batch}-l{length}"] = [{"task": task, "recipe": recipe}]
    return {
        "name": f"cost-error-{name}",
        "store": str(folder / "store"),
        "seeds": [1],
        "models": {name: dict(model)},
        "intermediates": regimes,
        "targets": ["tatoeba"],
        "languages": "present",
        "recipe": {"precision": "fp32", "selection": "last", "warmup": 0.1},
        "runtime": {"accelerator": "cpu", "trackers": []},
        "data": source(),
    }


def source() -> dict[str, Any]:
    """The `data:` section of the experiments."""
    folder = os.environ.get("XTREME_DATA")
    if folder is None:
        return {"generate": {"languages": 1, "sentences": 1500}}
    return {"xtreme": f"{folder}/xtreme", "tasks": {"mlm": {"train": f"{folder}/mlm/{{lang}}.txt"}}}


def run(declared: Mapping[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Train the stages of an experiment; return its session, and their records with `cpu`, the seconds of the core
    for each second of the wall."""
    import torch

    from stilts import load
    from stilts.ledger.record import read_stage
    from stilts.run.stage.stage import run_stage
    from stilts.session import Session
    from stilts.train.ranks import connect

    torch.set_num_threads(1)
    path = Path(declared["store"]).parent / f"{declared['name']}.yaml"
    path.write_text(json.dumps(declared))
    session = Session.of(load(path))
    session.prepare()
    ranks = connect(0, 1, "127.0.0.1", 0, torch.device("cpu"))
    records = []
    for job in session.plan().jobs.values():
        wall, core = time.monotonic(), time.process_time()
        run_stage(replace(job, evaluations=(), keep_weights=False), ranks, lambda progress: None)
        share = (time.process_time() - core) / (time.monotonic() - wall)
        record = read_stage(session.store, job.name)
        if record is not None and "train" in record:
            records.append({**record, "cpu": share})
            print(f"{job.name}: {record['train']['seconds']:.1f} s, {share:.2f} of a core", flush=True)
    torch.distributed.destroy_process_group()
    return session, records


def on_clock(record: Mapping[str, Any], clock: str) -> dict[str, Any]:
    """The record with the seconds of this clock."""
    share = record["cpu"] if clock == "cpu" else 1.0
    train = {**record["train"], "seconds": record["train"]["seconds"] * share}
    speed = record["speed"]
    times = {name: speed[name] * share for name in ("evaluation_seconds", "setup_seconds")}
    return {**record, "train": train, "speed": {**speed, **times}}


def predict(sessions: list[Any], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fit both models to every other stage; one row per stage with its measured and predicted seconds."""
    from stilts.plan.cost.calibrate import fit, observations_of
    from stilts.plan.graph import Graph

    graph = Graph({key: node for session in sessions for key, node in session.expansion.graph.nodes.items()})
    order = list(records)
    random.Random(0).shuffle(order)
    observed = {record["key"]: observations_of(graph, [record], gpu=False)[0] for record in order}
    fitted = {record["key"] for record in order[::2]}
    measured = fit([observed[key] for key in fitted])
    speeds: dict[tuple[str, ...], list[float]] = {}
    for key in fitted:
        speeds.setdefault(observed[key].tasks, []).append(useful(graph, key, records) / observed[key].seconds)
    rows = []
    for record in records:
        one = observed[record["key"]]
        rates = measured.apply(one.rates)
        predicted = rates.training_seconds(one.work) * rates.by_tasks.get(one.tasks, 1.0)
        number = useful(graph, record["key"], records) / median(speeds[one.tasks])
        rows.append(
            {
                "stage": record["name"],
                "fitted": record["key"] in fitted,
                "seconds": one.seconds,
                "predicted": predicted,
                "one_number": number,
            }
        )
    return rows


def useful(graph: Any, key: str, records: list[dict[str, Any]]) -> float:
    """Operations of the tokens of a stage, without padding: what a model of one number divides by a speed."""
    from stilts.plan.cost.estimate import stage_shapes

    train = next(record["train"] for record in records if record["key"] == key)
    size = stage_shapes(graph)[key]
    return float(train["tokens"] * size.flops_per_token(train["tokens"] / train["examples"], training=True))


def error(rows: list[dict[str, Any]], name: str, *, fitted: bool) -> float:
    """Median absolute error of the stages that were fitted, or of the others."""
    return median(abs(row[name] / row["seconds"] - 1) for row in rows if row["fitted"] is fitted)


def show(rows: list[dict[str, Any]]) -> None:
    print(f"{'stage':<44} {'measured s':>10} {'predicted':>10} {'one number':>10}")
    for row in rows:
        mark = "fitted" if row["fitted"] else ""
        ratios = (f"{row[name] / row['seconds']:>10.2f}" for name in ("predicted", "one_number"))
        print(f"{row['stage'][:44]:<44} {row['seconds']:>10.2f} {' '.join(ratios)} {mark}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a checkpoint that is measured beside the very small model")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    models: dict[str, dict[str, Any]] = {"tiny": TINY}
    if options.model is not None:
        models["model"] = {"path": str(options.model.resolve())}
    with tempfile.TemporaryDirectory() as folder:
        sessions, records = [], []
        for name, model in models.items():
            session, found = run(experiment(Path(folder), name, model))
            sessions.append(session)
            records += [on_clock(record, options.clock) for record in found]
        rows = predict(sessions, records)
    show(rows)
    errors = {
        name: {"fitted": error(rows, name, fitted=True), "others": error(rows, name, fitted=False)}
        for name in ("predicted", "one_number")
    }
    for name, found in errors.items():
        label = "the cost model" if name == "predicted" else "one number"
        print(
            f"median absolute error of {label}: {found['others']:.1%} of the stages that were not fitted, "
            f"{found['fitted']:.1%} of the others"
        )
    if options.json:
        machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()}
        figures = {"machine": machine, "clock": options.clock, "errors": errors, "stages": rows}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
