"""What is said of the seeds of one regime in one column: a target, an average, or a language.

Invariants: an entry is computed once, and every view and table is made of it; what is not there is None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from stilts.collect.statistics.compare import Comparison
from stilts.collect.statistics.intervals import t_interval
from stilts.collect.statistics.spread import Spread
from stilts.collect.table import STATUSES

TARGET, AVERAGE = "target", "average"
"""Kinds of a summary's columns: what was measured, and what is computed of it."""

_NUMBERS = (
    ("planned", pa.int64()),
    ("n", pa.int64()),
    *((status.replace(" ", "_"), pa.int64()) for status in STATUSES if status != "ok"),
    *((name, pa.float64()) for name in ("mean", "sd", "min", "max", "low", "high")),
    ("baseline", pa.string()),
    ("difference_n", pa.int64()),
    *((f"difference{part}", pa.float64()) for part in ("", "_sd", "_low", "_high")),
    ("p", pa.float64()),
    ("p_holm", pa.float64()),
    ("comparisons", pa.int64()),
    ("underpowered", pa.bool_()),
    ("seeds_needed", pa.int64()),
)

SUMMARY = pa.schema(
    [(name, pa.string()) for name in ("split", "model", "intermediate", "column", "kind")] + [*_NUMBERS],
    metadata={"stilts.summary": "1"},
)
"""A row per split, regime and column of the clean data; scores and differences in percent.

planned: observations, seeds that share their artifacts being one; of these n have a number, and the others are counted
under what became of them. low, high: 95 % interval of the mean (Student t). The columns from `baseline` on are null
for the baseline itself and where there is none. difference: to the baseline, over the difference_n seeds that both
have, with p of the paired t test, and p_holm adjusted over the `comparisons` of its family: all regimes x columns of
one split, model and kind. underpowered: fewer than 5 pairs, or than seeds_needed: the pairs that would show
`Options.difference` with a power of 80 %, were their SD the one seen."""

LANGUAGES = pa.schema(
    [(name, pa.string()) for name in ("split", "model", "intermediate", "target", "language")] + [*_NUMBERS],
    metadata={"stilts.languages": "1"},
)
"""As SUMMARY, a row per split, regime, target and language; a family is all regimes x languages of one split, model
and target. `language` is `mean` for the mean over languages, whose numbers are SUMMARY's."""


@dataclass(frozen=True)
class Entry:
    """What one row of a table says about one column.

    Attributes:
        score: over the seeds that have a number; None where none has.
        planned: observations planned.
        lacking: status -> observations without a number, worst status first.
        extremes: least and greatest score; None without one.
        comparison: to the baseline; None for the baseline itself, and where none is planned.
    """

    score: Spread | None
    planned: int
    lacking: Mapping[str, int]
    extremes: tuple[float, float] | None = None
    comparison: Comparison | None = None

    @property
    def difference(self) -> Spread | None:
        """To the baseline, over the seeds that both have."""
        return None if self.comparison is None else self.comparison.difference

    def record(self) -> dict[str, Any]:
        """The numbers as SUMMARY names them."""
        found: dict[str, Any] = {"planned": self.planned, "n": 0 if self.score is None else self.score.n}
        found |= {status.replace(" ", "_"): self.lacking.get(status, 0) for status in STATUSES if status != "ok"}
        if self.score is not None:
            found |= {"mean": self.score.mean, "sd": self.score.sd}
            found |= zip(("low", "high"), t_interval(self.score) or (None, None), strict=True)
        if self.extremes is not None:
            found |= zip(("min", "max"), self.extremes, strict=True)
        return found | ({} if self.comparison is None else self.comparison.record())
