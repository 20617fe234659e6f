"""Comparisons to a baseline, paired by seed, and the adjustment for making many of them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from stilts.collect.statistics.intervals import t_interval, t_test
from stilts.collect.statistics.power import ALPHA, is_underpowered, seeds_needed
from stilts.collect.statistics.spread import Spread, spread

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """One regime against the baseline, in one column.

    Attributes:
        baseline: the regime that it is compared to.
        difference: over the seeds that both have; None where there are none.
        p: of the paired t test, two-sided; None below two pairs, and where they do not vary.
        seeds_needed: pairs that would show the difference that was asked about (see `power.seeds_needed`).
        p_holm: p, adjusted over its family.
        comparisons: tests in that family; 0 where this one made none.
    """

    baseline: str
    difference: Spread | None
    p: float | None
    seeds_needed: int | None
    p_holm: float | None = None
    comparisons: int = 0

    @property
    def significant(self) -> bool:
        return self.p_holm is not None and self.p_holm < ALPHA

    @property
    def underpowered(self) -> bool:
        return is_underpowered(0 if self.difference is None else self.difference.n, self.seeds_needed)

    def record(self) -> dict[str, Any]:
        """As the tables name it."""
        found: dict[str, Any] = {"baseline": self.baseline, "difference_n": 0}
        if self.difference is not None:
            low, high = t_interval(self.difference) or (None, None)
            found |= {"difference_n": self.difference.n, "difference": self.difference.mean}
            found |= {"difference_sd": self.difference.sd, "difference_low": low, "difference_high": high}
        found |= {"p": self.p, "p_holm": self.p_holm, "comparisons": self.comparisons or None}
        return found | {"underpowered": self.underpowered, "seeds_needed": self.seeds_needed}


def compare(differences: Sequence[float], baseline: str, wanted: float) -> Comparison:
    """A comparison by its paired differences, not yet adjusted.

    Args:
        wanted: points, of which the number of seeds is said that would show them.
    """
    found = spread(differences)
    if found is None:
        return Comparison(baseline, None, None, None)
    return Comparison(baseline, found, t_test(found), seeds_needed(wanted, found))


def adjust(family: Mapping[Key, Comparison]) -> dict[Key, Comparison]:
    """The family with Holm's adjustment; comparisons that made no test have no part in it."""
    tested = {key: found.p for key, found in family.items() if found.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {
        key: replace(found, p_holm=adjusted[key], comparisons=len(tested)) if key in adjusted else found
        for key, found in family.items()
    }


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted so that, taken at a level, they keep the family-wise error at it (Holm 1979, step-down)."""
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * np.asarray(p, dtype=float)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(p) else steps
    return [float(value) for value in adjusted]
