"""Displays the table `best`: the best intermediate for each target, chosen on dev."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from stilts.results.best import ONE, PER_TARGET
from stilts.show.grid import Grid
from stilts.show.text import with_interval

HEADER = ("target", "intermediate", "dev", "test", "difference", "best on test", "regret", "chosen by")

TITLES = {
    PER_TARGET: "the best intermediate for each target, chosen on dev, on test",
    ONE: "the one intermediate with the best mean on dev, on test",
}

LEGEND = (
    "Mean over n seeds with the 95 % interval of Student's t; difference to {baseline}, paired by seed. "
    "Regret: how much better the best on test is.",
    "Chosen among up to {candidates} regimes by dev scores of the same seeds. The score of the winner is biased "
    "upwards, and its interval does not account for the choice.",
)


def best_grids(table: pa.Table) -> Iterator[Grid]:
    """One grid per model and rule (per target, or one regime for all targets)."""
    rows = table.to_pylist()
    for model, rule in dict.fromkeys((row["model"], row["rule"]) for row in rows):
        found = [row for row in rows if (row["model"], row["rule"]) == (model, rule)]
        words = {
            "baseline": found[0]["baseline"],
            "candidates": max((row["candidates"] or 0 for row in found), default=0),
        }
        yield Grid(
            title=f"{model}: {TITLES[rule]}",
            header=HEADER,
            rows=tuple(map(_cells, found)),
            names=2,
            notes=tuple(_notes(found)),
            legend=tuple(sentence.format(**words) for sentence in LEGEND),
        )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["target"],
        row["intermediate"] or "",
        _number(row["dev"]),
        with_interval(row["test"], row["test_low"], row["test_high"], row["n"]) or _absence(row["note"] or ""),
        with_interval(row["difference"], row["difference_low"], row["difference_high"], row["difference_n"], "+"),
        " ".join(filter(None, (row["oracle"], _number(row["oracle_test"])))),
        _number(row["regret"]),
        (row["chosen_by"] or "").removeprefix("dev score of "),
    )


def _absence(note: str) -> str:
    """The part of the note that says why there is no test score, as `missing 5/5`; if there is none, the whole note."""
    reasons = [part for part in note.split("; ") if part.startswith("test ")]
    return reasons[0].removeprefix("test ") if reasons else note


def _notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for note in dict.fromkeys(row["note"] for row in rows if row["note"]):
        yield f"{', '.join(row['target'] for row in rows if row['note'] == note)}: {note}."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:z.1f}"
