"""From the table of results to summaries over languages, tasks and seeds.

Invariants: one task short, and the average over tasks has a status instead of a number, as a task has where a
language is missing (see `scores.py`). A summary counts what was trained.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.collect.scores import (
    MEAN,
    Row,
    Score,
    Scores,
    distinct,
    language_scores,
    paired,
    rows_of,
    spread_of,
    task_scores,
    worst,
)
from stilts.collect.statistics.spread import Spread, spread
from stilts.collect.table import CLEAN, STATUSES, ZERO_SHOT, benchmark_of
from stilts.evaluate.xtreme import Benchmark, group_averages
from stilts.spec.experiment import NONE
from stilts.tasks.base import get_task

_METRICS = {"metric": "mean of exact match and F1"}


@dataclass(frozen=True)
class Entry:
    """What one row of the table says about one column.

    Attributes:
        score: over the seeds that have a number; None where none has.
        planned: observations planned.
        lacking: status -> observations without a number, worst status first.
        difference: to the row without an intermediate, over the seeds that both have; None for that row itself.
    """

    score: Spread | None
    planned: int
    lacking: Mapping[str, int]
    difference: Spread | None


@dataclass(frozen=True)
class Summary:
    """A table over seeds: rows in the experiment's order, entries by (row, column), none where nothing was planned.

    Attributes:
        title: what the columns are.
        parts: columns measured: targets, or languages.
        averages: columns computed of them.
        benchmark: name of the benchmark whose averages they are.
        notes: what a reader must know to compare the numbers with published ones.
        outside: targets of which no average is taken, with what they are.
    """

    title: str
    split: str
    rows: tuple[Row, ...]
    parts: tuple[str, ...]
    averages: tuple[str, ...]
    benchmark: str
    entries: Mapping[tuple[Row, str], Entry]
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.parts, *self.averages)

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows that are compared to a baseline; none where nothing can be paired."""
        paired = {row[0] for (row, _), entry in self.entries.items() if entry.difference}
        return tuple(row for row in self.rows if row[0] in paired and row[1] != NONE)


def splits(table: pa.Table) -> list[str]:
    """The splits that were evaluated, test first."""
    found = pc.unique(table["split"]).to_pylist()
    return sorted(found, key=lambda split: (split != "test", split))


def official_order(benchmark: Benchmark) -> tuple[str, ...]:
    """The benchmark's tasks, group by group."""
    return tuple(
        dict.fromkeys([*(task for group in benchmark.groups.values() for task in group), *benchmark.languages])
    )


def targets(table: pa.Table, split: str) -> list[str]:
    """The targets evaluated on a split, in the benchmark's order, others after them in the experiment's."""
    found = pc.unique(table.filter(pc.field("split") == split)["target"]).to_pylist()
    order = official_order(benchmark_of(table))
    return sorted(found, key=lambda name: order.index(name) if name in order else len(order))


def summarise(table: pa.Table, split: str) -> Summary:
    """Every target, and the averages over targets that the benchmark defines, for one split of the clean data.

    An average is over targets that are trained on English alone and bear their task's name; others, which are the same
    tasks in other settings, have their columns and no part in it.
    """
    benchmark, rows = benchmark_of(table), rows_of(table, split, CLEAN)
    scores = task_scores(rows, benchmark)
    names = targets(table, split)
    official = {row["target"] for row in rows if row["target"] == row["task"] and row["setting"] == ZERO_SHOT}
    averages = average_scores({key: found for key, found in scores.items() if key[1] in official}, benchmark)
    shown = {column for _, column in averages}
    return Summary(
        title=f"{split}: mean over languages",
        split=split,
        rows=row_order(rows),
        parts=tuple(names),
        averages=tuple(name for name in _averages(benchmark) if name in shown),
        benchmark=benchmark.name,
        entries=_entries(scores | averages),
        notes=tuple(_coverage(rows, [name for name in names if name in official], benchmark)),
        outside=tuple(f"{name} ({_kind(rows, name)})" for name in names if name not in official),
    )


