"""The table `seeds` of the report: the score of every seed, so that a reader sees how much seeds differ."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from stilts.results.aggregate import splits
from stilts.results.scores import rows_of, task_scores
from stilts.results.table import CLEAN, benchmark_of

SCHEMA = pa.schema(
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


def seeds_table(results: pa.Table) -> pa.Table:
    """Compute the table `seeds` from the table `results`."""
    return pa.Table.from_pylist([row for split in splits(results) for row in _rows(results, split)], schema=SCHEMA)


def _rows(results: pa.Table, split: str) -> Iterator[dict[str, Any]]:
    scores = task_scores(rows_of(results, split, CLEAN), benchmark_of(results))
    for ((model, intermediate), column), by_seed in scores.items():
        seen = set()
        for seed, score in sorted(by_seed.items()):
            if score.stages not in seen:
                seen.add(score.stages)
                names = {"split": split, "model": model, "intermediate": intermediate, "column": column}
                yield {**names, "seed": seed, "value": score.value, "status": score.status}
