"""Multiple comparisons: p values adjusted over a family of tests (Holm 1979)."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)


def adjust(family: Mapping[Key, float | None]) -> dict[Key, float]:
    """Holm's adjustment of the p values of a family. Comparisons without a test (None) are left out."""
    tested = {key: p for key, p in family.items() if p is not None}
    return dict(zip(tested, holm(list(tested.values())), strict=True))


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted by Holm's step-down method (Holm 1979, Scandinavian Journal of Statistics 6).

    Rejecting every adjusted p below a level keeps the probability of any false rejection at that level, however the
    tests depend on each other.
    """
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * np.asarray(p, dtype=float)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in adjusted]
