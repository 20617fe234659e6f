"""The scores that a claim compares: one number for each regime and seed, and paired differences of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stilts.plan.claims import Claim
from stilts.results.scores import Score, paired, rows_of, task_scores, worst
from stilts.results.table import CLEAN, benchmark_of, cell_of, independent

BySeed = Mapping[int, Score]
"""Seed -> score."""


class ClaimScores:
    """The scores of one claim, by regime, seed and condition, for its base model.

    A score is the mean over the targets of the claim of the mean over its languages. If one of the scores that it
    averages is missing, so is the score.

    Args:
        results: the table of this name.
    """

    def __init__(self, results: pa.Table, claim: Claim) -> None:
        names = ("model", claim.models), ("intermediate", claim.regimes), ("target", claim.targets)
        wanted = reduce(lambda a, b: a & b, (pc.field(name).isin(list(values)) for name, values in names))
        self._table = results.filter(wanted)
        self.claim, self._benchmark = claim, benchmark_of(results)

    def of(self, regime: str, condition: str | None = None, language: str | None = None) -> BySeed:
        """The scores of a regime.

        Args:
            condition: that of the claim if None.
            language: one language alone; all those of the claim if None.
        """
        rows = rows_of(self._table, self.claim.split, condition or self.claim.statement.condition)
        own = self.claim.models[0], regime
        rows = [row for row in rows if (row["model"], row["intermediate"]) == own]
        rows = [row for row in rows if self.claim.has_language(row["language"])]
        rows = [row for row in rows if language is None or row["language"] == language]
        found = task_scores(rows, self._benchmark, self.claim.statement.metric)
        by_target = [{seed: s for (_, name), scores in found.items() if name == t for seed, s in scores.items()}
                     for t in self.claim.targets]  # fmt: skip
        seeds = sorted(set().union(*by_target))
        return {seed: _mean([scores[seed] for scores in by_target if seed in scores], len(by_target)) for seed in seeds}

    def loss(self, regime: str) -> BySeed:
        """Clean less noisy score, for the seeds that have both."""
        clean, noisy = self.of(regime, CLEAN), self.of(regime)
        return combine(clean, noisy, lambda whole, part: whole - part)

    def gains(self, regime: str, against: str, language: str | None = None) -> list[float]:
        """Differences between two regimes, paired by seed; seeds that share their stages count once."""
        return paired(self.of(regime, language=language), self.of(against, language=language))

    def planned(self, regime: str) -> int:
        """Number of seeds for which scores of a regime are planned; seeds that share their stages count once."""
        return len({score.stages for score in self.of(regime).values()})

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table `results` that the claim is about."""
        conditions = pc.field("condition").isin(list(self.claim.conditions))
        rows = self._table.filter((pc.field("split") == self.claim.split) & conditions).to_pylist()
        return [row for row in independent(rows, cell_of) if self.claim.has_language(row["language"])]

    @property
    def languages(self) -> list[str]:
        """The languages of the claim, in the order of the table."""
        found = pc.unique(self._table.filter(pc.field("split") == self.claim.split)["language"]).to_pylist()
        return [language for language in found if self.claim.has_language(language)]


def combine(ours: BySeed, theirs: BySeed, function: Callable[[float, float], float]) -> BySeed:
    """A function of two scores of the same seed, for the seeds that have both."""
    both = {}
    for seed in sorted(ours.keys() & theirs.keys()):
        mine, other = ours[seed], theirs[seed]
        if mine.value is not None and other.value is not None:
            both[seed] = replace(mine, value=function(mine.value, other.value), stages=mine.stages | other.stages)
    return both


def _mean(parts: list[Score], planned: int) -> Score:
    stages = frozenset().union(*(part.stages for part in parts))
    values = [part.value for part in parts if part.value is not None]
    if len(values) < planned:
        return Score(None, worst([part.status for part in parts if part.status != "ok"] or ["missing"]), stages)
    return Score(sum(values) / planned, "ok", stages)
