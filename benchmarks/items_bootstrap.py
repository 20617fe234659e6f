"""What differences over test items cost on a full grid, and whether their intervals and p keep their promise.

    python benchmarks/items_bootstrap.py [--regimes 10] [--seeds 5] [--samples 1000] [--json]

Cost: for each target of XTREME, its largest test language at its declared size, with predictions of `--regimes` regimes
and a baseline in `--seeds` seeds, which agree with each other as trained models do (most items are easy or hard for all
of them). Each target in a process of its own: seconds the first time and with kept counts, peak memory. The whole grid
is these seconds by the sizes of all languages.

Promise: samples are drawn from populations of which the difference between two systems is known, of items scored right
or wrong and of sentences with chunks. Of the 95 % intervals, the share that covers it; of systems that do not differ,
the share of p below 0.05, and beside it that of the bootstrap's own p (twice the share of draws beyond 0).
Exit status 1 where a limit is passed: 1,500 MB, from 200 items on 93 to 97 % covered and 3 to 7 % below 0.05.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stilts.evaluate.predictions import suffix, write_predictions
from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.ledger.data import publish_table
from stilts.ledger.record import write_evaluation
from stilts.results.items.bootstrap import difference, resample
from stilts.results.items.gather import Comparison, Group, compare
from stilts.results.items.kept import Kept
from stilts.storage.local import LocalStore
from stilts.tasks.base import Task, get_task
from stilts.tasks.benchmarks import XTREME
from stilts.tasks.schema import SCHEMAS

MEGABYTES = 1500.0
COVERED = (0.93, 0.97)
BELOW = (0.03, 0.07)
ENOUGH = 200
"""Items from which on the limits hold."""

EASY, AGREE = 0.75, 0.8
"""Share of items that most systems get right, and of systems that do on an item as most do."""

BUCC_PAIRS = 10_000
"""Gold pairs of its largest language, about as many as systems find."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regimes", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.target:
        print(json.dumps(cost(get_task(options.target), options.regimes, options.seeds)))
        return 0
    costs = {target: in_a_process(target, options) for target in XTREME.languages}
    grid = {key: round(sum(found[f"grid_{key}"] for found in costs.values())) for key in ("first", "again")}
    promises = [promise(kind, items, options.samples) for kind in (accuracy, f1) for items in (50, 200, 1000)]
    if options.json:
        print(json.dumps({"cost": costs, "grid_seconds": grid, "promise": promises}, indent=1))
    else:
        show(costs, grid, promises)
    return int(not within(costs, promises))


# --- cost


def in_a_process(target: str, options: argparse.Namespace) -> dict[str, Any]:
    arguments = ["--target", target, "--regimes", str(options.regimes), "--seeds", str(options.seeds)]
    ran = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def cost(task: Task, regimes: int, seeds: int) -> dict[str, Any]:
    """CPU seconds and megabytes of the largest language, and seconds of all languages."""
    sizes = {language: task.rows("test", language) or 0 for language in XTREME.languages[task.name]}
    language = max(sizes, key=lambda name: sizes[name])
    with tempfile.TemporaryDirectory() as folder:
        store, kept = LocalStore(Path(folder) / "store"), Kept(Path(folder))
        group = predicted(store, task, language, sizes[language], regimes, seeds)
        before = peak()
        first, again = (seconds(store, group, kept) for _ in range(2))
    scale = sum(sizes.values()) / sizes[language]
    return {
        "language": language, "items": sizes[language], "predictions": len(group.wanted), "first": round(first, 2),
        "again": round(again, 2), "megabytes": round(peak()), "before": round(before), "grid_first": first * scale,
        "grid_again": again * scale,
    }  # fmt: skip


def seconds(store: LocalStore, group: Group, kept: Kept) -> float:
    began = time.process_time()
    compare(store, group, kept)
    return time.process_time() - began


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def predicted(store: LocalStore, task: Task, language: str, size: int, regimes: int, seeds: int) -> Group:
    """A group whose examples and predictions are in the store."""
    rng = random.Random(f"{task.name} {language}")
    ref = DataRef(task.name, "test", language, "sha256:invented")
    spec = EvaluationSpec(task.name, task.version, "test", language, ref)
    gold, table = examples(task, size, rng)
    publish_table(store, table, ref.path)
    group = Group(spec)
    easy = [rng.random() < EASY for _ in range(len(gold))]
    baseline = [(f"none-s{seed}", spec.path) for seed in range(seeds)]
    for regime in range(regimes):
        ours = [(f"r{regime}-s{seed}", spec.path) for seed in range(seeds)]
        pairs = {pair: seed for seed, pair in enumerate(zip(ours, baseline, strict=True))}
        group.comparisons[Comparison("test", task.name, "large", f"r{regime}", language, pairs)] = None
        group.wanted |= dict.fromkeys([*ours, *baseline], spec)
    for stage, _ in group.wanted:
        content = write_predictions(task.name, answers(task, gold, easy, rng))
        write_evaluation(store, stage, spec, content, f".{suffix(task.name)}", {})
    return group


WORDS = [f"word{i}" for i in range(5000)]


