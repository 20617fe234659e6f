"""Compares the training throughput of stilts with that of transformers' Trainer, on the same model and examples.

Throughput is the number of real tokens per second; padding is not counted. The contenders are `stilts` (packed rows),
`dynamic` (Trainer with padding to the longest sequence of a batch, its default) and `maximum` (Trainer with padding to
the maximum length, as in XTREME's scripts). The lengths are drawn from log-normal distributions with the means of XNLI,
UD-POS and TyDiQA in XLM-R tokens, and with spreads for which dynamic padding has the share of padding that was measured
on these tasks. Each run is a separate process, so that its peak memory can be measured. The contenders alternate, and
the median over the rounds counts.

    python benchmarks/throughput.py [--steps 8] [--rounds 1] [--threads 2] [--json results.json]

The Trainer needs `accelerate` (`pip install accelerate`). The defaults take under five minutes on two idle cores.
Targets: at least 1.3 times the throughput of dynamic, 2.5 times that of maximum, and at most 1.2 times the memory.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

CONTENDERS = ("stilts", "dynamic", "maximum")
WARM_UP = 2
"""Number of steps before the measurement starts."""
MODEL = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 1536}
VOCABULARY = 8000
SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


@dataclass(frozen=True)
class Shape:
    """Form of a task's batches.

    Attributes:
        mean: mean length of an example in tokens.
        spread: standard deviation of the logarithm of the length.
        batch: examples per batch.
    """

    family: str
    mean: float
    spread: float
    batch: int
    max_length: int
    labels: int


SHAPES = {
    "xnli": Shape("classification", 38, 0.24, 32, 128, 3),
    "udpos": Shape("tagging", 24, 0.59, 32, 128, 17),
    "tydiqa": Shape("span_qa", 155, 0.50, 16, 384, 2),
}


def examples(shape: Shape, count: int) -> list[dict[str, Any]]:
    """Random rows of features, the same for all contenders."""
    rng = np.random.default_rng(0)
    centre = np.log(shape.mean) - shape.spread**2 / 2
    lengths = np.clip(rng.lognormal(centre, shape.spread, count), 5, shape.max_length).astype(int)
    rows: list[dict[str, Any]] = []
    for number, length in enumerate(lengths.tolist()):
        ids = [0, *rng.integers(4, VOCABULARY, length - 2).tolist(), 2]
        row: dict[str, Any] = {"item": number, "example": number, "input_ids": ids}
        if shape.family == "classification":
            row["label"] = int(rng.integers(shape.labels))
        elif shape.family == "tagging":
            row["positions"] = list(range(1, length - 1, 2))
            row["labels"] = rng.integers(shape.labels, size=len(row["positions"])).tolist()
        else:
            row["start"] = row["end"] = int(rng.integers(length))
        rows.append(row)
    return rows


def encoder_config() -> Any:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(vocab_size=VOCABULARY, max_position_embeddings=514, type_vocab_size=1, **SPECIAL, **MODEL)


def run_stilts(shape: Shape, rows: list[dict[str, Any]], steps: int) -> list[tuple[float, float, int]]:
    """Train with stilts; return (wall-clock seconds, CPU seconds, tokens so far) at the end of each measured step."""
    import pyarrow as pa
    import torch
    from transformers import AutoModel

    from stilts.data.batching import Sampler
    from stilts.experiment.recipe import Recipe
    from stilts.experiment.runtime import Runtime
    from stilts.train.heads import HeadSpec, make_head
    from stilts.train.loop import train
    from stilts.train.model import Model
    from stilts.train.ranks import connect
    from stilts.train.step_schedule import TrainPart

    torch.manual_seed(0)
    config = encoder_config()
    spec = HeadSpec("head", shape.family, tuple(map(str, range(shape.labels))))
    head = make_head(spec, config, config.hidden_size, 0)
    model = Model(AutoModel.from_config(config), None, [spec], [head])
    recipe = Recipe(
        max_steps=steps, batch_size=shape.batch, max_length=shape.max_length, precision="fp32", selection="last"
    )
    order = Sampler(len(rows), shape.batch, recipe.seed)
    tokens = np.cumsum([sum(len(rows[item]["input_ids"]) for item in order.step(step)) for step in range(steps)])
    clock: list[tuple[float, float, int]] = []

    def report(progress: dict[str, Any]) -> None:
        clock.append((time.perf_counter(), time.process_time(), int(tokens[progress["step"] - 1])))

    ranks = connect(0, 1, "127.0.0.1", 0, torch.device("cpu"))
    part = TrainPart("task", "head", pa.Table.from_pylist(rows), recipe)
    train(model, [part], recipe, Runtime(), ranks, report=report)
    return [mark for mark in clock if mark[2] >= tokens[WARM_UP - 1]]


def run_trainer(shape: Shape, rows: list[dict[str, Any]], steps: int, maximum: bool) -> list[tuple[float, float, int]]:
    """Train with transformers' Trainer; return the same as `run_stilts`."""
    import torch
    import transformers
    from transformers import (
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    transformers.logging.set_verbosity_error()
    heads = {
        "classification": AutoModelForSequenceClassification,
        "tagging": AutoModelForTokenClassification,
        "span_qa": AutoModelForQuestionAnswering,
    }
    torch.manual_seed(0)
    config = encoder_config()
    config.num_labels = shape.labels
    model = heads[shape.family].from_config(config)
    seen = [0]
    clock: list[tuple[float, float, int]] = []

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = shape.max_length if maximum else max(len(row["input_ids"]) for row in batch)
        ids = torch.full((len(batch), width), SPECIAL["pad_token_id"])
        labels = torch.full((len(batch), width), -100)
        for i, row in enumerate(batch):
            ids[i, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            if shape.family == "tagging":
                labels[i, row["positions"]] = torch.tensor(row["labels"])
        seen[0] += sum(len(row["input_ids"]) for row in batch)
        inputs = {"input_ids": ids, "attention_mask": (ids != SPECIAL["pad_token_id"]).long()}
        if shape.family == "tagging":
            return {**inputs, "labels": labels}
        if shape.family == "classification":
            return {**inputs, "labels": torch.tensor([row["label"] for row in batch])}
        ends = {"start_positions": [row["start"] for row in batch], "end_positions": [row["end"] for row in batch]}
        return inputs | {name: torch.tensor(values) for name, values in ends.items()}

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.global_step >= WARM_UP:
                clock.append((time.perf_counter(), time.process_time(), seen[0]))

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        max_steps=steps,
        per_device_train_batch_size=shape.batch,
        learning_rate=2e-5,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=True,
    )
    # Without worker processes, batches are fetched one at a time, so that the collated tokens are those trained on.
    Trainer(model, arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]).train()
    return clock


