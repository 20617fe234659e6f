"""Linguistic similarity: does what an intermediate regime gains in a language go with its distance to English?"""

import pyarrow as pa

FEATURES = ("syntax", "phonology", "inventory", "family", "geography")
ALL = "all"
"""In place of a target: the gain over all targets."""

_WHERE = [(name, pa.string()) for name in ("split", "model", "family", "intermediate", "baseline", "target")]
_MEASURES = ("pearson", "spearman", "partial")

POINTS = pa.schema(
    [
        *_WHERE,
        ("language", pa.string()),
        ("gain", pa.float64()),
        ("n", pa.int64()),
        *((f"distance_{feature}", pa.float64()) for feature in FEATURES),
        ("pretraining_size", pa.float64()),
        ("size_source", pa.string()),
    ]
)
"""A row per regime, target (and `all`) and language other than English. `gain`: points over `baseline`, mean over
seeds; `n`: seeds, of `all` targets. `distance_*`: to English, 0 to 2. `pretraining_size` is in the unit that
`size_source` names; null where it is not known. `family`: the model's architecture."""

CORRELATIONS = pa.schema(
    [
        *_WHERE,
        ("feature", pa.string()),
        ("languages", pa.int64()),
        *((f"{m}{part}", pa.float64()) for m in _MEASURES for part in ("", "_low", "_high", "_p", "_p_holm")),
        ("partial_languages", pa.int64()),
        ("comparisons", pa.int64()),
        ("size_source", pa.string()),
        ("note", pa.string()),
    ]
)
"""A row per regime, target (and `all`) and feature: correlations between gain and distance over `languages`. `partial`
is Pearson's, with the logarithm of the pretraining size held constant. `p_holm` is adjusted over the `comparisons` of
one model and target. Null where there is none; `note` says why."""
