"""Displays the table `selection`: what it costs to choose the checkpoint by English dev.

Files show every language, the terminal only the means over languages.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.learning.selection import ENGLISH, OK
from stilts.results.scores import MEAN
from stilts.show.grid import Grid
from stilts.show.text import interval

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
"""Number of columns that hold names."""
_SCORES = ("best_dev", "last", "shared", "oracle")
_DIFFERENCES = ("gain", "shared_cost", "cost")

Row = Mapping[str, Any]


def selection_grids(selection: pa.Table, *, brief: bool = False) -> Iterator[Grid]:
    """One grid per target and split.

    Args:
        brief: show only the means over languages, and leave out targets without any.
    """
    for title, rows in _targets(selection):
        shown = [row for row in rows if row["language"] == MEAN] if brief else rows
        if not brief or any(row["n"] for row in shown):
            cells = tuple((row["model"], row["intermediate"], *_cells(row)) for row in shown)
            yield Grid(title, HEADER, cells, names=_NAMES, notes=tuple(_notes(shown)), legend=(LEGEND,))


def _targets(selection: pa.Table) -> Iterator[tuple[str, list[Row]]]:
    """(title, rows over seeds) of each target and split. The English dev scores are among the rows of `dev`."""
    rows = selection.filter(pc.is_null(pc.field("seed"))).to_pylist()
    for target, split in dict.fromkeys((row["target"], row["split"]) for row in rows if row["language"] != ENGLISH):
        mine = [row for row in rows if (row["target"], row["split"]) == (target, split)]
        yield f"Choice of the checkpoint: {target} {split}", mine


def _notes(rows: Iterable[Row]) -> list[str]:
    rows = list(rows)
    notes = [UPPER_BOUND] if any(r["oracle"] is not None and r["chosen_on"] == r["split"] for r in rows) else []
    return [*notes, HOW_TO_GET_THEM] if any(row["status"] == "no language curves" for row in rows) else notes


def _cells(row: Row) -> list[str]:
    """The cells from the column `language` on. In a row without numbers, the column `n` gives the reason."""
    n = f"{row['n']}" if row["n"] == row["planned"] else f"{row['n']} of {row['planned']}"
    cells = [row["language"], n if row["status"] == OK else f"{n}: {row['status']}"]
    cells.append("" if row["best_dev_step"] is None else f"{row['best_dev_step']:.0f} of {row['steps']}")
    cells += ["" if row[name] is None else f"{row[name]:.1f}" for name in _SCORES]
    return [*cells, *(_difference(row, name) for name in _DIFFERENCES)]


def _difference(row: Row, name: str) -> str:
    """`+1.2 [+0.3, +2.1]`, or `+1.2` if there is no interval."""
    if row[name] is None:
        return ""
    bounds = interval(row[f"{name}_low"], row[f"{name}_high"], "+")
    return f"{row[name]:+.1f} {bounds}".strip()
