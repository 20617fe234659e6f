"""Robustness: what noise costs, for each target and regime, by kind and rate.

Invariants: a loss is of one model, clean against noisy, and only then averaged over seeds; a mean over languages is of
all of them, as the clean one is, those that a kind of noise hardly changes included (casing in Arabic).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import splits, targets
from stilts.results.scores import (
    MEAN,
    Score,
    distinct,
    language_scores,
    paired,
    rows_of,
    spread_of,
    worst,
)
from stilts.results.table import CLEAN, benchmark_of
from stilts.statistics.intervals import t_interval
from stilts.statistics.spread import Spread, spread

Noise = tuple[str, float]
"""(kind, rate)"""

_PARTS = ("", "_sd", "_low", "_high")

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "target", "model", "intermediate", "noise")),
        ("rate", pa.float64()),
        ("language", pa.string()),
        ("status", pa.string()),
        ("planned", pa.int64()),
        ("changed_share", pa.float64()),
        *((f"{score}{part}", pa.float64()) for score in ("clean", "noisy") for part in _PARTS),
        *((f"loss{unit}{part}", pa.float64()) for unit in ("", "_percent") for part in _PARTS),
        ("n", pa.int64()),
        ("baseline", pa.string()),
        *((f"loss_difference{part}", pa.float64()) for part in _PARTS),
        ("difference_n", pa.int64()),
    ]
)
"""A row per split, target, regime, noise, rate and language; `language` is `mean` for the mean over languages.

`loss` is clean less noisy in points, `loss_percent` that of the clean score, `n` the seeds that it is the mean of.
`loss_difference` is the loss less that of the `baseline` regime, paired by the `difference_n` seeds that both have:
below 0, the regime is more robust; null for the baseline. `_low`, `_high`: 95 % intervals of Student's t over seeds."""


@dataclass(frozen=True)
class Loss:
    """What one condition costs one regime, in one language or on the mean over languages.

    Attributes:
        clean: scores on the clean data, over the seeds that have one.
        noisy: the same under the condition.
        points: clean less noisy, over the seeds that have both.
        percent: that loss in percent of the clean score, over those of them that are not 0.
        difference: that loss less the baseline's, over the seeds that both have; None for the baseline itself.
        status: `ok`, or the worst reason why a seed has no noisy score.
        planned: observations planned.
        changed: share of the characters that the condition changed; on the mean, over languages; None if unknown.
    """

    clean: Spread | None
    noisy: Spread | None
    points: Spread | None
    percent: Spread | None
    difference: Spread | None
    status: str
    planned: int
    changed: float | None

    def record(self) -> dict[str, Any]:
        """The numbers as SCHEMA names them."""
        return {
            "status": self.status,
            "planned": self.planned,
            "changed_share": self.changed,
            **_numbers("clean", self.clean),
            **_numbers("noisy", self.noisy),
            **_numbers("loss", self.points),
            **_numbers("loss_percent", self.percent),
            "n": 0 if self.points is None else self.points.n,
            **_numbers("loss_difference", self.difference),
            "difference_n": 0 if self.difference is None else self.difference.n,
        }


def robustness_table(results: pa.Table, baseline: str) -> pa.Table:
    """What noise costs, of a table of results.

    Args:
        baseline: the regime whose losses those of the others are compared to.

    Returns:
        A table of SCHEMA, without rows where nothing was noisy.
    """
    noisy = results.filter(pc.is_valid(pc.field("noise")))
    rows = [
        row
        for split in splits(noisy)
        for target in targets(noisy, split)
        for row in _target(results.filter(pc.field("target") == target), split, target, baseline)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _target(table: pa.Table, split: str, target: str, baseline: str) -> Iterator[dict[str, Any]]:
    clean = language_scores(rows_of(table, split, CLEAN), benchmark_of(table))
    for (kind, rate), condition in _conditions(table, split).items():
        rows = rows_of(table, split, condition)
        changed = _changed(rows)
        noisy = language_scores(rows, benchmark_of(table))
        lost = {place: _lost(clean.get(place, {}), scores) for place, scores in noisy.items()}
        for ((model, intermediate), column), scores in noisy.items():
            compared = intermediate != baseline
            theirs = lost.get(((model, baseline), column), {}) if compared else {}
            loss = _loss(
                clean.get(((model, intermediate), column), {}),
                scores,
                spread(paired(lost[(model, intermediate), column], theirs)),
                _mean(changed.values()) if column == MEAN else changed[column],
            )
            yield {
                "split": split,
                "target": target,
                "model": model,
                "intermediate": intermediate,
                "noise": kind,
                "rate": rate,
                "language": column,
                "baseline": baseline if compared else None,
                **loss.record(),
            }


def _conditions(table: pa.Table, split: str) -> dict[Noise, str]:
    """Kind and rate of each condition, in the experiment's order -> its name."""
    rows = table.filter((pc.field("split") == split) & pc.is_valid(pc.field("noise")))
    columns = rows.select(["noise", "rate", "condition"]).to_pydict().values()
    return {(kind, rate): condition for kind, rate, condition in zip(*columns, strict=True)}


def _changed(rows: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Language -> changed share, the same for every model."""
    shares: dict[str, float | None] = {}
    for row in rows:
        if shares.get(row["language"]) is None:
            shares[row["language"]] = row["changed_share"]
    return shares


def _mean(shares: Iterable[float | None]) -> float | None:
    """None where one is unknown."""
    values = list(shares)
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _lost(clean: Mapping[int, Score], noisy: Mapping[int, Score]) -> dict[int, Score]:
    """Clean less noisy, by seed."""
    lost = {}
    for seed, score in noisy.items():
        whole = clean.get(seed)
        if whole is not None and whole.value is not None and score.value is not None:
            lost[seed] = replace(score, value=whole.value - score.value)
    return lost


def _loss(
    clean: Mapping[int, Score], noisy: Mapping[int, Score], difference: Spread | None, changed: float | None
) -> Loss:
    found = distinct(noisy)
    return Loss(
        clean=spread_of(distinct(clean)),
        noisy=spread_of(found),
        points=spread(paired(clean, noisy)),
        percent=spread(paired(*_of_clean(clean, noisy))),
        difference=difference,
        status=worst(score.status for score in found),
        planned=len(found),
        changed=changed,
    )


def _of_clean(clean: Mapping[int, Score], noisy: Mapping[int, Score]) -> tuple[dict[int, Score], dict[int, Score]]:
    """Both in percent of the clean score; seeds without one, or with none but 0, are left out."""
    whole = {seed: score.value for seed, score in clean.items() if score.value}
    both = [
        {
            seed: replace(score, value=None if score.value is None else 100 * score.value / whole[seed])
            for seed, score in scores.items()
            if seed in whole
        }
        for scores in (clean, noisy)
    ]
    return both[0], both[1]


def _numbers(name: str, spread: Spread | None) -> dict[str, float | None]:
    if spread is None:
        return {}
    low, high = t_interval(spread) or (None, None)
    return dict(zip((f"{name}{part}" for part in _PARTS), (spread.mean, spread.sd, low, high), strict=True))
