"""Statistics over the seeds of one regime, for one target, average over targets, or language.

The statistics are computed once, stored as rows of the tables `summary` and `languages`, and every report, figure and
file reads them from there. A number that does not exist is None, never 0.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import pyarrow as pa

from stilts.experiment.experiment import NONE
from stilts.results.scores import Score, distinct, paired
from stilts.results.table import STATUSES
from stilts.statistics.compare import adjust
from stilts.statistics.intervals import t_interval, t_test
from stilts.statistics.power import ALPHA, is_underpowered, seeds_needed
from stilts.statistics.spread import Spread, spread

Key = TypeVar("Key", bound=Hashable)

TARGET, AVERAGE = "target", "average"
"""Values of `kind` in the table `summary`: a target of the experiment, or an average over targets."""


@dataclass(frozen=True)
class Options:
    """How regimes are compared. A person can set these options on the command line.

    Attributes:
        baseline: the regime that every other regime of the same model is compared with.
        difference: a difference in points that matters. The tables give the number of seeds needed to detect it.
    """

    baseline: str = NONE
    difference: float = 1.0


@dataclass(frozen=True)
class SeedStatistics:
    """The statistics in one row of `summary` or `languages`. SUMMARY explains the fields, which have the same names."""

    planned: int
    n: int
    failed: int = 0
    diverged: int = 0
    not_run: int = 0
    missing: int = 0
    unlabelled: int = 0
    mean: float | None = None
    sd: float | None = None
    min: float | None = None
    max: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: str | None = None
    difference_n: int | None = None
    difference: float | None = None
    difference_sd: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    comparisons: int | None = None
    underpowered: bool | None = None
    seeds_needed: int | None = None

    @property
    def score(self) -> Spread | None:
        """Mean and standard deviation over the seeds that have a score; None if no seed has one."""
        return None if self.mean is None else Spread(self.mean, self.sd, self.n)

    @property
    def gain(self) -> Spread | None:
        """Mean and standard deviation of the paired differences to the baseline; None if there is no pair."""
        return None if self.difference is None else Spread(self.difference, self.difference_sd, self.difference_n or 0)

    @property
    def lacking(self) -> dict[str, int]:
        """Number of seeds without a score, by status (`failed`, `missing`, ...), the worst status first."""
        counts = {status: getattr(self, status.replace(" ", "_")) for status in STATUSES if status != "ok"}
        return {status: n for status, n in counts.items() if n}

    @property
    def significant(self) -> bool:
        """Whether the Holm-adjusted p value of the difference is below 0.05."""
        return self.p_holm is not None and self.p_holm < ALPHA


_NUMBERS = (
    *((name, pa.int64()) for name in ("planned", "n", "failed", "diverged", "not_run", "missing", "unlabelled")),
    *((name, pa.float64()) for name in ("mean", "sd", "min", "max", "low", "high")),
    ("baseline", pa.string()),
    ("difference_n", pa.int64()),
    *((f"difference{part}", pa.float64()) for part in ("", "_sd", "_low", "_high")),
    *((name, pa.float64()) for name in ("p", "p_holm")),
    ("comparisons", pa.int64()),
    ("underpowered", pa.bool_()),
    ("seeds_needed", pa.int64()),
)

_POINTS = b"stilts.difference"
"""Metadata key under which a table stores `Options.difference`, to which its column `seeds_needed` refers."""

SUMMARY = pa.schema(
    [*((name, pa.string()) for name in ("split", "model", "intermediate", "column", "kind")), *_NUMBERS],
    metadata={"stilts.summary": "1", _POINTS: str(Options().difference)},
)
"""Schema of the table `summary`: one row per split, model, intermediate and column, on the clean data.

Scores and differences are in percent.

