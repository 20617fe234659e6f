"""From the table of results to summaries over languages, tasks and seeds.

Invariants: an average stands for everything that it names, or it is not there: one language short and the task has a
status instead of a number, one task short and so has the average over tasks. A summary counts what was trained: seeds
that share one artifact (retrieval on the base model) are one observation, not several equal ones.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.collect.table import STATUSES
from stilts.evaluate.xtreme import XTREME, group_averages, task_average
from stilts.spec.experiment import NONE
from stilts.tasks.base import get_task

AVERAGES: dict[str, tuple[str, ...]] = {**XTREME.groups, XTREME.name: tuple(XTREME.languages)}
"""Columns of means over tasks: XTREME's groups, and all nine."""

TARGETS = tuple(task for group in XTREME.groups.values() for task in group)

MEAN = "mean"
"""Column of the mean over a target's languages."""

_METRICS = {"metric": "mean of exact match and F1"}

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


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (n - 1; None for n = 1) and number of observations."""

    mean: float
    sd: float | None
    n: int


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
        notes: what a reader must know to compare the numbers with published ones.
    """

    title: str
    split: str
    rows: tuple[Row, ...]
    parts: tuple[str, ...]
    averages: tuple[str, ...]
    entries: Mapping[tuple[Row, str], Entry]
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.parts, *self.averages)

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows that are compared to a baseline; none where nothing can be paired."""
        paired = {row[0] for (row, _), entry in self.entries.items() if entry.difference}
        return tuple(row for row in self.rows if row[0] in paired and row[1] != NONE)


Scores = dict[tuple[Row, str], dict[int, Score]]
"""(row, column) -> seed -> score"""


def splits(table: pa.Table) -> list[str]:
    """The splits that were evaluated, test first."""
    found = pc.unique(table["split"]).to_pylist()
    return sorted(found, key=lambda split: (split != "test", split))


def targets(table: pa.Table, split: str) -> list[str]:
    """The targets evaluated on a split, in XTREME's order, others after them in the experiment's."""
    found = pc.unique(table.filter(pc.field("split") == split)["target"]).to_pylist()
    return sorted(found, key=lambda name: TARGETS.index(name) if name in TARGETS else len(TARGETS))


def summarise(table: pa.Table, split: str) -> Summary:
    """Every target and the averages over targets that XTREME defines, for one split of the clean data."""
    rows = _rows(table, split)
    scores = _task_scores(rows)
    names = targets(table, split)
    averages = _average_scores(scores)
    shown = {column for _, column in averages}
    return Summary(
        title=f"{split}: mean over languages",
        split=split,
        rows=_row_order(rows),
        parts=tuple(names),
        averages=tuple(name for name in AVERAGES if name in shown),
        entries=_entries(scores | averages),
        notes=tuple(_coverage(rows, names)),
    )


def summarise_languages(table: pa.Table, split: str, target: str) -> Summary:
    """Every language of one target, for one split of the clean data."""
    rows = _rows(table.filter(pc.field("target") == target), split)
    scores: Scores = {}
    for row in rows:
        if row["main"]:
            by_seed = scores.setdefault(((row["model"], row["intermediate"]), row["language"]), {})
            by_seed[row["seed"]] = Score(row["value"], row["status"], frozenset([row["stage"]]))
    found = {row["language"] for row in rows}
    official = get_task(target).languages
    metric = get_task(target).metric
    averages = {(row, MEAN): by_seed for (row, _), by_seed in _task_scores(rows).items()}
    return Summary(
        title=f"{target} {split}: {_METRICS.get(metric, metric)}",
        split=split,
        rows=_row_order(rows),
        parts=(*(lg for lg in official if lg in found), *sorted(found - set(official))),
        averages=(MEAN,),
        entries=_entries(scores | averages),
    )


def ended(table: pa.Table) -> list[tuple[str, str, str]]:
    """(status, stage NAME, error) of every stage that failed or diverged."""
    bad = table.filter(pc.field("status").isin(["failed", "diverged"])).select(["status", "stage", "error"])
    return list(dict.fromkeys((row["status"], row["stage"], row["error"] or "") for row in bad.to_pylist()))


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation of the sample, None of nothing."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def _rows(table: pa.Table, split: str) -> list[dict[str, Any]]:
    return table.filter((pc.field("split") == split) & (pc.field("condition") == "clean")).to_pylist()


def _row_order(rows: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Models as they come; within a model the baseline first."""
    found = dict.fromkeys((row["model"], row["intermediate"]) for row in rows)
    models = list(dict.fromkeys(model for model, _ in found))
    return tuple(sorted(found, key=lambda row: (models.index(row[0]), row[1] != NONE)))


