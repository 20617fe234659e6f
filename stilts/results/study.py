"""The table `study`: the benchmark's average, the interquartile mean and the probability of improvement of each regime.

The last two statistics are those of Agarwal et al. 2021 ("Deep Reinforcement Learning at the Edge of the Statistical
Precipice", arXiv:2108.13264), with seeds in the place of runs. The paper proposes a bootstrap that resamples the runs
of each task separately, which assumes that runs of different tasks are independent. Here all tasks of one seed share
the seed's intermediate stage, and the intervals of that bootstrap are far too narrow. The main intervals are therefore
those of a jackknife that leaves out one seed with all its tasks at a time, with Student's t (Tukey 1958; Efron and
Tibshirani 1993, chapter 11). The bootstrap intervals are reported as well, for comparison with other papers.
`benchmarks/interval_coverage.py` measures the coverage of both.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from stilts.results.aggregate import row_order, splits
from stilts.results.scores import (
    ModelRegime,
    Scores,
    average_scores,
    averaged_targets,
    distinct,
    official_targets,
    rows_of,
    spread_of,
    task_scores,
)
from stilts.results.seed_statistics import Options
from stilts.results.table import CLEAN, benchmark_of
from stilts.statistics.intervals import LEVEL, Interval, t_interval
from stilts.statistics.spread import Spread

_ENDS = ("", "_low", "_high", "_bootstrap_low", "_bootstrap_high")

STUDY = pa.schema(
    [
        *((name, pa.string()) for name in ("split", "model", "intermediate")),
        *((name, pa.int64()) for name in ("tasks", "planned", "n")),
        *((name, pa.float64()) for name in ("mean", "sd", "low", "high")),
        *((f"iqm{end}", pa.float64()) for end in _ENDS),
        ("baseline", pa.string()),
        ("improvement_n", pa.int64()),
        *((f"improvement{end}", pa.float64()) for end in _ENDS),
    ],
    metadata={"stilts.study": "2"},
)
"""Schema of the table `study`: one row per split, model and intermediate, on the clean data.

All numbers are in percent, and all intervals have a level of 95 %.

- tasks: number of targets that have their task's name and are trained on English alone.
- planned: number of seeds; n: seeds that have a score for all these targets.
- mean, sd, low, high: the benchmark's average over all its tasks: mean, standard deviation and Student t interval over
  seeds. Null if the experiment does not have all tasks of the benchmark.
- iqm: interquartile mean: the mean of the middle half of the scores of all tasks and of the n seeds.
- improvement: probability that a run of this regime beats a run of the baseline (a tie counts as half), averaged over
  the tasks that both have. It uses the improvement_n seeds that have a score for all tasks under both regimes.
- iqm_low, iqm_high, improvement_low, improvement_high: jackknife intervals, leaving out one seed at a time.
- ..._bootstrap_low, ..._bootstrap_high: intervals of a bootstrap that resamples the seeds of each task separately.

Intervals are null for a single seed, and if the seeds do not vary.
"""

REPETITIONS = 2000
"""Number of bootstrap resamples."""

Matrix = npt.NDArray[np.float64]
"""Scores of shape [seeds, tasks]."""


def study_table(results: pa.Table, options: Options) -> pa.Table:
    """Compute the table `study` (schema STUDY) from the table `results`."""
    records = []
    for split in splits(results):
        rows, benchmark = rows_of(results, split, CLEAN), benchmark_of(results)
        official, averaged = official_targets(rows), averaged_targets(rows, benchmark)
        scores = {key: found for key, found in task_scores(rows, benchmark).items() if key[1] in official}
        averages = average_scores({key: found for key, found in scores.items() if key[1] in averaged}, benchmark)
        for row in row_order(rows, options.baseline):
            model, intermediate = row
            record: dict[str, Any] = {"split": split, "model": model, "intermediate": intermediate}
            record |= _official_average(averages, row, benchmark.name) | _interquartile(scores, row)
            if intermediate != options.baseline:
                record |= _improvement(scores, row, (model, options.baseline))
            records.append(record)
    return pa.Table.from_pylist(records, schema=STUDY)


def interquartile_mean(scores: Matrix) -> float:
    """The mean of all scores except the lowest and the highest quarter."""
    return float(stats.trim_mean(scores, 0.25, axis=None))


def improvement(ours: Matrix, theirs: Matrix) -> float:
    """The probability, in percent, that a random run of ours beats a random run of theirs, averaged over tasks.

    A tie counts as half. For one task, this is the Mann-Whitney statistic U divided by the number of pairs.
    """
    return 100 * float(_wins(ours, theirs).mean())


def jackknife(statistic: Callable[..., float], *scores: Matrix) -> Interval | None:
    """Jackknife interval of a statistic, leaving out one seed at a time; None if there is only one seed.

    Args:
        scores: the arguments of the statistic, whose rows with the same index belong to the same seed.
    """
    seeds = len(scores[0])
    if seeds < 2:
        return None
    left = [statistic(*(np.delete(matrix, seed, axis=0) for matrix in scores)) for seed in range(seeds)]
    # The interval is centred at the statistic of all seeds and uses the standard deviation of the pseudo-values.
    return t_interval(Spread(statistic(*scores), (seeds - 1) * statistics.stdev(left), seeds))


def bootstrap_interquartile_mean(scores: Matrix) -> Interval | None:
    """Percentile bootstrap interval of `interquartile_mean`, resampling the seeds of each task; None for one seed."""
    seeds, tasks = scores.shape
    if seeds < 2:
        return None
    drawn = np.random.default_rng(0).integers(seeds, size=(REPETITIONS, seeds, tasks))
    samples = scores[drawn, np.arange(tasks)].reshape(REPETITIONS, -1)
    return _percentiles(stats.trim_mean(samples, 0.25, axis=1))


def bootstrap_improvement(ours: Matrix, theirs: Matrix) -> Interval | None:
    """Percentile bootstrap interval of `improvement`, resampling both regimes' seeds in each task; None for 1 seed."""
    if min(len(ours), len(theirs)) < 2:
        return None
    wins, random = _wins(ours, theirs), np.random.default_rng(0)
    tasks = wins.shape[2]
    # Counting how often each seed is drawn needs less memory than an array of all pairs of drawn seeds.
    drawn = [random.multinomial(n, np.full(n, 1 / n), size=(REPETITIONS, tasks)) / n for n in wins.shape[:2]]
    return _percentiles(100 * np.einsum("rta,abt,rtb->r", drawn[0], wins, drawn[1], optimize=True) / tasks)


