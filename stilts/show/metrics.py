"""Every metric of the targets that are tasks of a user's own, side by side, as means over languages and seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import row_order, splits, targets
from stilts.results.scores import rows_of, task_scores
from stilts.results.table import CLEAN, benchmark_of
from stilts.show.grid import Grid
from stilts.tasks.base import get_task

LEGEND = ("Means over languages and over the seeds that have a score; the first metric is the main one.",)


def metric_grids(results: pa.Table) -> Iterator[Grid]:
    """A grid for each own target with several metrics and each split. Tasks of the library have none."""
    for split in splits(results):
        for target in targets(results, split):
            rows = rows_of(results.filter(pc.field("target") == target), split, CLEAN)
            task = get_task(rows[0]["task"])
            names = list(dict.fromkeys((task.metric, *task.metrics)))
            if task.origin is not None and len(names) > 1:
                yield Grid(
                    title=f"{target} {split}: all metrics",
                    header=("model", "intermediate", *names),
                    rows=tuple(_cells(rows, row, results, names, task.metric) for row in row_order(rows)),
                    names=2,
                    legend=LEGEND,
                )


def _cells(
    rows: Sequence[Mapping[str, Any]], row: tuple[str, str], results: pa.Table, names: Sequence[str], main: str
) -> tuple[str, ...]:
    mine = [part for part in rows if (part["model"], part["intermediate"]) == row]
    return (*row, *(_mean(mine, results, None if name == main else name) for name in names))


def _mean(rows: Sequence[Mapping[str, Any]], results: pa.Table, metric: str | None) -> str:
    """The mean of a metric over seeds; None: of the main one."""
    (by_seed,) = task_scores(rows, benchmark_of(results), metric).values()
    values = [score.value for score in by_seed.values() if score.value is not None]
    return f"{sum(values) / len(values):.1f}" if values else "-"
