"""What the choice of a checkpoint by English dev costs, for a terminal and as Markdown, LaTeX and CSV.

A terminal shows the means over languages, Markdown and LaTeX every language; all are made of the table alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stilts.results.learning.selection import ENGLISH, OK
from stilts.results.scores import MEAN
from stilts.show.forms import NEEDS, latex_table, markdown_table, to_csv
from stilts.show.text import escape_latex, escape_markdown, interval

LEGEND = (
    "Scores at the checkpoint chosen: by English dev; the last one; by the mean over languages (shared); by each "
    "language for itself (oracle). Costs are what English dev loses to these, gain what it wins over the last; over n "
    "seeds, with 95 % Student-t intervals."
)
UPPER_BOUND = "The oracle chose on the same examples that it is told by: its costs are upper bounds."
HOW_TO_GET_THEM = (
    "No language curves: declare `curves:` in the experiment. Stages that are trained already stay without them; other "
    "seeds or another store train anew."
)
HEADER = (
    "model", "intermediate", "language", "n", "step", "English dev", "last", "shared", "oracle", "gain", "shared cost",
    "cost",
)  # fmt: skip
_NAMES = 4
"""Columns of text."""
_SCORES = ("best_dev", "last", "shared", "oracle")
_DIFFERENCES = ("gain", "shared_cost", "cost")

Row = Mapping[str, Any]


def selection_files(selection: pa.Table) -> dict[str, bytes]:
    """selection.md, .tex and .csv; none where nothing was trained."""
    found = list(_targets(selection))
    if not found:
        return {}
    return {
        "selection.md": "\n".join([*(_markdown(*target) for target in found), LEGEND, ""]).encode(),
        "selection.tex": "\n".join([NEEDS, *(_latex(*target) for target in found)]).encode(),
        "selection.csv": to_csv(selection).encode(),
    }


def render_selection(console: Console, selection: pa.Table) -> None:
    """Print the means over languages of each target that has any; nothing where no experiment asked for them."""
    shown = [(title, [row for row in rows if row["language"] == MEAN]) for title, rows in _targets(selection)]
    shown = [(title, rows) for title, rows in shown if any(row["n"] for row in rows)]
    for title, rows in shown:
        console.print(Text(title, style="bold"))
        console.print(_rich_table(rows))
        for note in _notes(rows):
            console.print(Text(note, style="dim"))
    if shown:
        console.print(Text(LEGEND, style="dim"))
        console.print()


def _targets(selection: pa.Table) -> Iterator[tuple[str, list[Row]]]:
    """Title and rows over seeds of each target and split; the English dev scores stand with those of dev."""
    rows = selection.filter(pc.is_null(pc.field("seed"))).to_pylist()
    for target, split in dict.fromkeys((row["target"], row["split"]) for row in rows if row["language"] != ENGLISH):
        mine = [row for row in rows if (row["target"], row["split"]) == (target, split)]
        yield f"Choice of the checkpoint: {target} {split}", mine


def _notes(rows: Iterable[Row]) -> list[str]:
    rows = list(rows)
    notes = [UPPER_BOUND] if any(r["oracle"] is not None and r["chosen_on"] == r["split"] for r in rows) else []
    return [*notes, HOW_TO_GET_THEM] if any(row["status"] == "no language curves" for row in rows) else notes


def _cells(row: Row) -> list[str]:
    """As HEADER has them, from `language` on; of one without numbers, why."""
    n = f"{row['n']}" if row["n"] == row["planned"] else f"{row['n']} of {row['planned']}"
    cells = [row["language"], n if row["status"] == OK else f"{n}: {row['status']}"]
    cells.append("" if row["best_dev_step"] is None else f"{row['best_dev_step']:.0f} of {row['steps']}")
    cells += ["" if row[name] is None else f"{row[name]:.1f}" for name in _SCORES]
    return [*cells, *(_difference(row, name) for name in _DIFFERENCES)]


def _difference(row: Row, name: str) -> str:
    """`+1.2 [+0.3, +2.1]`, without the interval where there is none."""
    if row[name] is None:
        return ""
    bounds = interval(row[f"{name}_low"], row[f"{name}_high"], "+")
    return f"{row[name]:+.1f} {bounds}".strip()


def _labelled(rows: Sequence[Row]) -> Iterator[list[str]]:
    return ([row["model"], row["intermediate"], *_cells(row)] for row in rows)


def _markdown(title: str, rows: Sequence[Row]) -> str:
    table = markdown_table(HEADER, list(_labelled(rows)), _NAMES)
    return "\n".join([f"## {escape_markdown(title)}", "", *table, "", *(f"{note}\n" for note in _notes(rows))])


def _latex(title: str, rows: Sequence[Row]) -> str:
    cells = [
        [*row[:_NAMES], *(escape_latex(cell).replace("-", "$-$") for cell in row[_NAMES:])] for row in _labelled(rows)
    ]
    return latex_table(HEADER, cells, _NAMES, " ".join([f"{title}.", *_notes(rows), LEGEND]))


def _rich_table(rows: Sequence[Row]) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    several = len({row["model"] for row in rows}) > 1
    shown = [column for column, name in enumerate(HEADER) if name != "language" and (several or name != "model")]
    for column in shown:
        table.add_column(HEADER[column], justify="left" if column < _NAMES else "right")
    for cells in _labelled(rows):
        table.add_row(*(Text(cells[column]) for column in shown))
    return table
