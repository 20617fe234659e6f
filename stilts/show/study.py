"""Displays the tables `study` (statistics over all tasks) and `variance` (components of the variance over seeds)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.experiment.recipe import SEED_PARTS
from stilts.results.variance import PHASES
from stilts.show.grid import MODEL, Cell, Grid
from stilts.show.text import interval
from stilts.statistics.components import RESIDUAL

Row = Mapping[str, Any]


def study_grids(study: pa.Table, variance: pa.Table, benchmark: str) -> Iterator[Grid]:
    """Grids of `study` for splits with several tasks, and of `variance` where the seeds separate sources."""
    for split in pc.unique(study["split"]).to_pylist():
        rows = [row for row in study.filter(pc.field("split") == split).to_pylist() if row["tasks"] > 1]
        if rows:
            yield _study(f"{split}: the whole study", rows, benchmark)
    for split in pc.unique(variance["split"]).to_pylist():
        rows = variance.filter(pc.field("split") == split).to_pylist()
        yield from _variance(split, rows)


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


def _variance(split: str, rows: Sequence[Row]) -> Iterator[Grid]:
    """The shares of the phases, the shares of the parts of the seed, and the spread where parts are fixed."""
    told = [row for row in rows if row["residual_sd"] is not None]
    by_phase = [row for row in told if row["intermediate_sd"] is not None]
    by_part = [row for row in told if row["intermediate_sd"] is None]
    if by_phase:
        yield _shares(f"{split}: components of the variance over seeds", by_phase, PHASES)
    if by_part:
        parts = [part for part in SEED_PARTS if any(row[f"{part}_sd"] is not None for row in by_part)]
        yield _shares(f"{split}: components of the variance over parts of the seed", by_part, parts)
    some = [row for row in rows if row["residual_sd"] is None and row["varied"] not in (None, ", ".join(SEED_PARTS))]
    if some:
        yield _spreads(f"{split}: standard deviation over some parts of the seed", some)


def _shares(title: str, rows: Sequence[Row], parts: Sequence[str]) -> Grid:
    columns = (*parts, RESIDUAL)
    by_phase = tuple(parts) == PHASES
    cells = (
        (
            row["model"],
            row["intermediate"],
            row["column"],
            f"{row['intermediate_seeds']}x{row['target_seeds']}" if by_phase else f"{row['n']}/{row['planned']}",
            f"{row['total_sd']:.1f}",
            *(_estimate(row, f"{part}_share", f"{part}_share_", "%", digits=0) for part in columns),
        )
        for row in rows
    )
    sources = (
        "the seed of the intermediate stage, from the seed of the target stage" if by_phase else "each part of the seed"
    )
    legend = (
        f"Share of the variance (the squared SD) that comes from {sources}, and from the residual, which is all other "
        "variation and includes interactions; 95 % intervals."
    )
    header = (MODEL, "intermediate", "column", "seeds" if by_phase else "n", "SD", *columns)
    return Grid(title, header, tuple(cells), names=2, legend=(legend,))


def _spreads(title: str, rows: Sequence[Row]) -> Grid:
    cells = (
        (
            row["model"],
            row["intermediate"],
            row["column"],
            row["varied"],
            f"{row['n']}/{row['planned']}",
            _estimate(row, "total_sd", "total_sd_"),
        )
        for row in rows
    )
    legend = (
        "SD: standard deviation of the scores over the parts of the seed that vary; the other parts are fixed by "
        "seed_parts. 95 % intervals for normal scores."
    )
    header = (MODEL, "intermediate", "column", "varied", "n", "SD")
    return Grid(title, header, tuple(cells), names=2, legend=(legend,))


def _estimate(row: Row, name: str, prefix: str, unit: str = "", digits: int = 1) -> Cell | str:
    """`71.3 [70.3, 72.3]`, in a terminal with the interval on a second line; `-` if there is no number."""
    if row[name] is None:
        return "-"
    value = f"{row[name]:.{digits}f}{unit}"
    ends = interval(row[f"{prefix}low"], row[f"{prefix}high"], digits=digits)
    return Cell((value, ends), markdown=f"{value} {ends}") if ends else value
