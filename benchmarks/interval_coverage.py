"""Measures by simulation how often the intervals of the tables cover the true value, and how often their tests err.

Draws studies with a known true value (normal and skewed scores, few seeds), and analyses them with the functions that
`stilts collect` uses. A percentile bootstrap is included for comparison with Student's t. Intervals over test items are
measured by `benchmarks/items_bootstrap.py --coverage`.

    python benchmarks/interval_coverage.py --draws 1000 --json coverage.json
"""

import argparse
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from stilts.results.study import (
    bootstrap_improvement,
    bootstrap_interquartile_mean,
    improvement,
    interquartile_mean,
    jackknife,
)
from stilts.statistics.compare import holm
from stilts.statistics.components import RESIDUAL, share_intervals
from stilts.statistics.correlation import Correlation, pearson, spearman
from stilts.statistics.correlation import partial as partial_correlation
from stilts.statistics.intervals import Interval, sd_interval, t_interval, t_test
from stilts.statistics.power import detectable
from stilts.statistics.spread import spread

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
"""Draws deviations with mean 0 and standard deviation 1: (random generator, shape) -> array."""

SEEDS = (3, 5, 10)
TASKS = 9
LEVELS = np.linspace(40, 85, TASKS)
"""Mean score of each task."""
FAILING = 0.03
"""Probability that a run of a study with failures has no score."""
SHARES = {"all equal": (1.0, 1.0, 1.0), "target alone": (0.0, 1.0, 0.5), "intermediate mostly": (2.0, 0.5, 0.5)}
"""Standard deviations of the intermediate's seed, the target's, and the residual."""
DESIGNS = (
    *(((n, n), 0.0) for n in SEEDS), ((3, 10), 0.0), ((10, 3), 0.0),
    *((shape, missing) for shape in ((5, 5), (3, 10), (10, 3)) for missing in (0.1, 0.3)),
)  # fmt: skip
"""(intermediate seeds, target seeds), and the share of the scores that are missing."""
GROUPS = ((3, 3), (5, 2), (5, 5), (10, 3))
"""(seeds of a part, runs of each) where the rest is different in every run."""
SQUARES = (5, 7)
"""Seeds of each of the four parts in a Graeco-Latin square."""
LANGUAGES = (6, 14, 39)
"""Languages other than English of PAWS-X, XNLI and PAN-X."""


