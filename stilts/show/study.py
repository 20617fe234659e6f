"""Displays the tables `study` (statistics over all tasks) and `variance` (components of the variance over seeds)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.variance import PARTS
from stilts.show.grid import MODEL, Cell, Grid
from stilts.show.text import interval

Row = Mapping[str, Any]


def study_grids(study: pa.Table, variance: pa.Table, benchmark: str) -> Iterator[Grid]:
    """For each split, a grid of `study` if there is more than one task, and one of `variance` if seeds are crossed."""
    for split in pc.unique(study["split"]).to_pylist():
        rows = [row for row in study.filter(pc.field("split") == split).to_pylist() if row["tasks"] > 1]
        if rows:
            yield _study(f"{split}: the whole study", rows, benchmark)
    crossed = variance.filter(pc.is_valid(pc.field("residual_sd")))
    for split in pc.unique(crossed["split"]).to_pylist():
        rows = crossed.filter(pc.field("split") == split).to_pylist()
        yield _variance(f"{split}: components of the variance over seeds", rows)


def _study(title: str, rows: Sequence[Row], benchmark: str) -> Grid:
    baseline = next((row["baseline"] for row in rows if row["baseline"]), None)
    better = () if baseline is None else (f"better than {baseline}",)
    cells = (
        (
            row["model"],
            row["intermediate"],
            str(row["tasks"]),
            f"{row['n']}/{row['planned']}",
            _estimate(row, "mean", ""),
            _estimate(row, "iqm", "iqm_"),
            *([] if baseline is None else [_estimate(row, "improvement", "improvement_", "%")]),
        )
        for row in rows
    )
    compared = f"Better: probability that a run beats one of {baseline}, mean over tasks."
    legend = (
        f"n: seeds with a number for every task. {benchmark}: its own average over all its tasks, then over seeds.",
        "Interquartile mean: of the middle half of all tasks' and seeds' scores.",
        *([] if baseline is None else [compared]),
        "95 % intervals: Student's t over seeds; of the last columns a jackknife that leaves out one seed at a time.",
    )
    header = (MODEL, "intermediate", "tasks", "n", benchmark, "interquartile mean", *better)
    return Grid(title, header, tuple(cells), names=2, legend=legend)


def _variance(title: str, rows: Sequence[Row]) -> Grid:
    cells = (
        (
            row["model"],
            row["intermediate"],
            row["column"],
            f"{row['intermediate_seeds']}x{row['target_seeds']}",
            f"{row['total_sd']:.1f}",
            *(_estimate(row, f"{part}_share", f"{part}_share_", "%", digits=0) for part in PARTS),
        )
        for row in rows
    )
    legend = (
        "Share of the variance (the squared SD) that comes from the seed of the intermediate stage, from the seed of "
        "the target stage, and from the residual, which includes their interaction; 95 % intervals where no score is "
        "missing."
    )
    header = (MODEL, "intermediate", "column", "seeds", "SD", *PARTS)
    return Grid(title, header, tuple(cells), names=2, legend=(legend,))


def _estimate(row: Row, name: str, prefix: str, unit: str = "", digits: int = 1) -> Cell | str:
    """`71.3 [70.3, 72.3]`, in a terminal with the interval on a second line; `-` if there is no number."""
    if row[name] is None:
        return "-"
    value = f"{row[name]:.{digits}f}{unit}"
    ends = interval(row[f"{prefix}low"], row[f"{prefix}high"], digits=digits)
    return Cell((value, ends), markdown=f"{value} {ends}") if ends else value
