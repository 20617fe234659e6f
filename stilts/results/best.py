"""The table `best`: the best intermediate for each target, chosen on dev and reported on test.

The choice is the one that the submission uses (`stilts.results.choice`), among all regimes including the baseline, for
official targets (`CellSource.official`). It never uses a test score. The table also gives the regime that is best on
test (the oracle), and what the choice on dev loses to it.

Scores of a regime that was chosen as the best of several are biased upwards: the dev score much, the test score, of
the same seeds, less.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pyarrow as pa

from stilts.results.aggregate import official_order
from stilts.results.choice import Candidate, DevScores, best_regime, candidates, dev_scores
from stilts.results.scores import (
    Score,
    Scores,
    average_scores,
    averaged_targets,
    distinct,
    paired,
    rows_of,
    spread_of,
    task_scores,
    worst,
)
from stilts.results.table import CLEAN, CellSource, ReadEvaluation, benchmark_of
from stilts.statistics.intervals import t_interval
from stilts.statistics.spread import Spread, spread
from stilts.tasks.benchmarks import Benchmark

PER_TARGET, ONE = "per target", "one for all"
ALL_TARGETS = "dev score of all targets (mean)"
SPLIT = "test"

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("rule", "model", "target", "intermediate", "chosen_by")),
        ("dev", pa.float64()),
        ("candidates", pa.int64()),
        ("planned", pa.int64()),
        ("n", pa.int64()),
        *((name, pa.float64()) for name in ("test", "test_low", "test_high")),
        ("baseline", pa.string()),
        ("baseline_test", pa.float64()),
        ("difference_n", pa.int64()),
        *((name, pa.float64()) for name in ("difference", "difference_low", "difference_high")),
        ("oracle", pa.string()),
        ("oracle_test", pa.float64()),
        ("regret", pa.float64()),
        ("note", pa.string()),
    ]
)
"""Schema of the table `best`: one row per rule, model and target, and one per average over the chosen targets
(classification, tagging, qa, retrieval, xtreme).

- rule: `per target` chooses the best regime for each target, `one for all` the one regime with the best mean dev score
  over targets.
- intermediate: the chosen regime; chosen_by: the kind of dev score; dev: its mean dev score; candidates: number of
  regimes that have a dev score.
- test, test_low, test_high: mean test score of the chosen regime over n of planned seeds, and its 95 % interval.
- difference: test score less that of `baseline`, paired by seed; null if the baseline itself was chosen.
- oracle: the regime with the best test score; regret: points that the choice on dev loses to it, never negative.
- note: what is missing, as `dev: 5/6 regimes` (5 of 6 regimes have a dev score) or `test missing 2/5` (seeds).

