"""One score per seed: averages over languages and over tasks, computed from rows of the table `results`.

An average is computed from complete sets only. If a score in one language is missing, the target's average has a
status instead of a value, and so has every average over tasks that includes the target.

Seeds that share all their artifacts (such as retrieval with the base model, which trains nothing) have equal scores.
They are one observation and count once in means, intervals and tests.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.table import STATUSES, ZERO_SHOT, cell_of, independent
from stilts.statistics.intervals import t_interval
from stilts.statistics.spread import Spread, spread
from stilts.tasks.averages import group_averages, task_average
from stilts.tasks.base import get_task
from stilts.tasks.benchmarks import Benchmark

MEAN = "mean"
"""Name of the column that holds the mean over the languages of a target."""

ModelRegime = tuple[str, str]
"""(model, intermediate): a regime of one base model, whose cells form one row of a table."""


@dataclass(frozen=True)
class Score:
    """The score of one seed.

    Attributes:
        value: in percent; None if one of the scores that it averages is missing.
        status: `ok`, or the worst status (see STATUSES) among the scores that it averages.
        stages: NAMEs of the evaluated stages. Two seeds with the same stages are one observation.
    """

    value: float | None
    status: str
    stages: frozenset[str]


SPREAD_PARTS = ("", "_sd", "_low", "_high")
"""Endings of the columns that `spread_columns` fills."""

Scores = dict[tuple[ModelRegime, str], dict[int, Score]]
"""(row, column) -> seed -> score. A column is a target, a language, or the name of an average."""


def rows_of(table: pa.Table, split: str, condition: str) -> list[dict[str, Any]]:
    """Rows of the table `results` for one split and condition, of independent cells only (see `independent`)."""
    rows = table.filter((pc.field("split") == split) & (pc.field("condition") == condition)).to_pylist()
    return independent(rows, cell_of)


def language_scores(rows: Sequence[Mapping[str, Any]], benchmark: Benchmark) -> Scores:
    """Scores of one target by language (main metric), and their average over languages in the column MEAN."""
    scores: Scores = {}
    for row in rows:
        if row["main"]:
            by_seed = scores.setdefault(((row["model"], row["intermediate"]), row["language"]), {})
            by_seed[row["seed"]] = Score(row["value"], row["status"], frozenset([row["stage"]]))
    return scores | {(row, MEAN): by_seed for (row, _), by_seed in task_scores(rows, benchmark).items()}


def task_scores(rows: Iterable[Mapping[str, Any]], benchmark: Benchmark, metric: str | None = None) -> Scores:
    """Scores by target: the benchmark's average over languages, for each (model, regime) and seed.

    Args:
        metric: the metric to average; None for the main metric of each task.
    """
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
            value = means[f"avg_{metric}"] if metric else means.get(f"avg_{task.metric}", means["avg_metric"])
        stages = frozenset(part["stage"] for part in parts)
        scores.setdefault(((model, intermediate), target), {})[seed] = Score(value, status, stages)
    return scores


def official_targets(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Targets that have their task's name and are trained on English alone, as the benchmark prescribes."""
    return {row["target"] for row in rows if row["target"] == row["task"] and row["setting"] == ZERO_SHOT}


def averaged_targets(rows: Sequence[Mapping[str, Any]], benchmark: Benchmark) -> set[str]:
    """Targets that enter averages over tasks: official targets that are evaluated in all the benchmark's languages."""
    planned: dict[str, set[str]] = {}
    for row in rows:
        planned.setdefault(row["target"], set()).add(row["language"])
    official = official_targets(rows)
    return {name for name in official if planned[name] == set(benchmark.languages.get(name, ()))}


def averages_of(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    """Name of each average over tasks -> its tasks: the benchmark's groups, then all its tasks under its own name."""
    return {**benchmark.groups, benchmark.name: tuple(benchmark.languages)}


def average_scores(scores: Scores, benchmark: Benchmark) -> Scores:
    """Averages over tasks, for each row and seed for which all tasks of the average are planned.

    Args:
        scores: scores of official targets (see `averaged_targets`).
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
    """One score per observation: seeds that share all their artifacts count once."""
    return list({score.stages: score for _, score in sorted(by_seed.items())}.values())


def spread_of(scores: Iterable[Score]) -> Spread | None:
    """Mean and standard deviation of the scores that have a value; None if there is none."""
    return spread([score.value for score in scores if score.value is not None])


def spread_columns(name: str, found: Spread | None) -> dict[str, float | None]:
    """Columns NAME, NAME_sd, NAME_low and NAME_high: mean, standard deviation and 95 % interval (Student's t)."""
    if found is None:
        return {}
    low, high = t_interval(found) or (None, None)
    return dict(zip((f"{name}{part}" for part in SPREAD_PARTS), (found.mean, found.sd, low, high), strict=True))


def paired(ours: Mapping[int, Score], theirs: Mapping[int, Score]) -> list[float]:
    """Differences `ours - theirs` for the seeds that have a value in both; seeds with the same stages count once."""
    differences = {}
    for seed in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[seed], theirs[seed]
        if mine.value is not None and other.value is not None:
            differences[mine.stages, other.stages] = mine.value - other.value
    return list(differences.values())


def worst(statuses: Iterable[str]) -> str:
    """The worst status, in the order of STATUSES."""
    return min(statuses, key=STATUSES.index)