def normal(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return random.normal(size=shape)


def skewed(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Scores that mostly agree and sometimes collapse: a negative exponential distribution, of skewness -2."""
    return 1 - random.exponential(size=shape)


SHAPES: dict[str, Draw] = {"normal": normal, "skewed": skewed}


@dataclass(frozen=True)
class Result:
    """How often an interval covered the truth, or a test erred.

    Attributes:
        promised: the nominal percentage: the least for intervals and power, the most for errors.
        found: the percentage found in the draws.
        error: twice its standard error, in points.
    """

    what: str
    data: str
    seeds: str
    promised: float
    found: float
    error: float


def rate(what: str, data: str, seeds: object, hits: Iterable[bool], promised: float = 95.0) -> Result:
    found = np.array(list(hits), dtype=float)
    share = float(found.mean())
    error = 200 * math.sqrt(share * (1 - share) / len(found))
    return Result(what, data, str(seeds), promised, round(100 * share, 2), round(error, 2))


def covers(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def percentile_bootstrap(values: Array, random: np.random.Generator) -> Interval:
    means = values[random.integers(len(values), size=(1000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def means(draws: int) -> Iterable[Result]:
    """The mean of a target over seeds, and the difference of two regimes whose scores of one seed are correlated."""
    for data, draw in SHAPES.items():
        for n in SEEDS:
            random = np.random.default_rng(n)
            scores = 70 + draw(random, (draws, n))
            yield rate("mean: Student t", data, n, (covers(t_of(row), 70) for row in scores))
            drawn = [percentile_bootstrap(row, random) for row in scores]
            yield rate("mean: percentile bootstrap", data, n, (covers(interval, 70) for interval in drawn))
            luck = draw(random, (draws, n))
            pairs = (1 + luck + draw(random, (draws, n))) - (luck + draw(random, (draws, n)))
            yield rate("paired difference: Student t", data, n, (covers(t_of(row), 1) for row in pairs))


def t_of(values: Array) -> Interval | None:
    found = spread(values.tolist())
    return None if found is None else t_interval(found)


def families(draws: int) -> Iterable[Result]:
    """45 comparisons (5 regimes x 9 targets) with one baseline, none better: any significant one is an error."""
    for data, draw in SHAPES.items():
        random = np.random.default_rng(0)
        plain, adjusted = [], []
        for _ in range(draws):
            scores = draw(random, (6, TASKS, 5))
            p = [p_of(regime[task] - scores[0, task]) for regime in scores[1:] for task in range(TASKS)]
            plain.append(min(p) < 0.05)
            adjusted.append(min(holm(p)) < 0.05)
        yield rate("any error among 45 comparisons: plain p", data, 5, plain, 5.0)
        yield rate("any error among 45 comparisons: Holm", data, 5, adjusted, 5.0)


def p_of(differences: Array) -> float:
    found = spread(differences.tolist())
    p = None if found is None else t_test(found)
    return 1.0 if p is None else p


def studies(draws: int) -> Iterable[Result]:
    """Nine tasks of different levels; scores of one seed are independent, or have 30 % of their variance in common."""
    for data, draw in SHAPES.items():
        for common in (0.0, 0.3):
            kind = f"{data}, tasks correlated" if common else data
            random = np.random.default_rng(1)
            study = partial(draw_study, random, draw, common)
            many = [(study(2000, 1.0), study(2000)) for _ in range(10)]
            middle = float(np.mean([interquartile_mean(theirs) for _, theirs in many]))
            better = float(np.mean([improvement(ours[:500], theirs[:500]) for ours, theirs in many]))
            for n in SEEDS:
                found = [(study(n, 1.0), study(n)) for _ in range(draws)]
                ways: dict[str, tuple[Callable[[Array, Array], Interval | None], float]] = {
                    "average over tasks: Student t": (lambda a, b: t_of(b.mean(axis=1)), float(LEVELS.mean())),
                    "interquartile mean: jackknife": (lambda a, b: jackknife(interquartile_mean, b), middle),
                    "interquartile mean: bootstrap by task": (lambda a, b: bootstrap_interquartile_mean(b), middle),
                    "improvement: jackknife": (lambda a, b: jackknife(improvement, a, b), better),
                    "improvement: bootstrap by task": (bootstrap_improvement, better),
                }
                for what, (way, truth) in ways.items():
                    yield rate(what, kind, n, [covers(way(ours, theirs), truth) for ours, theirs in found])


def draw_study(random: np.random.Generator, draw: Draw, common: float, n: int, gain: float = 0.0) -> Array:
    """[n seeds, tasks]"""
    shared = math.sqrt(common) * draw(random, (n, 1))
    return LEVELS + gain + 2 * (shared + math.sqrt(1 - common) * draw(random, (n, TASKS)))


def failures(draws: int) -> Iterable[Result]:
    """A regime of n seeds and a baseline of twice as many, of whose runs some failed: only complete pairs count."""
    for data, draw in SHAPES.items():
        random = np.random.default_rng(2)
        many = [(draw_study(random, draw, 0.3, 2000, 1.0), draw_study(random, draw, 0.3, 2000)) for _ in range(10)]
        better = float(np.mean([improvement(ours[:500], theirs[:500]) for ours, theirs in many]))
        for n in SEEDS:
            hits: dict[str, list[bool]] = {"difference": [], "improvement": []}
            for _ in range(draws):
                scores = [draw_study(random, draw, 0.3, seeds, gain) for seeds, gain in ((n, 1.0), (2 * n, 0.0))]
                failed = [random.random(found.shape) < FAILING for found in scores]
                both = ~failed[0][:, 0] & ~failed[1][:n, 0]
                if both.sum() > 1:
                    pairs = scores[0][both, 0] - scores[1][:n][both, 0]
                    hits["difference"].append(covers(t_of(pairs), 1.0))
                complete = ~failed[0].any(axis=1) & ~failed[1][:n].any(axis=1)
                if complete.sum() > 1:
                    found = jackknife(improvement, scores[0][complete], scores[1][:n][complete])
                    hits["improvement"].append(covers(found, better))
            for name, what in (
                ("difference", "paired difference: Student t"),
                ("improvement", "improvement: jackknife"),
            ):
                yield rate(f"{what}, {FAILING:.0%} failed", data, f"{n} of {2 * n}", hits[name])


def phases(draws: int) -> Iterable[Result]:
    """The shares of the variance, of crossed seeds."""
    sources = ("intermediate", "target", RESIDUAL)
    for data, draw in SHAPES.items():
        for name, sds in SHARES.items():
            truth = dict(zip(sources, 100 * np.square(sds) / np.sum(np.square(sds)), strict=True))
            for (first, second), missing in DESIGNS:
                random = np.random.default_rng(first)
                found = []
                for _ in range(draws):
                    shapes: tuple[tuple[int, int], ...] = ((first, 1), (1, second), (first, second))
                    scores = np.asarray(sum(sd * draw(random, shape) for sd, shape in zip(sds, shapes, strict=True)))
                    there = np.nonzero(random.random(scores.shape) >= missing)
                    levels = {part: index.tolist() for part, index in zip(sources, there, strict=False)}
                    found.append(share_intervals(scores[there].tolist(), levels))
                seeds = f"{first}x{second}" + (f" -{missing:.0%}" if missing else "")
                for part in sources:
                    hits = [covers(intervals[part], truth[part]) for intervals in found if intervals]
                    yield rate(f"share of {part} ({name}: {truth[part]:.0f} %)", data, seeds, hits)


def parts(draws: int) -> Iterable[Result]:
    """One part of the seed that varies alone; one whose seeds repeat; and all four in a square of runs."""
    for data, draw in SHAPES.items():
        for n in SEEDS:
            random = np.random.default_rng(n)
            found = [spread(row.tolist()) for row in draw(random, (5 * draws, n))]
            hits = [covers(None if one is None else sd_interval(one), 1.0) for one in found]
            yield rate("standard deviation: chi-squared", data, n, hits)
        for groups, runs in GROUPS:
            levels = {"order": np.repeat(np.arange(groups), runs)}
            for name, sds in {"equal": (1.0, 1.0), "rest mostly": (0.5, 1.0), "order mostly": (2.0, 0.5)}.items():
                yield from of_factors(name, data, f"{groups}x{runs}", levels, sds, draws)
        for side in SQUARES:
            for name, of_all in {"all equal": (1.0,) * 5, "unequal": (2.0, 1.0, 0.5, 0.0, 0.5)}.items():
                yield from of_factors(f"square, {name}", data, f"{side}x{side}", square(side), of_all, draws)


def square(side: int) -> dict[str, npt.NDArray[np.int64]]:
    """The seeds of the four parts in a Graeco-Latin square: any two parts combine each pair of their seeds once."""
    row, column = np.divmod(np.arange(side * side), side)
    return {"order": row, "head": column, "dropout": (row + column) % side, "data": (row + 2 * column) % side}


def of_factors(
    name: str,
    data: str,
    seeds: str,
    levels: Mapping[str, npt.NDArray[np.int64]],
    sds: tuple[float, ...],
    draws: int,
) -> Iterable[Result]:
    """Coverage of the shares of some factors, whose effects have these standard deviations; the last is the rest's."""
    random, draw = np.random.default_rng(4), SHAPES[data]
    found = []
    for _ in range(draws):
        scores = sds[-1] * draw(random, (len(next(iter(levels.values()))),))
        for sd, level in zip(sds, levels.values(), strict=False):
            scores = scores + sd * draw(random, (int(level.max()) + 1,))[level]
        found.append(share_intervals(scores.tolist(), {factor: level.tolist() for factor, level in levels.items()}))
    truth = 100 * np.square(sds) / np.sum(np.square(sds))
    for part, share in zip([*levels, RESIDUAL], truth, strict=True):
        hits = [covers(intervals.get(part), share) for intervals in found]
        yield rate(f"share of {part} ({name}: {share:.0f} %)", data, seeds, hits)


def correlations(draws: int) -> Iterable[Result]:
    """Correlations of 0.5 over languages that are independent of each other; a third variable explains half of it."""
    random = np.random.default_rng(3)
    truth = 0.5
    # Rank correlation of a bivariate normal distribution (Pearson 1907).
    ranks = 6 / math.pi * math.asin(truth / 2)
    # x and y have correlation 0.5 with each other, and 0.5 with the third variable.
    covariance = np.full((3, 3), truth) + (1 - truth) * np.eye(3)
    held = (truth - truth**2) / (1 - truth**2)
    for n in LANGUAGES:
        ways: dict[str, tuple[Callable[..., Correlation], float, int]] = {
            "Pearson's r": (pearson, truth, 2),
            "Spearman's rho": (spearman, ranks, 2),
            "partial r": (partial_correlation, held, 3),
        }
        for what, (way, expected, width) in ways.items():
            samples = random.multivariate_normal(np.zeros(3), covariance, size=(draws, n))[:, :, :width]
            found = [way(*sample.T) for sample in samples]
            hits = [
                each.low is not None and each.high is not None and each.low <= expected <= each.high for each in found
            ]
            yield rate(f"{what}, languages independent", "normal", f"{n} languages", hits)


def powers(draws: int) -> Iterable[Result]:
    """Whether a true difference that `detectable` names is significant as often as it says."""
    for n in SEEDS:
        random = np.random.default_rng(n)
        pairs = detectable(n) + random.normal(size=(draws, n))
        yield rate("power at the detectable difference", "normal", n, [p_of(row) < 0.05 for row in pairs], 80.0)


def show(results: Sequence[Result]) -> None:
    table = Table("what", "data", "seeds", "promised %", "found %", title="Coverage of intervals, and errors of tests")
    for result in results:
        table.add_row(
            result.what, result.data, result.seeds, f"{result.promised:.0f}", f"{result.found:.1f} ±{result.error:.1f}"
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--draws", type=int, default=1000, help="studies drawn for each figure; a fifth for the slow ones"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    results = [
        *means(options.draws),
        *families(options.draws),
        *powers(options.draws),
        *correlations(options.draws),
        *studies(options.draws // 5),
        *failures(options.draws),
        *phases(options.draws // 5),
        *parts(options.draws // 5),
    ]
    show(results)
    if options.json:
        found = {"draws": options.draws, "figures": [asdict(result) for result in results]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
