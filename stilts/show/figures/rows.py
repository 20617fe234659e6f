"""Selects rows of the tables for figures, and derives names and labels from them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow.compute as pc

from stilts.results.analyse import Tables

STATUSES = ("failed", "diverged", "not_run", "missing", "unlabelled")
"""Columns that count the seeds without a score, the worst status first."""


def pick(tables: Tables, name: str, **equal: Any) -> list[dict[str, Any]]:
    """The rows of a table whose columns have the given values (None matches null). Empty if there is no such table."""
    if name not in tables:
        return []
    table = tables[name]
    for column, value in equal.items():
        field = pc.field(column)
        table = table.filter(field.is_null() if value is None else field == value)
    return table.to_pylist()


def lacking(row: Mapping[str, Any]) -> str:
    """Why seeds have no score, the worst first: `failed` if it concerns all seeds, otherwise `1 failed, 2 missing`."""
    found = [(name, row[name]) for name in STATUSES if row[name]]
    return ", ".join(
        name.replace("_", " ") if n == row["planned"] else f"{n} {name.replace('_', ' ')}" for name, n in found
    )


def baseline_of(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The regime that the others are compared with, taken from the first row that names it; None if no row does."""
    return next((row["baseline"] for row in rows if row["baseline"] is not None), None)


def in_order(tables: Tables, targets: Iterable[str]) -> list[str]:
    """The different targets in the order of the table `summary`, then others in order of appearance."""
    known = list(dict.fromkeys(tables["summary"]["column"].to_pylist())) if "summary" in tables else []
    return sorted(dict.fromkeys(targets), key=lambda name: known.index(name) if name in known else len(known))


def slug(*parts: str) -> str:
    """Join names to one that is safe in file names, HTML ids and LaTeX."""
    return "-".join(re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-") for part in parts)
