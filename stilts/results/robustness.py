"""The table `robustness`: how much score each regime loses under noise, by kind and rate of the noise.

A loss is the difference between clean and noisy score of the same seed; means and intervals are over these differences.
A mean over languages includes all languages, as the mean on clean data does, even those that a kind of noise hardly
changes (such as casing in Arabic).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import splits, targets
from stilts.results.scores import (
    MEAN,
    SPREAD_PARTS,
    Score,
    distinct,
    language_scores,
    paired,
    rows_of,
    spread_columns,
    spread_of,
    worst,
)
from stilts.results.table import CLEAN, benchmark_of
from stilts.statistics.spread import spread

Noise = tuple[str, float]
"""(kind, rate)"""

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "target", "model", "intermediate", "noise")),
        ("rate", pa.float64()),
        ("language", pa.string()),
        ("status", pa.string()),
        ("planned", pa.int64()),
        ("changed_share", pa.float64()),
        *((f"{score}{part}", pa.float64()) for score in ("clean", "noisy") for part in SPREAD_PARTS),
        *((f"loss{unit}{part}", pa.float64()) for unit in ("", "_percent") for part in SPREAD_PARTS),
        ("n", pa.int64()),
        ("baseline", pa.string()),
        *((f"loss_difference{part}", pa.float64()) for part in SPREAD_PARTS),
        ("difference_n", pa.int64()),
    ]
)
"""Schema of the table `robustness`: one row per split, target, model, intermediate, noise, rate and language.

- language: `mean` in rows of the mean over languages.
- status, planned: `ok` or the worst status of a seed without a noisy score; number of planned seeds.
- changed_share: fraction of the characters that the noise changed.
- clean, noisy: mean scores, in percent.
- loss: clean less noisy, in points; loss_percent: the same in percent of the clean score; n: number of seeds.
- loss_difference: loss less that of the `baseline` regime, paired by the difference_n seeds that both have. If it is
  negative, the regime is more robust than the baseline. Null for the baseline itself.
- ..._sd, ..._low, ..._high: standard deviation and 95 % interval (Student's t) over seeds."""


def robustness_table(results: pa.Table, baseline: str) -> pa.Table:
    """Compute the table `robustness` from the table `results`.

    Args:
        baseline: the regime that the losses of the others are compared with.

    Returns:
        A table with the schema SCHEMA; it has no rows if nothing was evaluated under noise.
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
            difference = spread(paired(lost[(model, intermediate), column], theirs))
            yield {
                "split": split,
                "target": target,
                "model": model,
                "intermediate": intermediate,
                "noise": kind,
                "rate": rate,
                "language": column,
                "changed_share": _mean(changed.values()) if column == MEAN else changed[column],
                **_loss(clean.get(((model, intermediate), column), {}), scores),
                "baseline": baseline if compared else None,
                **spread_columns("loss_difference", difference),
                "difference_n": 0 if difference is None else difference.n,
            }


def _conditions(table: pa.Table, split: str) -> dict[Noise, str]:
    """(kind, rate) -> name of each condition, in the experiment's order."""
    rows = table.filter((pc.field("split") == split) & pc.is_valid(pc.field("noise")))
    columns = rows.select(["noise", "rate", "condition"]).to_pydict().values()
    return {(kind, rate): condition for kind, rate, condition in zip(*columns, strict=True)}


def _changed(rows: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Fraction of the characters that the noise changed, by language. It is the same for every model."""
    shares: dict[str, float | None] = {}
    for row in rows:
        if shares.get(row["language"]) is None:
            shares[row["language"]] = row["changed_share"]
    return shares


def _mean(shares: Iterable[float | None]) -> float | None:
    """Mean of the fractions; None if one of them is unknown."""
    values = list(shares)
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _lost(clean: Mapping[int, Score], noisy: Mapping[int, Score]) -> dict[int, Score]:
    """Clean less noisy score, for the seeds that have both."""
    lost = {}
    for seed, score in noisy.items():
        whole = clean.get(seed)
        if whole is not None and whole.value is not None and score.value is not None:
            lost[seed] = replace(score, value=whole.value - score.value)
    return lost


def _loss(clean: Mapping[int, Score], noisy: Mapping[int, Score]) -> dict[str, Any]:
    """The columns of SCHEMA about one regime under one condition, without the comparison with the baseline."""
    observations, loss = distinct(noisy), spread(paired(clean, noisy))
    return {
        "status": worst(score.status for score in observations),
        "planned": len(observations),
        **spread_columns("clean", spread_of(distinct(clean))),
        **spread_columns("noisy", spread_of(observations)),
        **spread_columns("loss", loss),
        **spread_columns("loss_percent", spread(paired(*_of_clean(clean, noisy)))),
        "n": 0 if loss is None else loss.n,
    }


def _of_clean(clean: Mapping[int, Score], noisy: Mapping[int, Score]) -> tuple[dict[int, Score], dict[int, Score]]:
    """Clean and noisy scores in percent of the clean score, without the seeds whose clean score is missing or 0."""
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
