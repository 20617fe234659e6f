"""Verdicts of claims: each kind of claim with its estimate, its simultaneous interval and its procedure.

| kind | procedure |
|---|---|
| difference | paired t interval; equality within a tolerance by inclusion of the interval (two one-sided t tests) |
| order | the best: Hsu's comparisons with the best, blocked by seed; a ranking: paired t intervals of neighbours |
| share | of regimes and languages: bounds from Holm's one-sided paired t tests; of seeds: the exact binomial interval |
| correlation | Fisher's z; the difference of two models: Zou's interval for correlations with a variable in common |
| ratio | Fieller's interval of the ratio of two paired means |

All intervals have the level `simultaneous_level` of the number of claims, so that the probability of any wrong verdict
in an experiment is at most 5 %, as far as each procedure keeps its level (`benchmarks/claims_error.py` measures it).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isinf
from typing import Any

import numpy as np
from scipy import stats

from stilts.experiment.claims import Correlation, Difference, Order, Ratio, Share, Statement
from stilts.plan.claims import Claim
from stilts.results.claims.scores import BySeed, ClaimScores
from stilts.statistics import correlation
from stilts.statistics.best import comparisons_with_best
from stilts.statistics.compare import holm
from stilts.statistics.intervals import Interval, above_test, t_interval
from stilts.statistics.power import seeds_needed
from stilts.statistics.ratio import fieller
from stilts.statistics.spread import Spread, spread
from stilts.statistics.verdict import Region, Verdict

Point = Mapping[str, Any]
"""A row of the table `similarity_points`."""


@dataclass(frozen=True)
class Finding:
    """What the results say about a claim.

    Attributes:
        estimate: of the number that the claim is about, in `unit`; None if there is none yet.
        interval: simultaneous interval; None if there are too few observations.
        n: number of observations, which are seeds, or the units that are named in `of`.
        planned: number of planned observations.
        seeds_needed: seeds with which the verdict would be decided with a power of 80 %, if estimate and standard
            deviation are the true ones; None if it is decided, or if seeds alone do not decide it.
        note: why there is no estimate or interval.
    """

    verdict: Verdict
    estimate: float | None
    interval: Interval | None
    n: int
    planned: int
    unit: str
    of: str = "seeds"
    seeds_needed: int | None = None
    note: str | None = None


def judge(scores: ClaimScores, points: Callable[[str, str], Sequence[Point]], level: float) -> Finding:
    """The verdict of a claim.

    Args:
        points: (regime, baseline) -> rows of `similarity_points` for all models.
        level: of the interval.
    """
    statement = scores.claim.statement
    if isinstance(statement, Difference):
        return _difference(scores, statement, level)
    if isinstance(statement, Order):
        return _best(scores, statement, level) if statement.best is not None else _ranking(scores, level)
    if isinstance(statement, Share):
        return (
            _share_of_seeds(scores, statement, level) if statement.of == "seeds" else _share(scores, statement, level)
        )
    if isinstance(statement, Ratio):
        return _ratio(scores, statement, level)
    return _correlation(scores.claim, statement, points(statement.regime, statement.against), level)


def region_of(statement: Statement) -> Region:
    """The values for which a statement is true."""
    low, high = statement.ends
    return Region(low, high, open_low=statement.above is not None, open_high=statement.below is not None)


def _difference(scores: ClaimScores, statement: Difference, level: float) -> Finding:
    gains, planned = scores.gains(statement.regime, statement.against), scores.planned(statement.regime)
    return _of_mean(gains, planned, region_of(statement), level, "points")


def _of_mean(gains: Sequence[float], planned: int, region: Region, level: float, unit: str) -> Finding:
    """The finding about a mean of paired numbers, by Student's t."""
    found = spread(gains)
    if found is None:
        return _nothing(planned, unit)
    interval = t_interval(found, level)
    verdict = region.judge(interval)
    needed = _seeds(region.distance(found.mean), found, level) if verdict is Verdict.UNDECIDED else None
    note = None if interval else _no_interval(found.n)
    return Finding(verdict, found.mean, interval, found.n, planned, unit, seeds_needed=needed, note=note)


def _nothing(planned: int, unit: str, note: str = "no scores yet", of: str = "seeds") -> Finding:
    return Finding(Verdict.UNDECIDED, None, None, 0, planned, unit, of, note=note)


