"""Published results of the benchmark, beside those of a run in the same setting."""

import pyarrow as pa

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("column", "metric", "model", "method", "source")),
        ("value", pa.float64()),
        *((name, pa.string()) for name in ("ours_model", "ours_intermediate")),
        *((name, pa.float64()) for name in ("ours", "ours_low", "ours_high")),
        ("ours_n", pa.int64()),
        ("note", pa.string()),
    ]
)
"""A row per published number and model of the run; without `ours_model` where the run has nothing to put beside.
`column`: a target or `xtreme`; `metric`: accuracy, f1, exact_match or `mean`; `method`: `fine-tuning` or `best
intermediate`, beside which stand the run's baseline and its choice per target. `ours` is null unless the setting is
the same; `note` says what is not."""
