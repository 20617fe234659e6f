"""The table of what a regime changes in one language, tested over the language's test items.

Invariants: a row for every planned comparison to the baseline; a number that is not there is null and `note` says why.
"""

import pyarrow as pa

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "target", "model", "intermediate", "language", "baseline")),
        ("items", pa.int64()),
        ("seeds", pa.int64()),
        ("planned", pa.int64()),
        *((name, pa.float64()) for name in ("difference", "low", "high", "p", "p_holm")),
        ("comparisons", pa.int64()),
        ("note", pa.string()),
    ],
    metadata={"stilts.items": "1"},
)
"""A row per split, target, regime and language, of clean data.

`items` are what is resampled: examples, sentences, questions, foreign sentences (BUCC). `seeds` of `planned` are paired
with the baseline's; seeds that share both artifacts are one. `difference` in points, averaged over these seeds, with
its 95 % interval `low` to `high` over test items, the seeds as they are; `p` two-sided, `p_holm` over the `comparisons`
of the target (its languages and regimes, of one model on one split). `note`: why there is no number, or not of every
seed; null where nothing is to be said."""
