"""Edits: what noise does to a text's units, and where its offsets lie afterwards.

Invariants: every unit has one output, which may be empty; the outputs in order are the noisy text. What was not changed
keeps its offsets to the code point.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from stilts.data.noise.units import Units


@dataclass(frozen=True)
class Edit:
    """New outputs for the units from `first` on.

    Attributes:
        tied: the units changed places, so that a span which holds one of them must hold all.
    """

    first: int
    outputs: tuple[str, ...]
    tied: bool = False

    @property
    def units(self) -> range:
        return range(self.first, self.first + len(self.outputs))


@dataclass(frozen=True)
class Edited:
    """Units with edits, no two of which share a unit."""

    units: Units
    edits: tuple[Edit, ...] = ()

    @cached_property
    def outputs(self) -> list[str]:
        """One for each unit."""
        outputs = list(self.units.clusters)
        for edit in self.edits:
            outputs[edit.first : edit.units.stop] = edit.outputs
        return outputs

    @cached_property
    def text(self) -> str:
        return "".join(self.outputs)

    @property
    def tokens(self) -> list[str]:
        """As many as the units were made of."""
        starts = (0, *self.units.ends)
        return ["".join(self.outputs[a:b]) for a, b in zip(starts, self.units.ends, strict=False)]

    @property
    def changed(self) -> int:
        """Units that differ from what they were."""
        return sum(new != old for new, old in zip(self.outputs, self.units.clusters, strict=True))

    @property
    def characters(self) -> int:
        """Units that are no white space."""
        return sum(not cluster.isspace() for cluster in self.units.clusters)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where the code points [start, end) of the clean text lie in the noisy one, at least one of them.

        A border within a changed cluster moves out to the cluster's own; one within a swapped pair takes in the pair.
        """
        first = self._moved(bisect_right(self._before, start) - 1, start, to_end=False)
        return first, self._moved(bisect_right(self._before, end - 1) - 1, end, to_end=True)

    def without(self, start: int, end: int) -> "Edited":
        """The same, but for the edits that touch the code points [start, end) of the clean text."""
        inside = range(bisect_right(self._before, start) - 1, bisect_right(self._before, end - 1))
        kept = [e for e in self.edits if e.units.stop <= inside.start or e.first >= inside.stop]
        return Edited(self.units, tuple(kept))

    def _moved(self, unit: int, point: int, to_end: bool) -> int:
        """The offset in the noisy text of a border at, or within, a unit."""
        if unit in self._tied:
            pair = self._tied[unit]
            return self._after[pair.stop if to_end else pair.start]
        if self.outputs[unit] == self.units.clusters[unit]:
            return self._after[unit] + point - self._before[unit]
        return self._after[unit + to_end]

    @cached_property
    def _before(self) -> list[int]:
        return _offsets(self.units.clusters)

    @cached_property
    def _after(self) -> list[int]:
        return _offsets(self.outputs)

    @cached_property
    def _tied(self) -> dict[int, range]:
        return {unit: edit.units for edit in self.edits if edit.tied for unit in edit.units}


def disjoint(edits: Iterable[Edit], count: int) -> tuple[Edit, ...]:
    """The first `count` edits that share no unit with one before them, in the order of the text."""
    taken: set[int] = set()
    chosen: list[Edit] = []
    for edit in edits:
        if len(chosen) == count:
            break
        if taken.isdisjoint(edit.units):
            taken.update(edit.units)
            chosen.append(edit)
    return tuple(sorted(chosen, key=lambda edit: edit.first))


def _offsets(pieces: Sequence[str]) -> list[int]:
    """Where each piece begins, and the end of the last."""
    return list(accumulate(map(len, pieces), initial=0))
