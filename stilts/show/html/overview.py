"""The tables that only the report has: `overview` and `seeds`.

`overview` counts finished cells, and the targets for which each regime helped. `seeds` holds the score of every seed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import splits
from stilts.results.scores import rows_of, task_scores, worst
from stilts.results.seed_statistics import TARGET
from stilts.results.table import CLEAN, STATUSES, benchmark_of

ALL = "all"
"""Value of the columns `model` and `intermediate` in rows over all models and regimes."""

LEVEL = 0.05
"""A difference counts as better or worse if its Holm-adjusted p value is below LEVEL."""

_CELL = ["split", "model", "intermediate", "target", "seed"]

OVERVIEW = pa.schema(
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

SEEDS = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "model", "intermediate", "column")),
        ("seed", pa.int64()),
        ("value", pa.float64()),
        ("status", pa.string()),
    ]
)
"""Schema of the table `seeds`: one row per split, model, intermediate, target (`column`) and seed, on the clean data.

value: mean over languages in percent; null unless `status` is `ok`. Of seeds that share all their artifacts only the
first has a row, because they are one observation."""


def overview(results: pa.Table, summary: pa.Table) -> pa.Table:
    """Compute the table `overview` from the tables `results` and `summary`."""
    main = results.filter(pc.field("main") & (pc.field("condition") == CLEAN))
    statuses = main.select([*_CELL, "status"]).to_pandas().groupby(_CELL, sort=False)["status"]
    cells = statuses.agg(worst).reset_index()
    tested = summary.filter((pc.field("kind") == TARGET) & pc.field("p_holm").is_valid()).to_pandas()
    compared = dict(list(tested.groupby(["split", "model", "intermediate"])))
    rows = []
    for split, of_split in cells.groupby("split", sort=False):
        rows.append({"split": split, "model": ALL, "intermediate": ALL, **_counts(of_split["status"])})
        for (model, regime), found in of_split.groupby(["model", "intermediate"], sort=False):
            names = {"split": split, "model": model, "intermediate": regime}
            rows.append({**names, **_counts(found["status"]), **_comparisons(compared.get((split, model, regime)))})
    return pa.Table.from_pylist(rows, schema=OVERVIEW)


def _counts(statuses: Iterable[str]) -> dict[str, int]:
    found = Counter(statuses)
    lacking = {status.replace(" ", "_"): found[status] for status in STATUSES if status != "ok"}
    return {"cells": found.total(), "finished": found["ok"], **lacking}


def _comparisons(rows: pd.DataFrame | None) -> dict[str, int]:
    """How many targets are better, worse and neither, among the rows of one regime in `summary`."""
    if rows is None:
        return {}
    gains = rows["difference"][rows["p_holm"] < LEVEL] > 0
    better, worse = int(gains.sum()), int((~gains).sum())
    return {"compared": len(rows), "better": better, "worse": worse, "unclear": len(rows) - len(gains)}


def seeds_table(results: pa.Table) -> pa.Table:
    """Compute the table `seeds` from the table `results`."""
    return pa.Table.from_pylist([row for split in splits(results) for row in _seed_rows(results, split)], schema=SEEDS)


def _seed_rows(results: pa.Table, split: str) -> Iterator[dict[str, Any]]:
    scores = task_scores(rows_of(results, split, CLEAN), benchmark_of(results))
    for ((model, intermediate), column), by_seed in scores.items():
        seen = set()
        for seed, score in sorted(by_seed.items()):
            if score.stages not in seen:
                seen.add(score.stages)
                names = {"split": split, "model": model, "intermediate": intermediate, "column": column}
                yield {**names, "seed": seed, "value": score.value, "status": score.status}