def summarise_languages(table: pa.Table, split: str, target: str) -> Summary:
    """Every language of one target, for one split of the clean data."""
    benchmark, rows = benchmark_of(table), rows_of(table.filter(pc.field("target") == target), split, CLEAN)
    return Summary(
        title=title(rows, target, split),
        split=split,
        rows=row_order(rows),
        parts=language_order(rows),
        averages=(MEAN,),
        benchmark=benchmark.name,
        entries=_entries(language_scores(rows, benchmark)),
    )


def ended(table: pa.Table) -> list[tuple[str, str, str]]:
    """(status, stage NAME, error) of every stage that failed or diverged."""
    bad = table.filter(pc.field("status").isin(["failed", "diverged"])).select(["status", "stage", "error"])
    return list(dict.fromkeys((row["status"], row["stage"], row["error"] or "") for row in bad.to_pylist()))


def title(rows: Sequence[Mapping[str, Any]], target: str, split: str) -> str:
    """What the numbers of one target are: its name, with its task and setting where they are not the usual."""
    metric = get_task(next(row["task"] for row in rows if row["target"] == target)).metric
    kind = _kind(rows, target)
    return f"{target}{'' if kind == target else f' ({kind})'} {split}: {_METRICS.get(metric, metric)}"


def _kind(rows: Sequence[Mapping[str, Any]], target: str) -> str:
    """A target's task, with the setting where it is not the usual one."""
    first = next(row for row in rows if row["target"] == target)
    return first["task"] if first["setting"] == ZERO_SHOT else f"{first['task']}, {first['setting']}"


def language_order(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The languages of one target's rows, in the task's order, others after them by name."""
    found = {row["language"]: get_task(row["task"]) for row in rows}
    known = [language for task in found.values() for language in task.all_languages]
    official = dict.fromkeys(language for language in known if language in found)
    return (*official, *sorted(found.keys() - official.keys()))


def row_order(rows: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Models as they come; within a model the baseline first."""
    found = dict.fromkeys((row["model"], row["intermediate"]) for row in rows)
    models = list(dict.fromkeys(model for model, _ in found))
    return tuple(sorted(found, key=lambda row: (models.index(row[0]), row[1] != NONE)))


def _averages(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    """Columns of means over tasks: the benchmark's groups, and all of it, by its name."""
    return {**benchmark.groups, benchmark.name: tuple(benchmark.languages)}


def average_scores(scores: Scores, benchmark: Benchmark) -> Scores:
    """The averages over tasks, of each row and seed for which all their tasks are planned."""
    averages: Scores = {}
    for row in dict.fromkeys(row for row, _ in scores):
        by_task = {task: scores.get((row, task), {}) for task in benchmark.languages}
        for name, members in _averages(benchmark).items():
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


def _entries(scores: Scores) -> dict[tuple[Row, str], Entry]:
    entries = {}
    for (row, column), by_seed in scores.items():
        found = distinct(by_seed)
        lacking = Counter(score.status for score in found if score.value is None)
        model, intermediate = row
        baseline = {} if intermediate == NONE else scores.get(((model, NONE), column), {})
        entries[row, column] = Entry(
            score=spread_of(found),
            planned=len(found),
            lacking={status: lacking[status] for status in STATUSES if lacking[status]},
            difference=spread(paired(by_seed, baseline)),
        )
    return entries


def _coverage(rows: Iterable[Mapping[str, Any]], names: Sequence[str], benchmark: Benchmark) -> list[str]:
    """Where the planned languages are not the benchmark's, an average is not the published one."""
    notes = []
    for name in names:
        official = benchmark.languages.get(name)
        planned = {row["language"] for row in rows if row["target"] == name}
        if official is not None and planned != set(official):
            others = planned - set(official)
            extra = f" and {len(others)} of others" if others else ""
            notes.append(f"{name} {len(planned) - len(others)} of {len(official)} languages{extra}")
    return notes
