"""Where the variance of a score comes from: the seed of the intermediate stage, that of the target stage, or the rest.

The scores form a table of intermediate seeds x target seeds with one score in each cell. The model is that of crossed
random effects, score = mean + intermediate + target + residual, where the residual includes the interaction of the two
seeds. Estimates equate sums of squares to their expectations (Henderson's method 1, which is the analysis of variance
where no score is missing; Searle, Casella and McCulloch 1992, "Variance Components", chapter 5).

Intervals of the shares use generalized pivots (Weerahandi 1993, JASA 88): sums of squares divided by chi-squared
variables stand for the unknown variances. Where scores are missing, the least-squares effects of the seeds take the
place of the means (Burdick and Graybill 1992, "Confidence Intervals on Variance Components", chapter 6, on unbalanced
two-way designs), which makes the chi-squared distributions approximate. Runs must be missing for reasons that have
nothing to do with their scores. `benchmarks/interval_coverage.py` measures the coverage.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stilts.results.aggregate import row_order, splits, targets
from stilts.results.scores import (
    Row,
    Score,
    average_scores,
    averaged_targets,
    averages_of,
    distinct,
    spread_of,
    task_scores,
)
from stilts.results.table import CLEAN, benchmark_of
from stilts.statistics.intervals import LEVEL, Interval

PARTS = ("intermediate", "target", "residual")

VARIANCE = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "model", "intermediate", "column")),
        *((name, pa.int64()) for name in ("intermediate_seeds", "target_seeds", "planned", "n")),
        ("total_sd", pa.float64()),
        *((f"{part}_sd", pa.float64()) for part in PARTS),
        *((f"{part}_share{end}", pa.float64()) for part in PARTS for end in ("", "_low", "_high")),
        ("note", pa.string()),
    ],
    metadata={"stilts.variance": "1"},
)
"""A row per split, regime and column of the clean data. Standard deviations in points, shares of the variance in
percent, with 95 % intervals.

