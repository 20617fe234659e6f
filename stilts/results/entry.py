"""What is said of the seeds of one regime in one column: a target, an average, or a language.

Invariants: an entry is computed once; the tables are rows of entries, and every view is made of these rows. What is not
there is None, never 0.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import pyarrow as pa

from stilts.results.options import Options
from stilts.results.scores import Score, distinct, paired
from stilts.results.table import STATUSES
from stilts.statistics.compare import adjust
from stilts.statistics.intervals import t_interval, t_test
from stilts.statistics.power import ALPHA, is_underpowered, seeds_needed
from stilts.statistics.spread import Spread, spread

Key = TypeVar("Key", bound=Hashable)

TARGET, AVERAGE = "target", "average"
"""Kinds of a summary's columns: what was measured, and what is computed of it."""


@dataclass(frozen=True)
class Entry:
    """The numbers of one row of a table, named and explained as SUMMARY's columns are."""

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
        """Over the observations that have a number."""
        return None if self.mean is None else Spread(self.mean, self.sd, self.n)

    @property
    def gain(self) -> Spread | None:
        """The difference to the baseline, over the seeds that both have."""
        return None if self.difference is None else Spread(self.difference, self.difference_sd, self.difference_n or 0)

    @property
    def lacking(self) -> dict[str, int]:
        """Status -> observations without a number, worst first."""
        counts = {status: getattr(self, status.replace(" ", "_")) for status in STATUSES if status != "ok"}
        return {status: n for status, n in counts.items() if n}

    @property
    def significant(self) -> bool:
        """At 5 %, after the adjustment."""
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
"""Key of the schemas' metadata: the points of which `seeds_needed` tells."""

SUMMARY = pa.schema(
    [*((name, pa.string()) for name in ("split", "model", "intermediate", "column", "kind")), *_NUMBERS],
    metadata={"stilts.summary": "1", _POINTS: str(Options().difference)},
)
"""A row per split, regime and column of the clean data; scores and differences in percent.

planned: observations, seeds that share their artifacts being one; of these n have a number, and the others are counted
under what became of them. low, high: 95 % interval of the mean (Student t). The columns from `baseline` on are null
for the baseline itself and where there is none. difference: to the baseline, over the difference_n seeds that both
have, with p of the paired t test, and p_holm adjusted over the `comparisons` of its family: those that have a p, of all
regimes x columns of one split, model and kind. underpowered: fewer than 5 pairs, or than seeds_needed: the pairs that
would show `Options.difference` (in the metadata) with a power of 80 %, were their deviation the one seen."""

LANGUAGES = pa.schema(
    [*((name, pa.string()) for name in ("split", "model", "intermediate", "target", "language")), *_NUMBERS],
    metadata={"stilts.languages": "1", _POINTS: str(Options().difference)},
)
"""As SUMMARY, a row per split, regime, target and language; a family is all regimes x languages of one split, model
and target. `language` is `mean` for the mean over languages, whose numbers are SUMMARY's."""


def entry_table(records: list[dict[str, Any]], schema: pa.Schema, options: Options) -> pa.Table:
    """Records as a table of SUMMARY or LANGUAGES, which notes the options."""
    metadata = {**(schema.metadata or {}), _POINTS: str(options.difference).encode()}
    return pa.Table.from_pylist(records, schema=schema.with_metadata(metadata))


def points_of(table: pa.Table) -> float:
    """The difference of which the table's `seeds_needed` tells."""
    return float(table.schema.metadata[_POINTS])


def entry_of(record: Mapping[str, Any]) -> Entry:
    """The entry of a table's row."""
    return Entry(**{field.name: record[field.name] for field in fields(Entry)})


def describe(by_seed: Mapping[int, Score]) -> Entry:
    """What is said of one regime's seeds by themselves."""
    found = distinct(by_seed)
    values = [score.value for score in found if score.value is not None]
    lacking = Counter(score.status for score in found if score.value is None)
    entry = Entry(
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
        return entry
    low, high = t_interval(score) or (None, None)
    return replace(entry, mean=score.mean, sd=score.sd, min=min(values), max=max(values), low=low, high=high)


def compare(entry: Entry, ours: Mapping[int, Score], theirs: Mapping[int, Score], options: Options) -> Entry:
    """The entry with its comparison to the baseline's seeds, whose p is not adjusted yet."""
    gain = spread(paired(ours, theirs))
    if gain is None:
        return replace(entry, baseline=options.baseline, difference_n=0, underpowered=True)
    low, high = t_interval(gain) or (None, None)
    needed = seeds_needed(options.difference, gain)
    return replace(
        entry,
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


def adjust_family(family: Mapping[Key, Entry]) -> dict[Key, Entry]:
    """The entries with p_holm, taking them for one family of comparisons."""
    adjusted = adjust({key: entry.p for key, entry in family.items()})
    return {
        key: replace(entry, p_holm=adjusted[key], comparisons=len(adjusted)) if key in adjusted else entry
        for key, entry in family.items()
    }
