"""Measures the cost of differences over test items on a full grid, and the coverage of their intervals and p values.

    python benchmarks/items_bootstrap.py [--regimes 10] [--seeds 5] [--json]
    python benchmarks/items_bootstrap.py --coverage [--samples 1000] [--json]

The first command measures the cost. For each target of XTREME, it takes the largest test language at its declared size,
with predictions of `--regimes` regimes and a baseline in `--seeds` seeds. As with trained models, most items are easy
or hard for all systems. Each target runs in a separate process, which measures the seconds of the first time and of a
second time with cached counts, and the peak memory. The figures for the whole grid are scaled by the sizes of all
languages. The exit status is 1 if a target needs more than 1,500 MB.

`--coverage` measures the coverage. Test sets are drawn from populations with a known difference between two systems,
and analysed with the functions that `stilts collect` uses. The output is the share of the 95 % intervals that contain
the true difference (of the `mean` row if there are several languages), and the share of p values below 0.05 for systems
that do not differ. `shared` is the share of the items on which a language behaves like the first language. The exit
status is 1 unless, with at least 200 items, 93 to 97 % are covered and 3 to 7 % are below 0.05. The last rows (`rare`)
are for systems that disagree on only 2 % of the items; they show where the limits no longer hold.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
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
from stilts.results.items.gather import Comparison, Found, Group, compare, means_over_languages
from stilts.results.items.kept import Kept
from stilts.results.items.keys import item_keys
from stilts.statistics.power import ALPHA
from stilts.storage.local import LocalStore
from stilts.tasks.base import Task, get_task
from stilts.tasks.benchmarks import XTREME
from stilts.tasks.families import get_family

Array = NDArray[np.float64]

MEGABYTES = 1500.0
COVERED = (0.93, 0.97)
BELOW = (0.03, 0.07)
ENOUGH = 200
"""Minimum number of items for which the limits must hold."""

EASY, AGREE = 0.75, 0.8
"""Share of items that most systems get right, and share of systems that agree with the majority on an item."""

BUCC_PAIRS = 10_000
"""Number of gold pairs of BUCC's largest language; systems find about as many."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regimes", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.target:
        print(json.dumps(cost(get_task(options.target), options.regimes, options.seeds)))
        return 0
    if options.coverage:
        figures = [coverage(design, options.samples) for design in DESIGNS]
        few = [coverage(design, options.samples) for design in FEW]
        print(json.dumps(figures + few, indent=1)) if options.json else show_coverage(figures + few)
        return int(not within(figures))
    costs = {target: in_a_process(target, options) for target in XTREME.languages}
    grid = {key: round(sum(found[f"grid_{key}"] for found in costs.values())) for key in ("first", "again")}
    print(json.dumps({"cost": costs, "grid_seconds": grid}, indent=1)) if options.json else show_costs(costs, grid)
    return int(any(found["megabytes"] >= MEGABYTES for found in costs.values()))


# --- cost


def in_a_process(target: str, options: argparse.Namespace) -> dict[str, Any]:
    arguments = ["--target", target, "--regimes", str(options.regimes), "--seeds", str(options.seeds)]
    ran = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def cost(task: Task, regimes: int, seeds: int) -> dict[str, Any]:
    """Measure CPU seconds and megabytes for the largest language, and scale the seconds to all languages."""
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
    """Write the examples and predictions of a group to the store."""
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
    """Random gold with one entry per item (per pair for BUCC), and canonical examples that contain it."""
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
    rows, schema = len(columns["id"]), get_family(task.family).schema
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return gold, pa.table(arrays, schema=schema)


def example_rows(task: Task, ids: list[str]) -> pa.Table:
    """Canonical examples that only have ids."""
    schema = get_family(task.family).schema
    columns = [pa.array(ids) if f.name == "id" else pa.nulls(len(ids), f.type) for f in schema]
    return pa.table(columns, schema=schema)


def answers(task: Task, gold: list[Any], easy: list[bool], rng: random.Random) -> Any:
    """Predictions that mostly agree with the majority of the systems on whether an item is answered correctly."""
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


