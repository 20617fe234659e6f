"""The schema of the table of differences to the baseline by language, tested over test items.

Every planned comparison with the baseline has a row. A number that could not be computed is null, and `note` says why.
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
"""A row per split, target, regime and language of clean data, and one for the mean over languages (`mean`).

items: what is resampled, namely examples, sentences, questions, or foreign sentences (BUCC); in the mean row the number
of different items, translations being one. seeds: those of `planned` whose predictions are there for both the regime
and the baseline; seeds that share both artifacts count once. difference: in points, averaged over these seeds. low,
high: its 95 % interval over test items for the seeds as they are. p: two-sided, of no difference; below 0.05 exactly
where the interval excludes 0. p_holm: adjusted by Holm's method over the `comparisons` of the target (its languages and
regimes, of one model on one split; the means over languages are adjusted among themselves). note: why there is no
number, or why seeds are missing; null where there is nothing to say."""
