"""Many comparisons at once: p-values adjusted over their family."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)


def adjust(family: Mapping[Key, float | None]) -> dict[Key, float]:
    """Holm's adjustment over a family; a comparison that made no test (None) is not of it."""
    tested = {key: p for key, p in family.items() if p is not None}
    return dict(zip(tested, holm(list(tested.values())), strict=True))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted so that, taken at a level, they keep the family-wise error at it (Holm 1979, step-down)."""
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * np.asarray(p, dtype=float)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in adjusted]
