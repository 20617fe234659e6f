"""A table over seeds as people read it: entries by row and column, with what must be known to compare them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import kind_of, language_order, splits, targets, title
from stilts.results.entry import Entry, entry_of, points_of
from stilts.results.scores import MEAN, Row, averages_of, official_targets, rows_of
from stilts.results.table import CLEAN, benchmark_of
from stilts.tasks.benchmarks import Benchmark


@dataclass(frozen=True)
class Summary:
    """A table over seeds: rows in the experiment's order, entries by (row, column), none where nothing was planned.

    Attributes:
        title: what the columns are.
        parts: columns measured: targets, or languages.
        averages: columns computed of them.
        benchmark: name of the benchmark whose averages they are.
        points: the difference of which `seeds_needed` tells.
        notes: what a reader must know to compare the numbers with published ones.
        outside: targets of which no average is taken, with what they are.
        without: targets that lack languages of the benchmark, with these languages.
    """

    title: str
    split: str
    rows: tuple[Row, ...]
    parts: tuple[str, ...]
    averages: tuple[str, ...]
    benchmark: str
    entries: Mapping[tuple[Row, str], Entry]
    points: float
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.parts, *self.averages)

    @property
    def baseline(self) -> str | None:
        """What rows are compared to; None where nothing can be paired."""
        return next((entry.baseline for entry in self.entries.values() if entry.gain), None)

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows that have differences to a baseline."""
        paired = {row for (row, _), entry in self.entries.items() if entry.baseline is not None}
        return tuple(row for row in self.rows if row in paired) if self.baseline is not None else ()


def summaries(results: pa.Table, summary: pa.Table) -> list[Summary]:
    """Targets and averages, a summary a split, of the table of results and SUMMARY that was made of it."""
    found, benchmark = [], benchmark_of(results)
    for split in splits(results):
        rows, entries = rows_of(results, split, CLEAN), _entries(summary, split, "column")
        names, official = targets(results, split), official_targets(rows)
        shown = {column for _, column in entries}
        found.append(
            Summary(
                title=f"{split}: mean over languages",
                split=split,
                rows=tuple(dict.fromkeys(row for row, _ in entries)),
                parts=tuple(names),
                averages=tuple(name for name in averages_of(benchmark) if name in shown),
                benchmark=benchmark.name,
                entries=entries,
                points=points_of(summary),
                notes=tuple(_coverage(rows, [name for name in names if name in official], benchmark)),
                outside=tuple(f"{name} ({kind_of(rows, name)})" for name in names if name not in official),
                without=tuple(_without(rows, names, benchmark)),
            )
        )
    return found


def language_summaries(results: pa.Table, languages: pa.Table, target: str) -> list[Summary]:
    """The languages of one target, a summary a split, of the table of results and LANGUAGES that was made of it."""
    found = []
    of_target = results.filter(pc.field("target") == target)
    for split in splits(of_target):
        rows = rows_of(of_target, split, CLEAN)
        entries = _entries(languages.filter(pc.field("target") == target), split, "language")
        found.append(
            Summary(
                title=title(rows, target, split),
                split=split,
                rows=tuple(dict.fromkeys(row for row, _ in entries)),
                parts=language_order(rows),
                averages=(MEAN,),
                benchmark=benchmark_of(results).name,
                entries=entries,
                points=points_of(languages),
            )
        )
    return found


def _entries(table: pa.Table, split: str, column: str) -> dict[tuple[Row, str], Entry]:
    records = table.filter(pc.field("split") == split).to_pylist()
    return {((record["model"], record["intermediate"]), record[column]): entry_of(record) for record in records}


_NAMED = 12
"""Languages that a note names; of more it has the number, too."""


def _without(rows: Sequence[Mapping[str, Any]], names: Sequence[str], benchmark: Benchmark) -> Iterable[str]:
    """The languages of the benchmark that a target is not evaluated in."""
    for name in names:
        of_target = [row for row in rows if row["target"] == name]
        planned = {row["language"] for row in of_target}
        lost = [lang for lang in benchmark.languages.get(of_target[0]["task"], ()) if lang not in planned]
        if lost:
            more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
            yield f"{name} ({' '.join(lost[:_NAMED])}{more})"


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