intermediate_seeds, target_seeds: number of different seeds; 0 where a phase trains nothing that takes a cell's seed.
n: number of finished scores, of those planned. total_sd: of crossed seeds the root of the sum of the parts, otherwise
the standard deviation of the scores. The parts are null where the seeds do not tell them apart, and `note` says why. A
negative estimate is shown as 0, and the note says so.
"""

DRAWS = 10_000
"""Draws of the pivots."""

Scored = npt.NDArray[np.float64]
"""[intermediate seeds, target seeds], NaN where a score is missing."""

Pair = tuple[int | None, int]
"""(seed of the intermediate stages, seed of the target stage)"""


def variance_table(results: pa.Table) -> pa.Table:
    """VARIANCE of a table of results."""
    records = []
    for split in splits(results):
        rows = results.filter((pc.field("split") == split) & (pc.field("condition") == CLEAN)).to_pylist()
        cells = _cells(rows, results)
        for row in row_order(rows):
            for column in [*targets(results, split), *averages_of(benchmark_of(results))]:
                if (row, column) in cells:
                    record = {"split": split, "model": row[0], "intermediate": row[1], "column": column}
                    records.append(record | _decompose(cells[row, column]))
    return pa.Table.from_pylist(records, schema=VARIANCE)


def components(scored: Scored) -> dict[str, float] | None:
    """The estimated variance of each of PARTS, which can be negative; None if too many scores are missing for it."""
    there = np.nonzero(~np.isnan(scored))
    values = scored[there]
    levels = [np.unique(index, return_inverse=True)[1] for index in (*there, np.arange(len(values)))]
    designs = [np.eye(level.max() + 1)[level] for level in levels]
    mean = np.full((len(values), len(values)), 1 / len(values))
    forms = [design / design.sum(axis=0) @ design.T - mean for design in designs]
    # E[y'Qy] is the sum over the parts of their variance x tr(Q Z Z'); the mean drops out.
    expected = np.array([[np.trace(form @ design @ design.T) for design in designs] for form in forms])
    if np.linalg.matrix_rank(expected) < len(PARTS):
        return None
    return dict(zip(PARTS, np.linalg.solve(expected, [values @ form @ values for form in forms]), strict=True))


def shares(variances: Mapping[str, float]) -> dict[str, float]:
    """Shares of the total in percent, negative variances counting as 0; empty if the total is 0."""
    positive = {part: max(value, 0.0) for part, value in variances.items()}
    total = sum(positive.values())
    return {part: 100 * value / total for part, value in positive.items()} if total else {}


def share_intervals(scored: Scored) -> dict[str, Interval]:
    """Intervals of `shares` at LEVEL.

    Returns:
        An interval for each of PARTS; none if nothing varies, if a phase has one seed only, if the table falls apart
        into pieces without a common seed, or if the additive model leaves no degree of freedom.
    """
    scored = _without_empty(scored)
    if min(scored.shape) < 2 or np.nanmax(scored) == np.nanmin(scored):
        return {}
    (a, b), there = scored.shape, np.nonzero(~np.isnan(scored))
    values = scored[there]
    # score = mean + effect of the intermediate's seed + effect of the target's seed; the effects of a phase sum to 0.
    phases = [np.eye(seeds) - 1 / seeds for seeds in (a, b)]
    design = np.hstack([np.ones((len(values), 1)), *(phase[seed] for phase, seed in zip(phases, there, strict=True))])
    freedom = len(values) - (a + b - 1)
    if freedom < 1 or np.linalg.matrix_rank(design) < a + b - 1:
        return {}
    inverse = np.linalg.pinv(design)
    found, covariance = inverse @ values, inverse @ inverse.T
    random = np.random.default_rng(0)
    residual = np.sum((values - design @ found) ** 2) / random.chisquare(freedom, DRAWS)
    drawn = {"residual": residual}
    for part, effects in (("intermediate", slice(1, 1 + a)), ("target", slice(1 + a, 1 + a + b))):
        degrees = effects.stop - effects.start - 1
        # The effects vary by their own variance and by the residual's: 1 / b and 1 / a of it in a complete table.
        noise = np.trace(covariance[effects, effects]) / degrees
        squares = np.sum(found[effects] ** 2) / random.chisquare(degrees, DRAWS)
        drawn[part] = np.maximum(squares - noise * residual, 0)
    total = sum(drawn.values())
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {part: np.quantile(100 * drawn[part] / total, ends) for part in PARTS}
    return {part: (float(low), float(high)) for part, (low, high) in intervals.items()}


def _without_empty(scored: Scored) -> Scored:
    """The table without seeds that have no score at all."""
    there = ~np.isnan(scored)
    return scored[there.any(axis=1)][:, there.any(axis=0)]


def _cells(rows: Sequence[Mapping[str, Any]], results: pa.Table) -> dict[tuple[Row, str], dict[Pair, Score]]:
    """The score of every pair of seeds, of each regime and column."""
    benchmark = benchmark_of(results)
    official = averaged_targets(rows, benchmark)
    cells: dict[tuple[Row, str], dict[Pair, Score]] = {}
    for first in dict.fromkeys(row["intermediate_seed"] for row in rows):
        scores = task_scores([row for row in rows if row["intermediate_seed"] == first], benchmark)
        averages = average_scores({key: found for key, found in scores.items() if key[1] in official}, benchmark)
        for key, by_seed in (scores | averages).items():
            cells.setdefault(key, {}).update({(first, seed): score for seed, score in by_seed.items()})
    return cells


def _decompose(cells: Mapping[Pair, Score]) -> dict[str, Any]:
    """The columns of VARIANCE from `intermediate_seeds` onwards."""
    observations = distinct(dict(enumerate(cells.values())))
    score = spread_of(observations)
    firsts, seconds = _seeds(cells)
    record: dict[str, Any] = {
        "intermediate_seeds": len(firsts),
        "target_seeds": len(seconds),
        "planned": len(observations),
        "n": 0 if score is None else score.n,
        "total_sd": None if score is None else score.sd,
    }
    why = _confounded(len(firsts), len(seconds), len(cells))
    return record | ({"note": why} if why else _components_of(cells))


def _seeds(cells: Mapping[Pair, Score]) -> tuple[list[int], list[int]]:
    """The seeds of the intermediate stages and those of the target stage; empty for a phase that trains nothing."""
    firsts = sorted({first for first, _ in cells if first is not None})
    seconds = sorted({second for _, second in cells})
    by_first = {(first, score.stages) for (first, _), score in cells.items()}
    return firsts, seconds if len(cells) == len(firsts) or len(by_first) > max(len(firsts), 1) else []


def _confounded(firsts: int, seconds: int, pairs: int) -> str | None:
    """Why the seeds cannot tell the parts apart; None if they can.

    Args:
        firsts, seconds: number of seeds of the intermediate stages and of the target stage.
        pairs: number of pairs of them that are planned.
    """
    if not firsts:
        return "no intermediate seed: the target's alone varies" if seconds else "one artifact: nothing varies"
    if not seconds:
        return "no target stage: the intermediate's seed alone varies"
    if pairs == 1:
        return "one seed"
    if firsts == 1:
        return f"shared intermediate: the target's seed alone varies; {_REMEDY}"
    return f"each seed has its own intermediate: the parts are mixed; {_REMEDY}" if pairs == firsts else None


_REMEDY = "intermediate_seeds: crossed would tell the parts apart"


def _components_of(cells: Mapping[Pair, Score]) -> dict[str, Any]:
    firsts, seconds = _seeds(cells)
    values = [
        [cells[first, second].value if (first, second) in cells else None for second in seconds] for first in firsts
    ]
    scored = np.array(values, dtype=float)
    lacking = int(np.isnan(scored).sum())
    variances = components(scored) if lacking < scored.size else None
    if variances is None:
        return {"note": f"{lacking} of {scored.size} scores are missing: too few to tell the parts apart"}
    positive = {part: max(value, 0.0) for part, value in variances.items()}
    record: dict[str, Any] = {"total_sd": math.sqrt(sum(positive.values()))}
    record |= {f"{part}_sd": math.sqrt(value) for part, value in positive.items()}
    record |= {f"{part}_share": share for part, share in shares(variances).items()}
    intervals = share_intervals(scored)
    for part, (low, high) in intervals.items():
        record |= {f"{part}_share_low": low, f"{part}_share_high": high}
    notes = [f"estimate of {part} below 0" for part, value in variances.items() if value < 0]
    if lacking:
        notes.append(f"{lacking} of {scored.size} scores are missing{'' if intervals else ': too few for intervals'}")
    return record | {"note": "; ".join(notes) or None}