In rows of averages, intermediate is null unless all targets have the same one, and oracle is always null."""

Seeds = Mapping[int, Score]
Choice = Mapping[str, str]
"""Target -> regime."""


def best(results: pa.Table, cells: Sequence[CellSource], read_evaluation: ReadEvaluation, baseline: str) -> pa.Table:
    """Compute the table `best`.

    Args:
        results: the table of this name.
        cells: the independent cells of the same experiment (see `gather_choice`).
        read_evaluation: reads the records that hold the dev scores.
        baseline: the regime that the chosen regimes are compared with.
    """
    benchmark = benchmark_of(results)
    found = rows_of(results, SPLIT, CLEAN)
    scores, averaged = task_scores(found, benchmark), averaged_targets(found, benchmark)
    by_model: dict[str, list[CellSource]] = {}
    for cell in cells:
        if cell.official:
            by_model.setdefault(cell.model, []).append(cell)
    rows = [
        row
        for model, own in by_model.items()
        for row in _ModelChoices(model, own, read_evaluation, scores, averaged, benchmark, baseline).rows()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@dataclass(frozen=True)
class _Target:
    """One target of one model: its dev scores, and the regimes that can be chosen."""

    dev: DevScores
    regimes: Mapping[str, Candidate]


class _ModelChoices:
    """Computes the rows of one base model."""

    def __init__(
        self,
        model: str,
        cells: Sequence[CellSource],
        read_evaluation: ReadEvaluation,
        scores: Scores,
        averaged: Collection[str],
        benchmark: Benchmark,
        baseline: str,
    ) -> None:
        self.model, self.benchmark, self.baseline = model, benchmark, baseline
        self.scores, self.averaged = scores, averaged
        self.targets: dict[str, _Target] = {}
        for target in official_order(benchmark):
            of_target = [cell for cell in cells if cell.target == target]
            if of_target:
                dev = dev_scores(target, cells, read_evaluation)
                self.targets[target] = _Target(dev, candidates(of_target, dev))

    def rows(self) -> Iterator[dict[str, Any]]:
        chosen = {target: best_regime(found.regimes) for target, found in self.targets.items()}
        yield from self._by_rule(PER_TARGET, {target: regime for target, regime in chosen.items() if regime})
        one = self._one_for_all()
        if one is not None:
            yield from self._by_rule(ONE, dict.fromkeys(self.targets, one))

    def _one_for_all(self) -> str | None:
        """The regime with the best mean dev score over targets.

        Targets without any dev score are left out, and so are regimes without a dev score on one of the other targets.
        """
        regimes = [found.regimes for found in self.targets.values() if best_regime(found.regimes)]
        dev: dict[str, float] = {}
        for name in regimes[0] if regimes else ():
            known = [r[name].dev for r in regimes if name in r]
            values = [value for value in known if value is not None]
            if len(values) == len(regimes):
                dev[name] = fmean(values)
        return max(dev, key=lambda name: dev[name], default=None)

    def _by_rule(self, rule: str, choice: Choice) -> Iterator[dict[str, Any]]:
        oracle = {target: regime for target in self.targets if (regime := self._oracle(target))}
        for target, found in self.targets.items():
            ours, theirs = self._test(target, choice.get(target)), self._test(target, oracle.get(target))
            yield {
                **self._row(rule, target, ours, self._test(target, self.baseline), theirs),
                "intermediate": choice.get(target),
                "oracle": oracle.get(target),
                "chosen_by": (found.dev.source or None) if rule == PER_TARGET else ALL_TARGETS,
                "dev": found.regimes[choice[target]].dev if target in choice else None,
                "candidates": sum(candidate.dev is not None for candidate in found.regimes.values()),
                **({} if choice.get(target) != self.baseline else _NO_DIFFERENCE),
                "note": self._note(found, choice.get(target), ours),
            }
        averages = [self._averages(part) for part in (choice, dict.fromkeys(self.targets, self.baseline), oracle)]
        members = {**self.benchmark.groups, self.benchmark.name: tuple(self.benchmark.languages)}
        for name, ours in averages[0].items():
            regimes = {choice[target] for target in members[name]}
            yield {
                **self._row(rule, name, ours, *(found.get(name, {}) for found in averages[1:])),
                "intermediate": next(iter(regimes)) if len(regimes) == 1 else None,
                **(_NO_DIFFERENCE if regimes == {self.baseline} else {}),
                "note": _missing_scores(ours),
            }

    def _row(self, rule: str, column: str, ours: Seeds, baseline: Seeds, oracle: Seeds) -> dict[str, Any]:
        found, theirs, best = (spread_of(distinct(by_seed)) for by_seed in (ours, baseline, oracle))
        difference = spread(paired(ours, baseline))
        low, high = _interval(found)
        difference_low, difference_high = _interval(difference)
        return {
            "rule": rule,
            "model": self.model,
            "target": column,
            "planned": len(distinct(ours)),
            "n": found.n if found else 0,
            "test": found.mean if found else None,
            "test_low": low,
            "test_high": high,
            "baseline": self.baseline,
            "baseline_test": theirs.mean if theirs else None,
            "difference_n": difference.n if difference else 0,
            "difference": difference.mean if difference else None,
            "difference_low": difference_low,
            "difference_high": difference_high,
            "oracle_test": best.mean if best else None,
            "regret": best.mean - found.mean if best and found else None,
        }

    def _test(self, target: str, regime: str | None) -> Seeds:
        return {} if regime is None else self.scores.get(((self.model, regime), target), {})

    def _oracle(self, target: str) -> str | None:
        means = {regime: spread_of(distinct(self._test(target, regime))) for regime in self.targets[target].regimes}
        known = {regime: found.mean for regime, found in means.items() if found is not None}
        return max(known, key=lambda regime: known[regime], default=None)

    def _averages(self, choice: Choice) -> dict[str, Seeds]:
        """Scores of each average over tasks by seed, where each target uses the regime chosen for it."""
        row = (self.model, "")
        chosen = {
            (row, target): dict(self._test(target, regime))
            for target, regime in choice.items()
            if target in self.averaged
        }
        return {column: by_seed for (_, column), by_seed in average_scores(chosen, self.benchmark).items()}

    def _note(self, found: _Target, regime: str | None, ours: Seeds) -> str | None:
        if regime is None:
            return "no dev score"
        chosen, regimes = found.regimes[regime], found.regimes.values()
        scored = sum(candidate.dev is not None for candidate in regimes)
        equal = 0 if chosen.dev is None else sum(candidate.dev == chosen.dev for candidate in regimes)
        notes = [
            f"dev: {scored}/{len(regimes)} regimes" if scored < len(regimes) else "",
            f"dev: {chosen.n}/{chosen.planned} seeds" if 0 < chosen.n < chosen.planned else "",
            f"dev: {equal} equal, the first taken" if equal > 1 else "",
            "is the baseline" if regime == self.baseline else "",
            _missing_scores(ours) or "",
        ]
        return "; ".join(filter(None, notes)) or None


_NO_DIFFERENCE: dict[str, Any] = {
    "difference_n": 0, "difference": None, "difference_low": None, "difference_high": None
}  # fmt: skip


def _interval(found: Spread | None) -> tuple[float | None, float | None]:
    return (None, None) if found is None else t_interval(found) or (None, None)


def _missing_scores(by_seed: Seeds) -> str | None:
    """Which test scores are missing and why, as `test failed 1/5`; None if none is."""
    scores = distinct(by_seed)
    lacking = [score.status for score in scores if score.value is None]
    if not scores:
        return "not evaluated on test"
    return f"test {worst(lacking)} {len(lacking)}/{len(scores)}" if lacking else None
