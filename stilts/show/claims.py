"""Displays the table `claims`, and writes it as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from stilts.results.claims.verify import Verification
from stilts.show.grid import Cell, Grid
from stilts.show.text import interval
from stilts.statistics.verdict import Verdict

_STYLES = {Verdict.SUPPORTED: "green", Verdict.CONTRADICTED: "red", Verdict.UNDECIDED: "yellow"}
_DIGITS = {"points": 1, "share": 2, "r": 2, "ratio": 2}


def claims_grids(table: pa.Table) -> Iterator[Grid]:
    """One grid with a row per claim; none if the experiment has no claims."""
    rows = table.to_pylist()
    if not rows:
        return
    yield Grid(
        title="Claims",
        header=("claim", "verdict", "estimate", "n", "tested", "declared"),
        rows=tuple(map(_cells, rows)),
        names=1,
        notes=tuple(f"{row['claim']}: {note}" for row in rows for note in _notes(row)),
        legend=(
            "Supported: the interval lies within what the claim says. Contradicted: it lies outside. Otherwise the "
            f"claim is undecided. All {len(rows)} intervals hold together with 95 % (each has a level of "
            f"{100 * rows[0]['level']:.4g} %).",
            "Declared: the day on which the statement was first declared in this store, and how many of its results "
            "existed then.",
        ),
        wrapped=("tested",),
    )


def claims_json(table: pa.Table, experiment: str, command: str) -> str:
    """The file `claims.json`: experiment, command, and every claim with all columns of the table."""
    return json.dumps(
        {"schema": 1, "experiment": experiment, "command": command, "claims": table.to_pylist()},
        indent=1,
        ensure_ascii=False,
    )


def verification_grid(found: Verification) -> Grid:
    """A row per claim: its reported and its recomputed verdict."""
    rows = tuple(
        (
            row["claim"],
            row["reported"],
            row["recomputed"],
            _plain(row["reported_estimate"]),
            _plain(row["recomputed_estimate"]),
            Cell(("yes",), ("green",)) if row["agrees"] else Cell(("no",), ("red",), strong=True),
        )
        for row in found.claims
    )
    header = ("claim", "reported", "recomputed", "estimate reported", "recomputed", "agrees")
    counted = f"{found.evaluations} evaluations scored again from their predictions; compared with {found.source}."
    return Grid("Verification of the claims", header, rows, names=3, legend=(counted,))


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _cells(row: Mapping[str, Any]) -> tuple[Cell | str, ...]:
    verdict = Cell((row["verdict"],), (_STYLES[row["verdict"]],), strong=row["verdict"] != Verdict.UNDECIDED)
    counted = "" if row["of"] == "seeds" else f" {row['of']}"
    return row["claim"], verdict, estimate(row), f"{row['n']}/{row['planned']}{counted}", row["tested"], _declared(row)


def estimate(row: Mapping[str, Any]) -> str:
    """The estimate with its interval, in the claim's unit; `-` if there is none."""
    if row["estimate"] is None:
        return "-"
    digits, sign = _DIGITS[row["unit"]], "+" if row["unit"] in ("points", "r") else ""
    ends = interval(row["low"], row["high"], sign, digits)
    return f"{row['estimate']:{sign}.{digits}f} {ends}".rstrip()


def _declared(row: Mapping[str, Any]) -> str:
    if row["declared"] is None:
        return "not recorded"
    return f"{row['declared'][:10]}, {row['results_then']} of {row['results_planned']}"


def _notes(row: Mapping[str, Any]) -> Iterator[str]:
    if row["results"] < row["results_planned"]:
        yield f"{row['results']} of its {row['results_planned']} results exist"
    if row["note"]:
        yield row["note"]
    if row["seeds_needed"] is not None:
        yield f"about {row['seeds_needed']} seeds would decide it, if the estimate is right"
    if row["source"]:
        yield f"claimed by {row['source']}" + (
            f"; this experiment differs in {row['differs']}" if row["differs"] else ""
        )
