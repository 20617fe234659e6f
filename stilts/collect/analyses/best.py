"""The best intermediate for each target, chosen on dev and reported on test, beside the best on test itself."""

import pyarrow as pa

PER_TARGET, ONE = "per target", "one for all"

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("rule", "model", "target", "intermediate", "chosen_by")),
        ("dev", pa.float64()),
        ("candidates", pa.int64()),
        ("planned", pa.int64()),
        ("n", pa.int64()),
        *((name, pa.float64()) for name in ("test", "test_low", "test_high")),
        ("baseline", pa.string()),
        ("baseline_test", pa.float64()),
        ("difference_n", pa.int64()),
        *((name, pa.float64()) for name in ("difference", "difference_low", "difference_high")),
        ("oracle", pa.string()),
        ("oracle_test", pa.float64()),
        ("regret", pa.float64()),
        ("note", pa.string()),
    ]
)
"""A row per rule, model and target, and per average (classification, tagging, qa, retrieval, xtreme) of what was
chosen. `rule`: `per target`, each target has its own best; `one for all`, the one regime with the best mean dev score
over targets. `candidates`: regimes with a dev score. `difference` is to `baseline`, paired by seed; null where the
baseline itself was chosen. `oracle` is the regime that is best on test, `regret` what the choice loses to it."""