- column, kind: a target (`kind` is `target`) or an average over targets (`average`).
- planned: number of seeds. Seeds that share all their artifacts are one observation and count once.
- n: seeds that have a score. The others are counted in failed, diverged, not_run, missing and unlabelled.
- mean, sd, min, max; low, high: the last two are the 95 % interval of the mean (Student's t).
- baseline: the regime that this row is compared with. This column and all after it are null in rows of the baseline
  itself, and where the model has no baseline.
- difference, difference_sd, difference_low, difference_high: mean, standard deviation and 95 % interval of the paired
  differences to the baseline, over the difference_n seeds that have a score under both regimes.
- p: of the paired t test. p_holm: p adjusted by Holm's method over the family of all regimes and columns of the same
  split, model and kind; comparisons: number of p values in the family.
- underpowered: there are fewer than 5 pairs, or fewer than seeds_needed.
- seeds_needed: number of pairs with which a true difference of `Options.difference` points (stored in the metadata)
  would be detected with a power of 80 %, if the standard deviation is the observed one."""

LANGUAGES = pa.schema(
    [*((name, pa.string()) for name in ("split", "model", "intermediate", "target", "language")), *_NUMBERS],
    metadata={"stilts.languages": "1", _POINTS: str(Options().difference)},
)
"""Schema of the table `languages`: one row per split, model, intermediate, target and language.

The statistics are those of SUMMARY, but p_holm is adjusted over all regimes and languages of the same split, model and
target. The row whose `language` is `mean` holds the mean over languages, with the statistics of `summary`."""


def statistics_table(records: list[dict[str, Any]], schema: pa.Schema, options: Options) -> pa.Table:
    """Build a table with the schema SUMMARY or LANGUAGES and store `options.difference` in its metadata."""
    metadata = {**(schema.metadata or {}), _POINTS: str(options.difference).encode()}
    return pa.Table.from_pylist(records, schema=schema.with_metadata(metadata))


def points_of(table: pa.Table) -> float:
    """The difference, in points, for which the column `seeds_needed` of the table was computed."""
    return float(table.schema.metadata[_POINTS])


def statistics_of(record: Mapping[str, Any]) -> SeedStatistics:
    """The statistics in one row of `summary` or `languages`."""
    return SeedStatistics(**{field.name: record[field.name] for field in fields(SeedStatistics)})


def describe(by_seed: Mapping[int, Score]) -> SeedStatistics:
    """Statistics over the seeds of one regime, without a comparison to the baseline."""
    found = distinct(by_seed)
    values = [score.value for score in found if score.value is not None]
    lacking = Counter(score.status for score in found if score.value is None)
    statistics = SeedStatistics(
        planned=len(found),
        n=len(values),
        failed=lacking["failed"],
        diverged=lacking["diverged"],
        not_run=lacking["not run"],
        missing=lacking["missing"],
        unlabelled=lacking["unlabelled"],
    )
    score = spread(values)
    if score is None:
        return statistics
    low, high = t_interval(score) or (None, None)
    return replace(statistics, mean=score.mean, sd=score.sd, min=min(values), max=max(values), low=low, high=high)


def compare(
    statistics: SeedStatistics, ours: Mapping[int, Score], theirs: Mapping[int, Score], options: Options
) -> SeedStatistics:
    """Add the comparison with the baseline, paired by seed. The p value is not adjusted: see `adjust_family`.

    Args:
        ours, theirs: scores of the regime and of the baseline, by seed.
    """
    gain = spread(paired(ours, theirs))
    if gain is None:
        return replace(statistics, baseline=options.baseline, difference_n=0, underpowered=True)
    low, high = t_interval(gain) or (None, None)
    needed = seeds_needed(options.difference, gain)
    return replace(
        statistics,
        baseline=options.baseline,
        difference_n=gain.n,
        difference=gain.mean,
        difference_sd=gain.sd,
        difference_low=low,
        difference_high=high,
        p=t_test(gain),
        underpowered=is_underpowered(gain.n, needed),
        seeds_needed=needed,
    )


def adjust_family(family: Mapping[Key, SeedStatistics]) -> dict[Key, SeedStatistics]:
    """Set `p_holm` and `comparisons` by Holm's method, treating all p values given as one family."""
    adjusted = adjust({key: row.p for key, row in family.items()})
    return {
        key: replace(row, p_holm=adjusted[key], comparisons=len(adjusted)) if key in adjusted else row
        for key, row in family.items()
    }