def examples(task: Task, size: int, rng: random.Random) -> tuple[list[Any], pa.Table]:
    """Invented gold, one entry an item (of BUCC a pair), and canonical examples that hold it."""
    ids = [str(i) for i in range(size)]
    columns: dict[str, Any] = {"id": ids}
    if task.family == "classification":
        gold = [rng.randrange(len(task.labels)) for _ in ids]
        columns["label"] = gold
    elif task.family == "tagging":
        gold = [rng.choices(task.labels, k=rng.randint(5, 25)) for _ in ids]
        columns |= {"tokens": gold, "tags": gold}
    elif task.family == "span_qa":
        gold = [" ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in ids]
        columns["answers"] = [[{"text": text, "start": 0}] for text in gold]
    elif task.name == "tatoeba":
        gold = [str(i) for i in range(size // 2)]
        columns |= {"side": ["en"] * len(gold), "id": gold, "gold": [[line] for line in gold]}
    else:
        foreign = size // 2
        gold = [(ids[i], ids[foreign + i]) for i in range(BUCC_PAIRS)]
        columns |= {"side": ["foreign"] * foreign + ["en"] * (size - foreign)}
        columns["gold"] = [[ids[foreign + i]] if i < BUCC_PAIRS else [] for i in range(size)]
    rows, schema = len(columns["id"]), SCHEMAS[task.family]
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return gold, pa.table(arrays, schema=schema)


def answers(task: Task, gold: list[Any], easy: list[bool], rng: random.Random) -> Any:
    """Predictions that are right where most systems are, and now and then elsewhere."""
    right = [is_easy == (rng.random() < AGREE) for is_easy in easy]
    if task.family == "classification":
        return [task.labels[g if ok else (g + 1) % len(task.labels)] for g, ok in zip(gold, right, strict=True)]
    if task.family == "tagging":
        return [g if ok else [*g[:-2], *rng.choices(task.labels, k=2)] for g, ok in zip(gold, right, strict=True)]
    if task.family == "span_qa":
        wrong = (f"{g} {rng.choice(WORDS[:5])}" for g in gold)
        return {str(i): g if ok else next(wrong) for i, (g, ok) in enumerate(zip(gold, right, strict=True))}
    if task.name == "tatoeba":
        return [g if ok else rng.choice(gold) for g, ok in zip(gold, right, strict=True)]
    return {g if ok else (g[0], gold[rng.randrange(len(gold))][1]) for g, ok in zip(gold, right, strict=True)}


# --- promise


def accuracy(items: int, gain: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """[2, items, 1] of items scored 0 or 100: both systems mostly get the same ones right."""
    ease = rng.beta(2, 1, items) * (1 - gain)
    return 100.0 * np.stack([rng.random(items) < ease + gain, rng.random(items) < ease])[..., None]


def f1(items: int, gain: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """[2, items, 3] of sentences with right, predicted and gold chunks."""
    wanted = rng.poisson(2, items)
    ease = rng.beta(2, 1, items) * (1 - gain)
    systems = []
    for chance in (ease + gain, ease):
        right = rng.binomial(wanted, chance)
        systems.append(np.stack([right, right + rng.poisson(0.4, items), wanted], axis=-1))
    return np.stack(systems).astype(np.float64)


def main_number(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of either kind."""
    if means.shape[-1] == 1:
        return means[..., 0]
    return 200 * means[..., 0] / np.maximum(means[..., 1] + means[..., 2], 1e-9)


def promise(kind: Any, items: int, samples: int) -> dict[str, Any]:
    """Shares over samples of so many items."""
    rng = np.random.default_rng([items, samples])
    gain = 0.05
    population = main_number(kind(2_000_000, gain, rng).mean(axis=1))
    true = population[0] - population[1]
    covered = below = below_by_draws = 0
    for _ in range(samples):
        found = difference(points(kind(items, gain, rng)), items)
        covered += found.low is not None and found.high is not None and found.low <= true <= found.high
        draws = points(kind(items, 0.0, rng))
        tested = difference(draws, items)
        below += tested.p is not None and tested.p < 0.05
        below_by_draws += 2 * min(np.mean(draws[1:] <= 0), np.mean(draws[1:] >= 0)) < 0.05
    shares = {"covered": covered, "below": below, "below_by_draws": below_by_draws}
    return {"kind": kind.__name__, "items": items, "difference": round(float(true), 2)} | {
        name: round(count / samples, 4) for name, count in shares.items()
    }


def points(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    scores = resample(counts, main_number)
    return scores[:, 0] - scores[:, 1]


# --- what is said


def show(costs: dict[str, dict[str, Any]], grid: dict[str, float], promises: list[dict[str, Any]]) -> None:
    print(f"{'target':<10} {'':<3} {'items':>8} {'predictions':>12} {'first s':>8} {'again s':>8} {'MB':>6}")
    for target, found in costs.items():
        print(
            f"{target:<10} {found['language']:<3} {found['items']:>8} {found['predictions']:>12} {found['first']:>8} "
            f"{found['again']:>8} {found['megabytes']:>6}"
        )
    print(f"the whole grid: {grid['first']} s of one core the first time, {grid['again']} s again\n")
    print(f"{'':<9} {'items':>6} {'difference':>11} {'covered':>8} {'p < .05':>8} {'by draws':>9}")
    for row in promises:
        print(
            f"{row['kind']:<9} {row['items']:>6} {row['difference']:>11} {row['covered']:>8.1%} {row['below']:>8.1%} "
            f"{row['below_by_draws']:>9.1%}"
        )


def within(costs: dict[str, dict[str, Any]], promises: list[dict[str, Any]]) -> bool:
    small = all(found["megabytes"] < MEGABYTES for found in costs.values())
    kept = [row for row in promises if row["items"] >= ENOUGH]
    covered = all(COVERED[0] <= row["covered"] <= COVERED[1] for row in kept)
    return small and covered and all(BELOW[0] <= row["below"] <= BELOW[1] for row in kept)


if __name__ == "__main__":
    sys.exit(main())
