"""The numbers over a whole study, and the parts of the variance, as a terminal table, Markdown and LaTeX."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.results.variance import PARTS
from stilts.show.columns import fits
from stilts.show.forms import latex_table, markdown_table
from stilts.show.text import escape_latex, escape_markdown, interval

Grid = tuple[str, list[str], list[list[str]], str]
"""Title, header, rows (the first two columns are names), legend."""


def study_grids(study: pa.Table, variance: pa.Table, benchmark: str) -> list[Grid]:
    """What there is to show of STUDY and of VARIANCE: nothing of one task alone, or of seeds that are not crossed."""
    grids = []
    for split in pc.unique(study["split"]).to_pylist():
        rows = [row for row in study.filter(pc.field("split") == split).to_pylist() if row["tasks"] > 1]
        if rows:
            grids.append((f"{split}: the whole study", *_study(rows, benchmark)))
    crossed = variance.filter(pc.is_valid(pc.field("residual_sd")))
    for split in pc.unique(crossed["split"]).to_pylist():
        rows = crossed.filter(pc.field("split") == split).to_pylist()
        grids.append((f"{split}: where the variance over seeds comes from", *_variance(rows)))
    return grids


def study_markdown(grid: Grid) -> str:
    title, header, rows, legend = grid
    table = markdown_table(header, rows, names=2)
    return "\n".join([f"## {escape_markdown(title)}", "", *table, "", escape_markdown(legend), ""])


def study_latex(grid: Grid) -> str:
    title, header, rows, legend = grid
    cells = [[*row[:2], *map(escape_latex, row[2:])] for row in rows]
    return latex_table(header, cells, names=2, caption=f"{title}. {legend}")


def print_study(console: Console, grid: Grid) -> None:
    """Print a grid, its intervals below their numbers where it is wider than the console."""
    title, _, _, legend = grid
    wide = _rich_table(grid, " ", padding=1)
    console.print(Text(title, style="bold"))
    console.print(wide if fits(console, wide) else _rich_table(grid, "\n", padding=0))
    console.print(Text(legend, style="dim"))
    console.print()


def _rich_table(grid: Grid, between: str, padding: int) -> RichTable:
    """The model is left out where there is but one; `between` stands before an interval."""
    _, header, rows, _ = grid
    several = len({row[0] for row in rows}) > 1
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, padding), pad_edge=False)
    for index, name in enumerate(header):
        if several or index:
            table.add_column(name, justify="left" if index < 2 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.replace(" [", f"{between}[")) for cell in (row if several else row[1:])))
    return table


def _study(rows: Sequence[Mapping[str, Any]], benchmark: str) -> tuple[list[str], list[list[str]], str]:
    header = ["model", "intermediate", "tasks", "n", benchmark, "interquartile mean"]
    baseline = next((row["baseline"] for row in rows if row["baseline"]), None)
    header += [] if baseline is None else [f"better than {baseline}"]
    cells = [
        [
            row["model"],
            row["intermediate"],
            str(row["tasks"]),
            f"{row['n']}/{row['planned']}",
            _estimate(row, "mean", ""),
            _estimate(row, "iqm", "iqm_"),
            *([] if baseline is None else [_estimate(row, "improvement", "improvement_", "%")]),
        ]
        for row in rows
    ]
    legend = (
        f"n: seeds with a number for every task. {benchmark}: its own average over all its tasks, then over seeds. "
        "Interquartile mean: of the middle half of all tasks' and seeds' scores. "
    )
    legend += "" if baseline is None else f"Better: probability that a run beats one of {baseline}, mean over tasks. "
    return header, cells, legend + "95 % intervals: Student's t over seeds; of the last ones, by leaving out seeds."


def _variance(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]], str]:
    header = ["model", "intermediate", "column", "seeds", "SD", *PARTS]
    cells = [
        [
            row["model"],
            row["intermediate"],
            row["column"],
            f"{row['intermediate_seeds']}x{row['target_seeds']}",
            f"{row['total_sd']:.1f}",
            *(_estimate(row, f"{part}_share", f"{part}_share_", "%", digits=0) for part in PARTS),
        ]
        for row in rows
    ]
    legend = (
        "Share of the variance (SD squared) that comes from the intermediate stage's seed, from the target's, and what "
        "is left, their interaction included; 95 % intervals, where no score is lacking."
    )
    return header, cells, legend


def _estimate(row: Mapping[str, Any], name: str, prefix: str, unit: str = "", digits: int = 1) -> str:
    """`71.3 [70.3, 72.3]`, or `-` where there is no number."""
    if row[name] is None:
        return "-"
    ends = interval(row[f"{prefix}low"], row[f"{prefix}high"], digits=digits)
    return f"{row[name]:.{digits}f}{unit} {ends}".strip()
