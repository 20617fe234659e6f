"""Over a whole study: the benchmark's own average, the interquartile mean, and the probability of improvement."""

import pyarrow as pa

STUDY = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "model", "intermediate")),
        *((name, pa.int64()) for name in ("tasks", "planned", "n")),
        *((name, pa.float64()) for name in ("mean", "sd", "low", "high")),
        *((f"iqm{part}", pa.float64()) for part in ("", "_low", "_high")),
        ("baseline", pa.string()),
        *((f"improvement{part}", pa.float64()) for part in ("", "_low", "_high")),
    ],
    metadata={"stilts.study": "1"},
)
