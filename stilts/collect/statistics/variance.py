"""Where the variance of a score comes from: the intermediate stage's seed, the target's, or what is left."""

import pyarrow as pa

_PARTS = ("intermediate", "target", "residual")

VARIANCE = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "model", "intermediate", "column")),
        *((name, pa.int64()) for name in ("intermediate_seeds", "target_seeds", "planned", "n")),
        ("total_sd", pa.float64()),
        *((f"{part}_sd", pa.float64()) for part in _PARTS),
        *((f"{part}_share{end}", pa.float64()) for part in _PARTS for end in ("", "_low", "_high")),
        ("note", pa.string()),
    ],
    metadata={"stilts.variance": "1"},
)