# --- coverage


@dataclass(frozen=True)
class Design:
    """A task's test sets in several languages, as samples of them are drawn.

    Attributes:
        task: whose items they are: it says whether its languages share them.
        sizes: items of each language; where all share one pool, the first language has all of it.
        shared: probability that a language's answers to an item are right or wrong as the first language's are.
        draw: `accuracy`, `f1`, or `rare`: accuracy of systems that disagree on 2 % of the items.
    """

    what: str
    task: str
    sizes: tuple[int, ...]
    shared: float = 0.0
    draw: str = "accuracy"


DESIGNS = (
    *(Design("one language", "panx", (size,), draw=draw) for draw in ("accuracy", "f1") for size in (50, 200, 1000)),
    Design("languages of their own items", "udpos", (200, 400, 600) * 2, draw="f1"),
    *(Design("translations", "xnli", (600,) * 11, share) for share in (0.3, 0.5, 0.8)),
    *(Design("partly shared items", "mlqa", (1200, *(500,) * 6), share) for share in (0.3, 0.5, 0.8)),
)

FEW = tuple(Design("one language", "panx", (size,), draw="rare") for size in (50, 200, 1000))
"""Designs for which no limits hold: the systems disagree on 1, 4 and 20 items on average."""

GAIN = 0.05
"""By how much the better system's share of right items is larger; 0 where p values are measured."""

BATCH = 25
"""Number of samples that share their bootstrap weights; each sample is drawn with and without the gain."""