def _no_interval(n: int) -> str:
    return "one seed shows no spread" if n == 1 else "the seeds do not differ, so that there is no interval"


def _seeds(distance: float, found: Spread, level: float) -> int | None:
    """The number of seeds with which an interval of this level would not reach as far as the distance."""
    return None if distance < 1e-9 or isinf(distance) else seeds_needed(distance, found, 1 - level)


# --- orders


def _best(scores: ClaimScores, statement: Order, level: float) -> Finding:
    regimes = list(scores.claim.regimes)
    by_regime = [scores.of(regime) for regime in regimes]
    planned, complete = scores.planned(regimes[0]), _complete(by_regime)
    if not len(complete):
        return _nothing(planned, "points", "no seed has a score for every regime")
    place = regimes.index(statement.best or "")
    means = complete.mean(axis=0)
    lead = float(means[place] - np.delete(means, place).max())
    intervals = comparisons_with_best(complete, level)
    finding = Finding(Verdict.UNDECIDED, lead, None, len(complete), planned, "points")
    if intervals is None:
        return replace(finding, note=_no_interval(len(complete)))
    low, high = intervals[place]
    # An end of 0 excludes the other regimes, or this one, as the best.
    verdict = Verdict.SUPPORTED if low == 0 else Verdict.CONTRADICTED if high == 0 else Verdict.UNDECIDED
    rival = int(np.delete(np.arange(len(regimes)), place)[np.delete(means, place).argmax()])
    differences = spread([float(value) for value in complete[:, place] - complete[:, rival]])
    needed = _seeds(abs(lead), differences, level) if differences and verdict is Verdict.UNDECIDED else None
    return replace(finding, verdict=verdict, interval=(low, high), seeds_needed=needed)


def _complete(by_regime: Sequence[BySeed]) -> np.ndarray:
    """Scores [seeds, regimes] of the seeds that have all of them; seeds that share all their stages count once."""
    rows = {}
    for seed in sorted(set.intersection(*(set(scores) for scores in by_regime))):
        own = [scores[seed] for scores in by_regime]
        if all(score.value is not None for score in own):
            rows[tuple(score.stages for score in own)] = [score.value for score in own]
    return np.array(list(rows.values()), dtype=float)


def _ranking(scores: ClaimScores, level: float) -> Finding:
    """Every neighbour in the ranking is above the next one: simultaneous paired t intervals."""
    ranked = scores.claim.regimes
    steps = [spread(scores.gains(*pair)) for pair in pairwise(ranked)]
    known, planned = [step for step in steps if step is not None], scores.planned(ranked[0])
    if len(known) < len(steps):
        return _nothing(planned, "points", "no scores yet for some of the regimes")
    each = 1 - (1 - level) / len(steps)
    intervals = [t_interval(step, each) for step in known]
    smallest = min(known, key=lambda step: step.mean)
    finding = Finding(Verdict.UNDECIDED, smallest.mean, None, min(step.n for step in known), planned, "points")
    ends = [interval for interval in intervals if interval is not None]
    if len(ends) < len(intervals):
        return replace(finding, note=_no_interval(finding.n))
    interval = min(low for low, _ in ends), min(high for _, high in ends)
    verdict = Region(0, open_low=True).judge(interval)
    needed = _seeds(abs(smallest.mean), smallest, each) if verdict is Verdict.UNDECIDED else None
    return replace(finding, verdict=verdict, interval=interval, seeds_needed=needed)


# --- shares


def _share(scores: ClaimScores, statement: Share, level: float) -> Finding:
    """The share of regimes or languages: those that are proven to gain, and those that are proven not to.

    The units share the seeds of the regime that they are compared with, so that they are no independent draws, and a
    binomial interval would not hold. Holm's procedure holds for every dependence: with the probability of `level`, all
    units that it counts as gaining do gain, and all that it counts as not gaining do not.
    """
    gains = _gains_of_units(scores, statement)
    found = [unit for unit in map(spread, gains) if unit is not None]
    planned = len(gains)
    if len(found) < planned or not planned:
        return _nothing(planned, "share", f"scores are missing for some of the {statement.of}", statement.of)
    tests = [above_test(unit, statement.gain_above) for unit in found]
    known = [p for p in tests if p is not None]
    estimate = sum(unit.mean > statement.gain_above for unit in found) / planned
    finding = Finding(Verdict.UNDECIDED, estimate, None, planned, planned, "share", statement.of)
    if len(known) < planned:
        return replace(finding, note=_no_interval(min(unit.n for unit in found)))
    alpha = (1 - level) / 2
    gaining = sum(p < alpha for p in holm(known))
    losing = sum(p < alpha for p in holm([1 - p for p in known]))
    interval = gaining / planned, 1 - losing / planned
    return replace(finding, verdict=region_of(statement).judge(interval), interval=interval)


