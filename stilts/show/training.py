"""Displays the table `training`: whether the intermediate stages learned, by their losses and dev scores."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from stilts.show.grid import Grid

HEADER = ("stage", "task", "learned", "dev", "chance", "first loss", "last loss", "steps", "warm-up")

LEGEND = (
    "Chance is the score of the most frequent label on dev. A task counts as learned where its dev score is above "
    "chance by more than two standard errors, or, without chance to compare with, where its loss fell. Losses are "
    "means over the first and the last ten steps.",
)

_MOST = 40
"""In the brief form, an experiment with more rows than this shows only the rows that have a note."""


def training_grids(table: pa.Table, *, brief: bool) -> Iterator[Grid]:
    """One grid of the intermediate stages and of the target stages that have a note; none if there are no such stages.

    Args:
        brief: show only rows with a note if there are many (see `_MOST`).
    """
    found = [row for row in table.to_pylist() if row["phase"] == "intermediate" or row["note"]]
    if brief and len(found) > _MOST:
        found = [row for row in found if row["note"]]
    if not found:
        return
    notes: dict[str, list[str]] = {}
    for row in found:
        if row["note"]:
            notes.setdefault(f"{row['task']}: {row['note']}", []).append(row["stage"])
    yield Grid(
        title="Did the intermediates learn?",
        header=HEADER,
        rows=tuple(map(_cells, found)),
        names=2,
        notes=tuple(f"{note} ({len(stages)} stages, {stages[0]})." for note, stages in notes.items()),
        legend=LEGEND,
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    learned = {True: "yes", False: "no", None: "-"}[row["learned"]]
    numbers = (_number(row[name], digits) for name, digits in _NUMBERS)
    return row["stage"], row["task"], learned, *numbers, f"{row['own_steps']}", f"{row['warmup_share']:.0%}"


_NUMBERS = (("dev", 1), ("chance", 1), ("first_loss", 3), ("last_loss", 3))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