def coverage(design: Design, samples: int) -> dict[str, Any]:
    """The share of 95 % intervals that contain the true difference, and of p < 0.05 if the systems do not differ."""
    rng = np.random.default_rng([int(100 * design.shared), *design.sizes])
    true = true_difference(design)
    covered = below = total = 0
    for batch in range(-(-samples // BATCH)):
        for gain in (GAIN, 0.0):
            for low, high, p in tested(design, gain, f"{batch} {gain}", rng):
                if gain:
                    total += 1
                    covered += low <= true <= high
                else:
                    below += p < ALPHA
    return {
        "what": design.what, "score": design.draw, "languages": len(design.sizes), "items": max(design.sizes),
        "shared": design.shared, "samples": total, "covered": round(covered / total, 4),
        "below": round(below / total, 4),
    }  # fmt: skip


def tested(design: Design, gain: float, name: str, rng: np.random.Generator) -> Iterator[tuple[float, float, float]]:
    """(low, high, p) of the `mean` row of each sample of a batch, as `stilts collect` computes them."""
    task = get_task(design.task)
    comparisons: list[list[tuple[Comparison, Found]]] = [[] for _ in range(BATCH)]
    pool = [draw_pair(design, max(design.sizes), gain, rng) for _ in range(BATCH)]
    for number, size in enumerate(design.sizes):
        language = task.languages[number]
        rows = np.sort(rng.permutation(max(design.sizes))[:size])
        table = example_rows(task, [f"{name} {row}" for row in rows])
        keys = item_keys(task, f"{name} {language}", table, size)
        pairs = [first[:, rows] for first in pool]
        counts = np.concatenate(pairs if number == 0 else [vary(design, first, gain, rng) for first in pairs])
        scores = resample(counts, main_number, keys, task.parallel)
        for sample in range(BATCH):
            differences = scores[:, 2 * sample] - scores[:, 2 * sample + 1]
            where = Comparison("test", task.name, "model", "regime", language)
            comparisons[sample].append((where, Found(differences, keys, (1,), None)))
    for parts in comparisons:
        [(_, mean)] = means_over_languages(parts)
        assert mean.differences is not None
        assert mean.keys is not None
        found = difference(mean.differences, len(mean.keys))
        if found.low is None or found.high is None or found.p is None:
            yield found.points, found.points, 1.0
        else:
            yield found.low, found.high, found.p


def vary(design: Design, first: Array, gain: float, rng: np.random.Generator) -> Array:
    """Counts of another language: equal to those of the first language on some items, independent on the others."""
    own = draw_pair(design, first.shape[1], gain, rng)
    return np.where(rng.random(first.shape[1])[None, :, None] < design.shared, first, own)


def draw_pair(design: Design, items: int, gain: float, rng: np.random.Generator) -> Array:
    """Counts [2, items, counts] of a system and a baseline, which mostly get the same items right."""
    return {"accuracy": accuracy, "f1": f1, "rare": rare}[design.draw](items, gain, rng)


def accuracy(items: int, gain: float, rng: np.random.Generator) -> Array:
    """Scores [2, items, 1] of items that score 0 or 100."""
    ease = rng.beta(2, 1, items) * (1 - gain)
    return 100.0 * np.stack([rng.random(items) < ease + gain, rng.random(items) < ease])[..., None]


def rare(items: int, gain: float, rng: np.random.Generator) -> Array:
    """Scores [2, items, 1] of items that score 0 or 100. The systems differ on 2 % of the items; with a gain, the first
    system is right on 3 in 4 of these."""
    theirs = rng.random(items) < 0.8
    differ = rng.random(items) < 0.02
    theirs[differ] = rng.random(int(differ.sum())) < (0.25 if gain else 0.5)
    return 100.0 * np.stack([theirs ^ differ, theirs])[..., None]


def f1(items: int, gain: float, rng: np.random.Generator) -> Array:
    """Counts [2, items, 3] of right, predicted and gold chunks in sentences."""
    wanted = rng.poisson(2, items)
    ease = rng.beta(2, 1, items) * (1 - gain)
    systems = []
    for chance in (ease + gain, ease):
        right = rng.binomial(wanted, chance)
        systems.append(np.stack([right, right + rng.poisson(0.4, items), wanted], axis=-1))
    return np.stack(systems).astype(np.float64)


@cache
def true_difference(design: Design) -> float:
    """The true difference of the population in points; for F1, it is estimated from a large sample."""
    if design.draw != "f1":
        return 100 * GAIN if design.draw == "accuracy" else 1.0
    ours, theirs = main_number(f1(4_000_000, GAIN, np.random.default_rng(0)).mean(axis=1))
    return float(ours - theirs)


def main_number(means: Array) -> Array:
    """The accuracy or the F1 of mean counts, in percent."""
    if means.shape[-1] == 1:
        return means[..., 0]
    return 200 * means[..., 0] / np.maximum(means[..., 1] + means[..., 2], 1e-9)


# --- output


def show_costs(costs: dict[str, dict[str, Any]], grid: dict[str, float]) -> None:
    print(f"{'target':<10} {'':<3} {'items':>8} {'predictions':>12} {'first s':>8} {'again s':>8} {'MB':>6}")
    for target, found in costs.items():
        print(
            f"{target:<10} {found['language']:<3} {found['items']:>8} {found['predictions']:>12} {found['first']:>8} "
            f"{found['again']:>8} {found['megabytes']:>6}"
        )
    print(f"the whole grid: {grid['first']} s of one core the first time, {grid['again']} s again")


def show_coverage(figures: list[dict[str, Any]]) -> None:
    print(f"{'test sets':<29} {'score':<9} {'languages':>9} {'items':>6} {'shared':>7} {'covered':>8} {'p < .05':>8}")
    for row in figures:
        print(
            f"{row['what']:<29} {row['score']:<9} {row['languages']:>9} {row['items']:>6} {row['shared']:>7.0%} "
            f"{row['covered']:>8.1%} {row['below']:>8.1%}"
        )


def within(figures: list[dict[str, Any]]) -> bool:
    kept = [row for row in figures if row["items"] >= ENOUGH]
    covered = all(COVERED[0] <= row["covered"] <= COVERED[1] for row in kept)
    return covered and all(BELOW[0] <= row["below"] <= BELOW[1] for row in kept)


if __name__ == "__main__":
    sys.exit(main())
