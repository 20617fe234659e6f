"""Scores of seeds: from rows of the table of results to one number a seed, and to what is said of several seeds.

Invariants: an average stands for everything that it names, or it is not there: one language short and the task has a
status instead of a number, one task short and so has the average over tasks. Seeds that share one artifact (retrieval
on the base model) are one observation, not several equal ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.table import STATUSES, ZERO_SHOT, cell_of, independent
from stilts.statistics.spread import Spread, spread
from stilts.tasks.averages import group_averages, task_average
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import Benchmark

MEAN = "mean"
"""Column of the mean over a target's languages."""

Row = tuple[str, str]
"""(model, intermediate)"""


@dataclass(frozen=True)
class Score:
    """One seed's number, or None and the worst status among its parts.

    Attributes:
        stages: NAMEs of the artifacts that it was measured on.
    """

    value: float | None
    status: str
    stages: frozenset[str]


Scores = dict[tuple[Row, str], dict[int, Score]]
"""(row, column) -> seed -> score"""


def rows_of(table: pa.Table, split: str, condition: str) -> list[dict[str, Any]]:
    """The rows of one split under one condition, of independent cells."""
    rows = table.filter((pc.field("split") == split) & (pc.field("condition") == condition)).to_pylist()
    return independent(rows, cell_of)


def language_scores(rows: Sequence[Mapping[str, Any]], benchmark: Benchmark) -> Scores:
    """The main number in every language of one target, and their mean in the column MEAN."""
    scores: Scores = {}
    for row in rows:
        if row["main"]:
            by_seed = scores.setdefault(((row["model"], row["intermediate"]), row["language"]), {})
            by_seed[row["seed"]] = Score(row["value"], row["status"], frozenset([row["stage"]]))
    return scores | {(row, MEAN): by_seed for (row, _), by_seed in task_scores(rows, benchmark).items()}


def task_scores(rows: Iterable[Mapping[str, Any]], benchmark: Benchmark) -> Scores:
    """The benchmark's average over the languages of each target and seed."""
    cells: dict[tuple[str, str, str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["model"], row["intermediate"], row["target"], row["seed"]), []).append(row)
    scores: Scores = {}
    for (model, intermediate, target, seed), parts in cells.items():
        status = worst(part["status"] for part in parts if part["main"])
        value = None
        if status == "ok":
            metrics: dict[str, dict[str, float]] = {}
            for part in parts:
                metrics.setdefault(part["language"], {})[part["metric"]] = part["value"]
            task = get_task(parts[0]["task"])
            means = task_average(task.name, metrics, benchmark)
            value = means.get(f"avg_{task.metric}", means["avg_metric"])
        stages = frozenset(part["stage"] for part in parts)
        scores.setdefault(((model, intermediate), target), {})[seed] = Score(value, status, stages)
    return scores


def official_targets(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Targets of the benchmark's own setting: trained on English alone, and under their task's name."""
    return {row["target"] for row in rows if row["target"] == row["task"] and row["setting"] == ZERO_SHOT}


def averaged_targets(rows: Sequence[Mapping[str, Any]], benchmark: Benchmark) -> set[str]:
    """Targets that have a part in averages over tasks: official ones, in exactly the benchmark's languages."""
    planned: dict[str, set[str]] = {}
    for row in rows:
        planned.setdefault(row["target"], set()).add(row["language"])
    official = official_targets(rows)
    return {name for name in official if planned[name] == set(benchmark.languages.get(name, ()))}


def averages_of(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    """Averages over tasks -> their tasks: the benchmark's groups, and all of it, by its name."""
    return {**benchmark.groups, benchmark.name: tuple(benchmark.languages)}


def average_scores(scores: Scores, benchmark: Benchmark) -> Scores:
    """The averages over tasks, of each row and seed for which all their tasks are planned.

    Args:
        scores: of official targets.
    """
    averages: Scores = {}
    for row in dict.fromkeys(row for row, _ in scores):
        by_task = {task: scores.get((row, task), {}) for task in benchmark.languages}
        for name, members in averages_of(benchmark).items():
            for seed in sorted(set.intersection(*(set(by_task[task]) for task in members))):
                parts = {task: by_task[task][seed] for task in members}
                averages.setdefault((row, name), {})[seed] = _average(name, parts, benchmark)
    return averages


def _average(name: str, parts: Mapping[str, Score], benchmark: Benchmark) -> Score:
    stages = frozenset().union(*(part.stages for part in parts.values()))
    values = {task: part.value for task, part in parts.items() if part.value is not None}
    if len(values) < len(parts):
        return Score(None, worst(part.status for part in parts.values()), stages)
    return Score(group_averages(values, benchmark)[benchmark.overall if name == benchmark.name else name], "ok", stages)


def distinct(by_seed: Mapping[int, Score]) -> list[Score]:
    """Seeds that share their artifacts are one observation."""
    return list({score.stages: score for _, score in sorted(by_seed.items())}.values())


def spread_of(scores: Iterable[Score]) -> Spread | None:
    """Over the scores that have a number."""
    return spread([score.value for score in scores if score.value is not None])


def paired(ours: Mapping[int, Score], theirs: Mapping[int, Score]) -> list[float]:
    """Differences of the seeds that both have; seeds that share both artifacts are one."""
    differences = {}
    for seed in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[seed], theirs[seed]
        if mine.value is not None and other.value is not None:
            differences[mine.stages, other.stages] = mine.value - other.value
    return list(differences.values())


def worst(statuses: Iterable[str]) -> str:
    return min(statuses, key=STATUSES.index)
