"""The tables `summary` and `languages` arranged for display: statistics by row and column, with explanatory notes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import kind_of, language_order, splits, targets, title
from stilts.results.scores import MEAN, ModelRegime, averages_of, official_targets, rows_of
from stilts.results.seed_statistics import SeedStatistics, points_of, statistics_of
from stilts.results.table import CLEAN, benchmark_of
from stilts.tasks.base import private_language
from stilts.tasks.benchmarks import Benchmark


@dataclass(frozen=True)
class Summary:
    """One split of `summary`, or of one target in `languages`, arranged by row and column.

    Attributes:
        title: describes the numbers.
        rows: (model, regime) pairs in the experiment's order.
        parts: the columns that were measured: targets, or languages.
        averages: the columns that are averages of these.
        benchmark: name of the benchmark that defines the averages.
        statistics: statistics by (row, column); a combination that was not planned is absent.
        points: the difference, in points, that `seeds_needed` refers to.
        notes: targets whose mean is over other languages than the benchmark's, as `xnli 3 of 15 languages`.
        outside: targets that enter no average, with their task and setting.
        without: targets that are not evaluated in all the benchmark's languages, with the languages that lack.
    """

    title: str
    split: str
    rows: tuple[ModelRegime, ...]
    parts: tuple[str, ...]
    averages: tuple[str, ...]
    benchmark: str
    statistics: Mapping[tuple[ModelRegime, str], SeedStatistics]
    points: float
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.parts, *self.averages)

    @property
    def baseline(self) -> str | None:
        """The regime that the others are compared with; None if no seed can be paired."""
        return next((stats.baseline for stats in self.statistics.values() if stats.gain), None)

    @property
    def compared(self) -> tuple[ModelRegime, ...]:
        """The rows that are compared with the baseline."""
        paired = {row for (row, _), stats in self.statistics.items() if stats.baseline is not None}
        return tuple(row for row in self.rows if row in paired) if self.baseline is not None else ()


def summaries(results: pa.Table, summary: pa.Table) -> list[Summary]:
    """One `Summary` of targets and averages per split.

    Args:
        results: the table of this name.
        summary: the table of this name, computed from `results`.
    """
    found, benchmark = [], benchmark_of(results)
    for split in splits(results):
        rows, statistics = rows_of(results, split, CLEAN), _statistics(summary, split, "column")
        names, official = targets(results, split), official_targets(rows)
        shown = {column for _, column in statistics}
        found.append(
            Summary(
                title=f"{split}: mean over languages",
                split=split,
                rows=tuple(dict.fromkeys(row for row, _ in statistics)),
                parts=tuple(names),
                averages=tuple(name for name in averages_of(benchmark) if name in shown),
                benchmark=benchmark.name,
                statistics=statistics,
                points=points_of(summary),
                notes=tuple(_coverage(rows, [name for name in names if name in official], benchmark)),
                outside=tuple(f"{name} ({kind_of(rows, name)})" for name in names if name not in official),
                without=tuple(_without(rows, names, benchmark)),
            )
        )
    return found


def language_summaries(results: pa.Table, languages: pa.Table, target: str) -> list[Summary]:
    """One `Summary` of the languages of a target per split.

    Args:
        results: the table of this name.
        languages: the table of this name, computed from `results`.
    """
    found = []
    of_target = results.filter(pc.field("target") == target)
    for split in splits(of_target):
        rows = rows_of(of_target, split, CLEAN)
        statistics = _statistics(languages.filter(pc.field("target") == target), split, "language")
        found.append(
            Summary(
                title=title(rows, target, split),
                split=split,
                rows=tuple(dict.fromkeys(row for row, _ in statistics)),
                parts=language_order(rows),
                averages=(MEAN,),
                benchmark=benchmark_of(results).name,
                statistics=statistics,
                points=points_of(languages),
            )
        )
    return found


def _statistics(table: pa.Table, split: str, column: str) -> dict[tuple[ModelRegime, str], SeedStatistics]:
    records = table.filter(pc.field("split") == split).to_pylist()
    return {((record["model"], record["intermediate"]), record[column]): statistics_of(record) for record in records}


_NAMED = 12
"""Most languages that a note lists by name; of the others it gives the number."""


def _without(rows: Sequence[Mapping[str, Any]], names: Sequence[str], benchmark: Benchmark) -> Iterable[str]:
    """For each target that is not evaluated in all the benchmark's languages: its name and the languages that lack.

    Targets on generated data, which are evaluated in invented languages, are not among them.
    """
    for name in names:
        of_target = [row for row in rows if row["target"] == name]
        planned = {row["language"] for row in of_target}
        lost = [lang for lang in benchmark.languages.get(of_target[0]["task"], ()) if lang not in planned]
        if lost and not any(map(private_language, planned)):
            more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
            yield f"{name} ({' '.join(lost[:_NAMED])}{more})"


def _coverage(rows: Iterable[Mapping[str, Any]], names: Sequence[str], benchmark: Benchmark) -> list[str]:
    """For each target whose languages are not the benchmark's: how many of them it has. Its mean is not comparable."""
    notes = []
    for name in names:
        official = benchmark.languages.get(name)
        planned = {row["language"] for row in rows if row["target"] == name}
        if official is not None and planned != set(official):
            others = planned - set(official)
            extra = f" and {len(others)} of others" if others else ""
            notes.append(f"{name} {len(planned) - len(others)} of {len(official)} languages{extra}")
    return notes
