"""Edits of the units of a text, and how they move offsets.

Invariants: every unit has one output, which may be empty, and the outputs in order are the noisy text. Offsets within
unchanged units are exact to the code point.
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
        tied: whether the units changed places, so that a span that contains one of them must contain all.
    """

    first: int
    outputs: tuple[str, ...]
    tied: bool = False

    @property
    def units(self) -> range:
        return range(self.first, self.first + len(self.outputs))


@dataclass(frozen=True)
class Edited:
    """Units and their edits, which do not overlap."""

    units: Units
    edits: tuple[Edit, ...] = ()

    @cached_property
    def outputs(self) -> list[str]:
        """The output of each unit."""
        outputs = list(self.units.clusters)
        for edit in self.edits:
            outputs[edit.first : edit.units.stop] = edit.outputs
        return outputs

    @cached_property
    def text(self) -> str:
        return "".join(self.outputs)

    @property
    def tokens(self) -> list[str]:
        """The noisy tokens, as many as the units were made from."""
        starts = (0, *self.units.ends)
        return ["".join(self.outputs[a:b]) for a, b in zip(starts, self.units.ends, strict=False)]

    @property
    def changed(self) -> int:
        """Number of changed units."""
        return sum(new != old for new, old in zip(self.outputs, self.units.clusters, strict=True))

    @property
    def characters(self) -> int:
        """Number of units that are not white space."""
        return sum(not cluster.isspace() for cluster in self.units.clusters)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where the code points [start, end) of the clean text are in the noisy one; `end` is over `start`.

        A border inside a changed cluster moves to the border of the cluster, and one inside a swapped pair to that of
        the pair.
        """
        first = self._moved(bisect_right(self._before, start) - 1, start, to_end=False)
        return first, self._moved(bisect_right(self._before, end - 1) - 1, end, to_end=True)

    def without(self, start: int, end: int) -> "Edited":
        """Return a copy without the edits that touch the code points [start, end) of the clean text."""
        inside = range(bisect_right(self._before, start) - 1, bisect_right(self._before, end - 1))
        kept = [e for e in self.edits if e.units.stop <= inside.start or e.first >= inside.stop]
        return Edited(self.units, tuple(kept))

    def _moved(self, unit: int, point: int, to_end: bool) -> int:
        """Return the offset in the noisy text of a border at or inside a unit."""
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
    """Return the first `count` edits that do not overlap with an earlier one, in the order of the text."""
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
    """Return the start of each piece, and the end of the last."""
    return list(accumulate(map(len, pieces), initial=0))