def child(task: str, contender: str, steps: int, threads: int) -> None:
    """Do one run and print its figures as one line of JSON."""
    import torch

    torch.set_num_threads(threads)
    shape = SHAPES[task]
    rows = examples(shape, shape.batch * (steps + 2))
    if contender == "stilts":
        clock = run_stilts(shape, rows, steps)
    else:
        clock = run_trainer(shape, rows, steps, contender == "maximum")
    (wall, cpu, first), (last_wall, last_cpu, last) = clock[0], clock[-1]
    numbers = {
        "tokens_per_second": (last - first) / (last_wall - wall),
        "tokens_per_cpu_second": (last - first) / (last_cpu - cpu),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(numbers))


def measure(task: str, contender: str, steps: int, threads: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", task, contender, "--steps", str(steps), "--threads", str(threads)]
    root = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{task}/{contender} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="timed optimizer steps")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tasks", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--child", nargs=2, metavar=("TASK", "CONTENDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, steps=options.steps, threads=options.threads)
        return
    runs: dict[str, dict[str, list[dict[str, float]]]] = {task: {c: [] for c in CONTENDERS} for task in options.tasks}
    for _ in range(options.rounds):
        for task in options.tasks:
            for contender in CONTENDERS:
                runs[task][contender].append(measure(task, contender, options.steps + WARM_UP, options.threads))
    results = {task: summary(found) for task, found in runs.items()}
    print_table(results)
    if options.json:
        facts = {package: version(package) for package in ("torch", "transformers", "deepspeed")}
        settings = {"steps": options.steps, "rounds": options.rounds, "threads": options.threads, "model": MODEL}
        options.json.write_text(
            json.dumps({"machine": platform.processor(), **settings, "versions": facts, "results": results}, indent=1)
        )


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians over the rounds, and the ratios of stilts to the other contenders."""
    names = ("tokens_per_second", "tokens_per_cpu_second", "peak_megabytes")
    medians = {c: {name: median(run[name] for run in runs) for name in names} for c, runs in found.items()}
    ratios = {
        other: {name: medians["stilts"][name] / medians[other][name] for name in names} for other in CONTENDERS[1:]
    }
    return {**medians, "ratio_to": ratios}


def print_table(results: dict[str, Any]) -> None:
    print("| task | contender | tokens/s | ratio | tokens/CPU s | ratio | peak MB | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for task, found in results.items():
        for contender in CONTENDERS:
            cells = [task, contender]
            for name, value in found[contender].items():
                ratio = "" if contender == "stilts" else f"{found['ratio_to'][contender][name]:.2f}"
                cells += [f"{value:.0f}", ratio]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