def _gains_of_units(scores: ClaimScores, statement: Share) -> list[list[float]]:
    if statement.of == "regimes":
        counted = [regime for regime in scores.claim.regimes if regime != statement.against]
        return [scores.gains(regime, statement.against) for regime in counted]
    return [scores.gains(statement.regime or "", statement.against, language) for language in scores.languages]


def _share_of_seeds(scores: ClaimScores, statement: Share, level: float) -> Finding:
    """The share of runs: seeds are independent draws, so that the exact binomial interval holds (Clopper and Pearson
    1934, Biometrika 26)."""
    regime = statement.regime or ""
    gains, planned = scores.gains(regime, statement.against), scores.planned(regime)
    if not gains:
        return _nothing(planned, "share")
    gaining = sum(gain > statement.gain_above for gain in gains)
    ends = stats.binomtest(gaining, len(gains)).proportion_ci(level, method="exact")
    interval = float(ends.low), float(ends.high)
    verdict = region_of(statement).judge(interval)
    return Finding(verdict, gaining / len(gains), interval, len(gains), planned, "share")


# --- ratios and correlations


def _ratio(scores: ClaimScores, statement: Ratio, level: float) -> Finding:
    ours = scores.loss(statement.regime)
    theirs = scores.of(statement.regime, "clean") if statement.against is None else scores.loss(statement.against)
    pairs = _pairs(ours, theirs)
    planned = scores.planned(statement.regime)
    if not pairs:
        return _nothing(planned, "ratio")
    above, below = zip(*pairs, strict=True)
    mean = float(np.mean(below))
    estimate = float(np.mean(above)) / mean if mean else None
    interval = fieller(above, below, level)
    note = None
    if interval is None:
        note = _no_interval(1) if len(pairs) == 1 else "what it is divided by may be 0, so that there is no interval"
    verdict = region_of(statement).judge(interval)
    return Finding(verdict, estimate, interval, len(pairs), planned, "ratio", note=note)


def _pairs(ours: BySeed, theirs: BySeed) -> list[tuple[float, float]]:
    found = {}
    for seed in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[seed].value, theirs[seed].value
        if mine is not None and other is not None:
            found[ours[seed].stages, theirs[seed].stages] = mine, other
    return list(found.values())


def _correlation(claim: Claim, statement: Correlation, points: Sequence[Point], level: float) -> Finding:
    """Pearson's correlation over languages. It takes languages as independent draws, which related ones are not."""
    first, *others = (_gains_by_language(claim, statement, points, model) for model in claim.models)
    common = [name for name in first if all(name in other for other in others)]
    planned = len({point["language"] for point in points if claim.has_language(point["language"])})
    distances = [first[name][0] for name in common]
    gains = [[of_model[name][1] for name in common] for of_model in (first, *others)]
    if len(common) < correlation.FEWEST:
        note = f"a correlation needs {correlation.FEWEST} languages with a distance"
        return replace(_nothing(planned, "r", note, "languages"), n=len(common))
    if not all(map(correlation.varies, (distances, *gains))):
        return replace(_nothing(planned, "r", "gains or distances do not differ", "languages"), n=len(common))
    if others:
        estimate, interval = correlation.difference(distances, gains[0], gains[1], level)
    else:
        found = correlation.pearson(distances, gains[0], level)
        estimate = found.value
        interval = None if found.low is None or found.high is None else (found.low, found.high)
    verdict = region_of(statement).judge(interval)
    return Finding(verdict, estimate, interval, len(common), planned, "r", "languages")


def _gains_by_language(
    claim: Claim, statement: Correlation, points: Sequence[Point], model: str
) -> dict[str, tuple[float, float]]:
    """Language -> (distance, gain)."""
    distance, target = f"distance_{statement.distance}", claim.statement.names[0]
    rows = [p for p in points if p["model"] == model and p["target"] == target and p["split"] == claim.split]
    rows = [p for p in rows if claim.has_language(p["language"]) and p[distance] is not None]
    return {point["language"]: (point[distance], point["gain"]) for point in rows}
