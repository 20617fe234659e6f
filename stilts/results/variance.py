"""The table `variance`: how much of the variance between runs comes from which seed.

With `intermediate_seeds: crossed`, the scores of a regime form a matrix of intermediate seeds x target seeds with one
score in each place. The model is that of crossed random effects:

    score = mean + effect of the intermediate seed + effect of the target seed + residual

The residual includes the interaction of the two seeds. The variances are estimated by equating sums of squares with
their expectations (Henderson's method 1; Searle, Casella and McCulloch 1992, "Variance Components", chapter 5). If no
score is missing, this is the analysis of variance.

The intervals of the shares use generalized pivots (Weerahandi 1993, JASA 88): sums of squares divided by chi-squared
variables take the place of the unknown variances. If scores are missing, least-squares estimates of the seeds' effects
take the place of the means (Burdick and Graybill 1992, "Confidence Intervals on Variance Components", chapter 6, on
unbalanced two-way designs), and the chi-squared distributions hold only approximately. It is assumed that runs are
missing for reasons unrelated to their scores. `benchmarks/interval_coverage.py` measures the coverage.
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
    ModelRegime,
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
"""Schema of the table `variance`: one row per split, model, intermediate and column, on the clean data.

- column: a target, or an average over targets.
- intermediate_seeds, target_seeds: number of different seeds of the stages before the target stage and of the target
  stage; 0 if no stage of this phase depends on a cell's seed.
- planned, n: number of planned scores, and of those that exist.
- total_sd: standard deviation between runs, in points. With crossed seeds, the root of the sum of the three variances;
  otherwise the standard deviation of the scores.
- intermediate_sd, target_sd, residual_sd: the three parts, in points. A negative estimate of a variance counts as 0.
- ..._share, ..._share_low, ..._share_high: share of the variance in percent, and its 95 % interval.
- note: negative estimates and missing scores. If the seeds cannot separate the parts, these are null and note says why.
"""

DRAWS = 10_000
"""Number of draws from the distributions of the pivots."""

Scored = npt.NDArray[np.float64]
"""Scores of shape [intermediate seeds, target seeds]; NaN where a score is missing."""

Pair = tuple[int | None, int]
"""(seed of the intermediate stages, seed of the target stage)"""


def variance_table(results: pa.Table) -> pa.Table:
    """Compute the table `variance` (schema VARIANCE) from the table `results`."""
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
    """Estimate the variance of each of PARTS. Estimates can be negative. None if too many scores are missing."""
    there = np.nonzero(~np.isnan(scored))
    values = scored[there]
    levels = [np.unique(index, return_inverse=True)[1] for index in (*there, np.arange(len(values)))]
    designs = [np.eye(level.max() + 1)[level] for level in levels]
    mean = np.full((len(values), len(values)), 1 / len(values))
    forms = [design / design.sum(axis=0) @ design.T - mean for design in designs]
    # E[y'Qy] = sum over the parts of variance * tr(Q Z Z'), where Z is the part's design; the mean cancels.
    expected = np.array([[np.trace(form @ design @ design.T) for design in designs] for form in forms])
    if np.linalg.matrix_rank(expected) < len(PARTS):
        return None
    return dict(zip(PARTS, np.linalg.solve(expected, [values @ form @ values for form in forms]), strict=True))


def shares(variances: Mapping[str, float]) -> dict[str, float]:
    """Share of each variance in their sum, in percent. Negative variances count as 0. Empty if the sum is 0."""
    positive = {part: max(value, 0.0) for part, value in variances.items()}
    total = sum(positive.values())
    return {part: 100 * value / total for part, value in positive.items()} if total else {}


def share_intervals(scored: Scored) -> dict[str, Interval]:
    """Intervals of `shares` at the level LEVEL.

    Returns:
        An interval for each of PARTS. Empty if all scores are equal, if there is only one intermediate or target seed,
        if missing scores split the matrix into parts that have no seed in common, or if the additive model leaves no
        degree of freedom for the residual.
    """
    scored = _without_empty(scored)
    if min(scored.shape) < 2 or np.nanmax(scored) == np.nanmin(scored):
        return {}
    (a, b), there = scored.shape, np.nonzero(~np.isnan(scored))
    values = scored[there]
    # score = mean + effect of the intermediate seed + effect of the target seed; the effects of each phase sum to 0.
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
        # Estimated effects vary by their own variance plus a part of the residual's (1/b or 1/a if none is missing).
        noise = np.trace(covariance[effects, effects]) / degrees
        squares = np.sum(found[effects] ** 2) / random.chisquare(degrees, DRAWS)
        drawn[part] = np.maximum(squares - noise * residual, 0)
    total = sum(drawn.values())
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {part: np.quantile(100 * drawn[part] / total, ends) for part in PARTS}
    return {part: (float(low), float(high)) for part, (low, high) in intervals.items()}


def _without_empty(scored: Scored) -> Scored:
    """Remove the seeds that have no score at all."""
    there = ~np.isnan(scored)
    return scored[there.any(axis=1)][:, there.any(axis=0)]


def _cells(rows: Sequence[Mapping[str, Any]], results: pa.Table) -> dict[tuple[ModelRegime, str], dict[Pair, Score]]:
    """The score of every pair of seeds, by (model, regime) and column."""
    benchmark = benchmark_of(results)
    official = averaged_targets(rows, benchmark)
    cells: dict[tuple[ModelRegime, str], dict[Pair, Score]] = {}
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
    """(intermediate seeds, target seeds); the list of a phase is empty if none of its stages depends on a seed.

    Retrieval evaluates the last stage before the target stage, so that different target seeds then share their stage.
    """
    firsts = sorted({first for first, _ in cells if first is not None})
    seconds = sorted({second for _, second in cells})
    by_first = {(first, score.stages) for (first, _), score in cells.items()}
    return firsts, seconds if len(cells) == len(firsts) or len(by_first) > max(len(firsts), 1) else []


def _confounded(firsts: int, seconds: int, pairs: int) -> str | None:
    """Why the variance cannot be decomposed with these seeds; None if it can.

    Args:
        firsts, seconds: number of intermediate seeds and of target seeds.
        pairs: number of planned pairs of them.
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