def _task_scores(rows: Iterable[Mapping[str, Any]]) -> Scores:
    """XTREME's average over the languages of each target and seed."""
    cells: dict[tuple[str, str, str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["model"], row["intermediate"], row["target"], row["seed"]), []).append(row)
    scores: Scores = {}
    for (model, intermediate, target, seed), parts in cells.items():
        status = _worst(part["status"] for part in parts if part["main"])
        value = None
        if status == "ok":
            metrics: dict[str, dict[str, float]] = {}
            for part in parts:
                metrics.setdefault(part["language"], {})[part["metric"]] = part["value"]
            means = task_average(target, metrics)
            value = means.get(f"avg_{get_task(target).metric}", means["avg_metric"])
        stages = frozenset(part["stage"] for part in parts)
        scores.setdefault(((model, intermediate), target), {})[seed] = Score(value, status, stages)
    return scores


def _average_scores(scores: Scores) -> Scores:
    """The averages over tasks, of each row and seed for which all their tasks are planned."""
    averages: Scores = {}
    for row in dict.fromkeys(row for row, _ in scores):
        by_task = {task: scores.get((row, task), {}) for task in TARGETS}
        for name, members in AVERAGES.items():
            for seed in sorted(set.intersection(*(set(by_task[task]) for task in members))):
                parts = {task: by_task[task][seed] for task in members}
                averages.setdefault((row, name), {})[seed] = _average(name, parts)
    return averages


def _average(name: str, parts: Mapping[str, Score]) -> Score:
    stages = frozenset().union(*(part.stages for part in parts.values()))
    values = {task: part.value for task, part in parts.items() if part.value is not None}
    if len(values) < len(parts):
        return Score(None, _worst(part.status for part in parts.values()), stages)
    return Score(group_averages(values)["all_task" if name == XTREME.name else name], "ok", stages)


def _entries(scores: Scores) -> dict[tuple[Row, str], Entry]:
    entries = {}
    for (row, column), by_seed in scores.items():
        distinct = list({score.stages: score for _, score in sorted(by_seed.items())}.values())
        lacking = Counter(score.status for score in distinct if score.value is None)
        model, intermediate = row
        baseline = {} if intermediate == NONE else scores.get(((model, NONE), column), {})
        entries[row, column] = Entry(
            score=spread([score.value for score in distinct if score.value is not None]),
            planned=len(distinct),
            lacking={status: lacking[status] for status in STATUSES if lacking[status]},
            difference=spread(_paired(by_seed, baseline)),
        )
    return entries


def _paired(ours: Mapping[int, Score], theirs: Mapping[int, Score]) -> list[float]:
    """Differences of the seeds that both have; seeds that share both artifacts are one."""
    differences = {}
    for seed in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[seed], theirs[seed]
        if mine.value is not None and other.value is not None:
            differences[mine.stages, other.stages] = mine.value - other.value
    return list(differences.values())


def _worst(statuses: Iterable[str]) -> str:
    return min(statuses, key=STATUSES.index)


def _coverage(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Where the planned languages are not XTREME's, an average is not the published one."""
    notes = []
    for name in names:
        official = XTREME.languages.get(name)
        planned = {row["language"] for row in rows if row["target"] == name}
        if official is not None and planned != set(official):
            others = planned - set(official)
            extra = f" and {len(others)} of others" if others else ""
            notes.append(f"{name} {len(planned) - len(others)} of {len(official)} languages{extra}")
    return notes
