"""Shapes: the few shapes that the micro-batches of a stage are padded to.

A GPU's libraries and `torch.compile` prepare each new shape of a batch anew. So the shapes of a stage are fixed before
its first step, at most MOST of them: a sample of the stage's own steps is split into micro-batches, and the shapes are
chosen that need the least computation for them. A micro-batch takes the smallest shape that it fits. What it has too
few of, it gets as padding: rows without a sequence, which no head reads and which get a gradient of 0.

The shapes depend on the data, the recipe, the token budget and the number of ranks, so that a resumed stage has the
same ones. They change results by rounding alone, apart from the random numbers of dropout.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np

from stilts.data.batching import MicroBatch, split_packed, split_widths
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from stilts.train.step_schedule import StepSchedule

MOST = 4
"""Largest number of shapes of a stage."""

MULTIPLE = 64
"""Rows have a multiple of this number of tokens, as far as the encoder has positions."""

SAMPLED_SEQUENCES = 4096
SAMPLED_STEPS = 4, 128
"""The sample has about SAMPLED_SEQUENCES sequences, but at least and at most so many steps."""

OVERHEAD = {"cuda": 4096, "cpu": 256}
"""Time that a micro-batch takes whatever its size, as a number of tokens, by type of device: estimates."""


@dataclass(frozen=True)
class Shape:
    """The shape of a micro-batch.

    Attributes:
        bounds: length of `Batch.bounds`.
    """

    rows: int
    width: int
    bounds: int


@dataclass(frozen=True)
class Step:
    """One optimizer step, as far as its shapes depend on it: the length and the item of each sequence.

    Neighbours with equal items share a micro-batch.
    """

    lengths: list[int]
    items: list[int]


class Shapes(Protocol):
    """The shapes of a stage and the way in which its steps are split into micro-batches."""

    @property
    def planned(self) -> list[Shape]:
        """The shapes that occur, except rare ones."""

    def split(self, step: Step) -> list[list[MicroBatch]]:
        """Split a step into micro-batches, a list for each rank; see `split_packed`."""

    def shape(self, batch: MicroBatch, longest: int) -> Shape:
        """The shape of a micro-batch.

        Args:
            longest: length of its longest sequence.
        """


@dataclass(frozen=True)
class PackedShapes:
    """Rows of one width, in one of a few numbers.

    Attributes:
        counts: numbers of rows that occur, in ascending order, except in rare micro-batches.
        most: number of rows of a micro-batch that has more than the largest of `counts`.
        sequences: number of sequences that the bounds of a micro-batch have room for.
    """

    width: int
    counts: tuple[int, ...]
    most: int
    sequences: int
    budget: int
    world: int

    @property
    def planned(self) -> list[Shape]:
        return [self._of(rows, 0) for rows in self.counts]

    def split(self, step: Step) -> list[list[MicroBatch]]:
        return split_packed(step.lengths, step.items, self.width, self.budget, self.world)

    def shape(self, batch: MicroBatch, longest: int) -> Shape:
        fits = (rows for rows in (*self.counts, self.most, len(batch)) if rows >= len(batch))
        return self._of(next(fits), sum(map(len, batch)))

    def _of(self, rows: int, sequences: int) -> Shape:
        # Each row may end with a segment of padding. The last bound is the number of tokens.
        return Shape(rows, self.width, max(self.sequences, sequences) + rows + 1)


@dataclass(frozen=True)
class PaddedShapes:
    """Rows of one sequence each, in one of a few widths, each with its own number of rows.

    Attributes:
        classes: (width, rows), in ascending order of the width.
    """

    classes: tuple[tuple[int, int], ...]
    world: int

    @property
    def planned(self) -> list[Shape]:
        return [_padded(rows, width) for width, rows in self.classes]

    def split(self, step: Step) -> list[list[MicroBatch]]:
        return split_widths(step.lengths, step.items, self.classes, self.world)

    def shape(self, batch: MicroBatch, longest: int) -> Shape:
        width, rows = next(one for one in self.classes if one[0] >= longest)
        return _padded(max(rows, len(batch)), width)


def _padded(rows: int, width: int) -> Shape:
    return Shape(rows, width, 2 * rows + 1)


@dataclass(frozen=True)
class OneRow:
    """One row for all sequences of a micro-batch, without padding, so that almost every micro-batch has its own shape.

    It is the fastest where nothing is prepared for a shape and where attention does not depend on the width of a row.
    """

    budget: int
    world: int

    @property
    def planned(self) -> list[Shape]:
        return []

    def split(self, step: Step) -> list[list[MicroBatch]]:
        width = max(self.budget, *step.lengths)
        return split_packed(step.lengths, step.items, width, self.budget, self.world)

    def shape(self, batch: MicroBatch, longest: int) -> Shape:
        return Shape(0, 0, 0)


class ShapePlan:
    """Chooses the shapes of a stage for a token budget.

    Args:
        few: whether there are few shapes also where the computation would be faster without.
        model: its configuration says how the cost of attention compares with that of the other layers.
    """

    def __init__(self, model: Model, schedule: StepSchedule, ranks: Ranks, few: bool = False) -> None:
        self._packs, self._world = model.packs, ranks.world
        self._one_row = model.attention_of(ranks.device) == "segments" and not few
        self._hidden = model.config.hidden_size
        self._overhead = OVERHEAD.get(ranks.device.type, OVERHEAD["cuda"])
        self._steps = _sample(schedule)
        self._longest = max(int(source.features.ids.lengths.max()) for source in schedule.sources)
        self._allowed = max(source.recipe.max_length for source in schedule.sources)
        self._positions = model.max_length
        self._sequences = schedule.most_sequences

    def shapes(self, budget: int) -> Shapes:
        """The shapes for micro-batches of at most `budget` padded tokens. A single larger item may exceed it."""
        # A budget below one row, after memory ran out, divides the sequences of a row.
        if not self._packs:
            return self._padded(budget)
        # Rows as wide as the longest sequence would exceed the budget wherever several short sequences share one.
        if self._one_row or budget < self._width(self._longest):
            return OneRow(budget, self._world)
        return self._packed(budget)

    def _width(self, tokens: int) -> int:
        """The width of rows that hold so many tokens."""
        rounded = MULTIPLE * math.ceil(tokens / MULTIPLE)
        return rounded if self._positions is None else min(rounded, self._positions)

    def _packed(self, budget: int) -> PackedShapes:
        """Of a few widths that hold the longest sequence, the one whose rows take the least computation."""
        narrow, wide = self._width(self._longest), self._width(max(self._longest, self._allowed))
        widths = sorted(width for width in {narrow, min(2 * narrow, wide), wide} if width <= budget)
        choices = [self._packed_in(width, budget) for width in widths]
        return min(choices, key=lambda choice: choice[0])[1]

    def _packed_in(self, width: int, budget: int) -> tuple[float, PackedShapes]:
        batches = [
            batch
            for step in self._steps
            for rank in split_packed(step.lengths, step.items, width, budget, self._world)
            for batch in rank
            if batch
        ]
        rows = np.array([len(batch) for batch in batches])
        most = max(int(rows.max()), min(budget // width, self._sequences))
        counts = _counts(rows, most)
        sequences = max(sum(map(len, batch)) for batch in batches)
        room = min(self._sequences, math.ceil(1.25 * sequences))
        padded = np.array(counts)[np.searchsorted(counts, rows)]
        cost = float(padded.sum()) * width * (1 + width / (6 * self._hidden))
        return cost, PackedShapes(width, counts, most, room, budget, self._world)

    def _padded(self, budget: int) -> PaddedShapes:
        """Of all sets of at most MOST widths, the one whose batches take the least computation."""
        widest = self._width(self._longest)
        narrower = list(range(MULTIPLE, widest, MULTIPLE))
        if len(narrower) >= MOST:
            narrower = [width for width in narrower if (width // MULTIPLE).bit_count() == 1]
        sets = [(*few, widest) for size in range(MOST) for few in combinations(narrower, size)]
        choices = [self._classes(widths, budget) for widths in sets]
        return PaddedShapes(min(choices, key=self._padded_cost), self._world)

    def _classes(self, widths: Sequence[int], budget: int) -> tuple[tuple[int, int], ...]:
        """The number of rows for each width: enough for the sequences of most steps, in equal batches."""
        tables = [_groups(step) for step in self._steps]
        largest = max(int(sizes.max()) for _, sizes in tables)
        found = []
        for number, width in enumerate(widths):
            counts = [sizes[np.searchsorted(widths, longest) == number].sum() for longest, sizes in tables]
            share = 1.0 if number == 0 else 0.9
            rows = math.ceil(np.quantile(counts, share) / self._world)
            fit = max(1, budget // width)
            found.append((width, max(largest, math.ceil(rows / max(1, math.ceil(rows / fit))))))
        return tuple(found)

    def _padded_cost(self, classes: tuple[tuple[int, int], ...]) -> float:
        shapes = PaddedShapes(classes, self._world)
        cost = 0.0
        for step in self._steps:
            for batch in (batch for rank in shapes.split(step) for batch in rank if batch):
                shape = shapes.shape(batch, max(step.lengths[row] for (row,) in batch))
                cost += shape.rows * shape.width * (1 + shape.width / (6 * self._hidden)) + self._overhead
        return cost


def _sample(schedule: StepSchedule) -> list[Step]:
    """Steps of the first epoch at equal distances, the last one included, and the first step of every task."""
    least, most = SAMPLED_STEPS
    wanted = min(max(SAMPLED_SEQUENCES // schedule.most_sequences, least), most)
    last = min(schedule.steps, schedule.steps_per_epoch) - 1
    numbers = np.unique(np.linspace(0, last, min(wanted, last + 1)).astype(int)).tolist()
    rows = [schedule.step(number)[1] for number in numbers]
    if len(schedule.sources) > 1:
        rows += [source.rows(0) for source in schedule.sources]
    return [Step(part.ids.lengths.tolist(), part.together.tolist()) for part in rows]


def _counts(rows: np.ndarray, most: int) -> tuple[int, ...]:
    """The numbers of rows, fewer than MOST, that the sampled micro-batches are padded to with the fewest rows.

    The largest has some room beyond the sample, because a micro-batch with more rows takes `most` of them.
    """
    values = np.unique(rows)
    top = min(most, int(values[-1]) + max(1, int(values[-1]) // 16))
    if len(values) > 24:
        values = np.unique(np.quantile(rows, np.linspace(0, 1, 24), method="higher"))
    best: tuple[int, ...] = (top,)
    best_cost = top * len(rows)
    for size in range(1, MOST - 1):
        for few in combinations(values[values < top].tolist(), size):
            chosen = np.array([*few, top])
            cost = int((chosen[np.searchsorted(chosen, rows)]).sum())
            if cost < best_cost:
                best, best_cost = (*few, top), cost
    return best


def _groups(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """The longest sequence of each item, and its number of sequences."""
    starts = np.flatnonzero(np.diff(np.asarray(step.items), prepend=-1))
    longest = np.maximum.reduceat(np.asarray(step.lengths), starts)
    return longest, np.diff(np.append(starts, len(step.items)))
