"""The table `overview` of the report: how many cells are finished, and for how many targets each regime helped."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.scores import worst
from stilts.results.table import CLEAN, STATUSES

ALL = "all"
"""Value of the columns `model` and `intermediate` in rows over all models and regimes."""

LEVEL = 0.05
"""A difference counts as better or worse if its Holm-adjusted p value is below LEVEL."""

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "model", "intermediate")),
        *((name, pa.int64()) for name in ("cells", "finished")),
        *((status.replace(" ", "_"), pa.int64()) for status in STATUSES if status != "ok"),
        *((name, pa.int64()) for name in ("compared", "better", "worse", "unclear")),
    ]
)
"""Schema of the table `overview`: one row per split, model and intermediate, and one per split for all of them.

- cells: number of (model, intermediate, target, seed) on clean data. A cell is finished if all its languages have a
  score; otherwise it counts under the worst status of its languages.
- compared: number of targets that are compared with the baseline; better, worse: those whose Holm-adjusted p value is
  below LEVEL; unclear: the others. Null if nothing is compared: for the baseline, and in rows over all regimes."""


def overview(results: pa.Table, summary: pa.Table) -> pa.Table:
    """Compute the table `overview` from the tables `results` and `summary`."""
    main = results.filter(pc.field("main") & (pc.field("condition") == CLEAN))
    cells: dict[tuple[str, ...], list[str]] = {}
    for row in main.select(["split", "model", "intermediate", "target", "seed", "status"]).to_pylist():
        cells.setdefault(tuple(row[name] for name in list(row)[:5]), []).append(row["status"])
    ended = {cell: worst(statuses) for cell, statuses in cells.items()}
    compared = _compared(summary)
    rows = []
    for split in dict.fromkeys(cell[0] for cell in ended):
        mine = {cell: status for cell, status in ended.items() if cell[0] == split}
        rows.append({"split": split, "model": ALL, "intermediate": ALL, **_counts(mine.values())})
        for model, regime in dict.fromkeys(cell[1:3] for cell in mine):
            counts = _counts(status for cell, status in mine.items() if cell[1:3] == (model, regime))
            found = [
                row for row in compared if (row["split"], row["model"], row["intermediate"]) == (split, model, regime)
            ]
            rows.append({"split": split, "model": model, "intermediate": regime, **counts, **_verdicts(found)})
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _compared(summary: pa.Table) -> Sequence[Mapping[str, Any]]:
    """The rows of `summary` for targets whose difference to the baseline was tested."""
    return summary.filter((pc.field("kind") == "target") & pc.field("p_holm").is_valid()).to_pylist()


def _counts(statuses: Iterable[str]) -> dict[str, int]:
    found = Counter(statuses)
    lacking = {status.replace(" ", "_"): found[status] for status in STATUSES if status != "ok"}
    return {"cells": found.total(), "finished": found["ok"], **lacking}


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    if not rows:
        return {}
    sure = [row["difference"] > 0 for row in rows if row["p_holm"] < LEVEL]
    better = sum(sure)
    return {
        "compared": len(rows),
        "better": better,
        "worse": len(sure) - better,
        "unclear": len(rows) - len(sure),
    }