def _wins(ours: Matrix, theirs: Matrix) -> npt.NDArray[np.float64]:
    """Array of shape [our seeds, their seeds, tasks]: 1 if our score is higher, 0.5 for a tie, otherwise 0."""
    return (np.sign(ours[:, None] - theirs[None]) + 1) / 2


def _percentiles(samples: npt.NDArray[np.float64]) -> Interval:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _ends(name: str, interval: Interval | None) -> dict[str, float]:
    return {} if interval is None else {f"{name}low": interval[0], f"{name}high": interval[1]}


def _official_average(averages: Scores, row: ModelRegime, name: str) -> dict[str, Any]:
    found = spread_of(distinct(averages.get((row, name), {})))
    return {} if found is None else {"mean": found.mean, "sd": found.sd, **_ends("", t_interval(found))}


def _interquartile(scores: Scores, row: ModelRegime) -> dict[str, Any]:
    tasks = _tasks(scores, row)
    planned = {seed for task in tasks for seed in scores[row, task]}
    complete = _complete_seeds(scores, row, tasks)
    record: dict[str, Any] = {"tasks": len(tasks), "planned": len(planned), "n": len(complete)}
    if complete:
        found = np.array(list(complete.values()))
        record |= {"iqm": interquartile_mean(found), **_ends("iqm_", jackknife(interquartile_mean, found))}
        record |= _ends("iqm_bootstrap_", bootstrap_interquartile_mean(found))
    return record


def _improvement(scores: Scores, row: ModelRegime, baseline: ModelRegime) -> dict[str, Any]:
    tasks = [task for task in _tasks(scores, row) if (baseline, task) in scores]
    if not tasks:
        return {}
    ours, theirs = _complete_seeds(scores, row, tasks), _complete_seeds(scores, baseline, tasks)
    seeds = [seed for seed in ours if seed in theirs]
    record: dict[str, Any] = {"baseline": baseline[1], "improvement_n": len(seeds)}
    if seeds:
        pair = np.array([ours[seed] for seed in seeds]), np.array([theirs[seed] for seed in seeds])
        record |= {"improvement": improvement(*pair), **_bounded(_ends("improvement_", jackknife(improvement, *pair)))}
        record |= _ends("improvement_bootstrap_", bootstrap_improvement(*pair))
    return record


def _bounded(ends: dict[str, float]) -> dict[str, float]:
    return {name: min(max(value, 0.0), 100.0) for name, value in ends.items()}


def _tasks(scores: Scores, row: ModelRegime) -> list[str]:
    return [task for other, task in scores if other == row]


def _complete_seeds(scores: Scores, row: ModelRegime, tasks: Sequence[str]) -> dict[int, list[float]]:
    """The scores of each seed in the order of the tasks, for the seeds that have a score for all of them."""
    seeds = sorted({seed for task in tasks for seed in scores[row, task]})
    found = {seed: [scores[row, task][seed].value for task in tasks if seed in scores[row, task]] for seed in seeds}
    there = {seed: [value for value in values if value is not None] for seed, values in found.items()}
    return {seed: values for seed, values in there.items() if len(values) == len(tasks)}
