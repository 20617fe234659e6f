"""Robustness: what noise costs, for each target and regime, by kind and rate.

Invariants: a loss is of one model, clean against noisy, and only then averaged over seeds; a mean over languages is of
all of them, as the clean one is, those that a kind of noise hardly changes included (casing in Arabic): they are named.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.collect.aggregate import language_order, row_order, targets, title
from stilts.collect.scores import (
    MEAN,
    Row,
    Score,
    distinct,
    language_scores,
    paired,
    rows_of,
    spread_of,
    worst,
)
from stilts.collect.statistics.spread import Spread, spread
from stilts.collect.table import CLEAN, benchmark_of

SPARED = 0.1
"""Of the share that a kind changes of the language it changes most: a language with less of it is named."""

Noise = tuple[str, float]
"""(kind, rate)"""


@dataclass(frozen=True)
class Loss:
    """What one condition costs one regime, in one language or on the mean over languages.

    Attributes:
        clean: scores on the clean data, over the seeds that have one.
        noisy: the same under the condition.
        points: clean less noisy, over the seeds that have both.
        percent: that loss in percent of the clean score, over those of them that are not 0.
        status: `ok`, or the worst reason why a seed has no noisy score.
        planned: observations planned.
        changed: share of the characters that the condition changed; on the mean, over languages; None if unknown.
    """

    clean: Spread | None
    noisy: Spread | None
    points: Spread | None
    percent: Spread | None
    status: str
    planned: int
    changed: float | None


@dataclass(frozen=True)
class Robustness:
    """One target on one split.

    Attributes:
        title: what the numbers are.
        rows: regimes, the baseline of each model first.
        columns: MEAN, then the languages.
        losses: by (row, noise, column).
        spared: kind -> languages that it changed no more than SPARED at any rate.
    """

    title: str
    split: str
    target: str
    rows: tuple[Row, ...]
    kinds: tuple[str, ...]
    rates: tuple[float, ...]
    columns: tuple[str, ...]
    losses: Mapping[tuple[Row, Noise, str], Loss]
    spared: Mapping[str, tuple[str, ...]]


def robustness(table: pa.Table, split: str) -> list[Robustness]:
    """Every target that was evaluated under noise on a split."""
    noisy = table.filter(pc.is_valid(pc.field("noise")))
    return [_target(table.filter(pc.field("target") == name), split, name) for name in targets(noisy, split)]


def _target(table: pa.Table, split: str, target: str) -> Robustness:
    clean_rows = rows_of(table, split, CLEAN)
    clean = language_scores(clean_rows, benchmark_of(table))
    conditions = _conditions(table, split)
    losses: dict[tuple[Row, Noise, str], Loss] = {}
    touched: dict[str, dict[str, bool]] = {}
    for noise, condition in conditions.items():
        rows = rows_of(table, split, condition)
        changed = _changed(rows)
        most = max((share for share in changed.values() if share is not None), default=0.0)
        for language, share in changed.items():
            known = touched.setdefault(noise[0], {})
            known[language] = known.get(language, False) or share is None or share > SPARED * most
        for (row, column), scores in language_scores(rows, benchmark_of(table)).items():
            share = _mean(changed.values()) if column == MEAN else changed[column]
            losses[row, noise, column] = _loss(clean.get((row, column), {}), scores, share)
    return Robustness(
        title=title(clean_rows, target, split),
        split=split,
        target=target,
        rows=row_order(clean_rows),
        kinds=tuple(dict.fromkeys(kind for kind, _ in conditions)),
        rates=tuple(sorted({rate for _, rate in conditions})),
        columns=(MEAN, *language_order(clean_rows)),
        losses=losses,
        spared={kind: tuple(lang for lang, much in found.items() if not much) for kind, found in touched.items()},
    )


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


def _loss(clean: Mapping[int, Score], noisy: Mapping[int, Score], changed: float | None) -> Loss:
    found = distinct(noisy)
    return Loss(
        clean=spread_of(distinct(clean)),
        noisy=spread_of(found),
        points=spread(paired(clean, noisy)),
        percent=spread(paired(*_of_clean(clean, noisy))),
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
