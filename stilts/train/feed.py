"""Feed: makes the batches of the next optimizer step in a thread, while the device computes the current one.

The rows of a step are a pure function of its number (`step_schedule.py`), so they can be taken, masked, packed and
laid out in pinned memory ahead of time. The result does not depend on whether they were. Micro-batches have few shapes
(`shapes.py`).
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from stilts.data.batching import MicroBatch
from stilts.train.batch import Batch, assemble
from stilts.train.features import Features
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from stilts.train.shapes import Shape, ShapePlan, Shapes, Step
from stilts.train.step_schedule import Source, StepSchedule


@dataclass(frozen=True)
class StepBatches:
    """What one rank trains on in one optimizer step.

    Attributes:
        units: number of terms in the mean of the step's loss, on all ranks.
        examples: number of examples on all ranks.
        tokens: number of tokens on all ranks, without padding.
        parts: names of the heads and language adapters that the step updates.
        batches: micro-batches in the memory of the host, with the factor of their loss: 1, or 0 for a batch that stands
            in where other ranks have one more, because all ranks must run the same number of reductions.
    """

    source: Source
    units: int
    examples: int
    tokens: int
    parts: frozenset[str]
    batches: list[tuple[Batch, float]]


class Feed:
    """The batches of each step, made one step ahead.

    Args:
        budget: maximum number of padded tokens in a micro-batch.
        few_shapes: see `ShapePlan`.

    Attributes:
        shapes: the shapes of the micro-batches.
    """

    def __init__(
        self, model: Model, schedule: StepSchedule, ranks: Ranks, budget: int, few_shapes: bool = False
    ) -> None:
        self._model, self._schedule, self._ranks, self.budget = model, schedule, ranks, budget
        self._plan = ShapePlan(model, schedule, ranks, few_shapes)
        self.shapes = self._plan.shapes(budget)
        self._thread = ThreadPoolExecutor(1, "feed")
        self._next: tuple[int, Future[StepBatches]] | None = None

    def step(self, step: int) -> StepBatches:
        """The batches of a step; those of the next one are made from now on."""
        expected, self._next = self._next, None
        made = expected[1].result() if expected is not None and expected[0] == step else self._make(step)
        if step + 1 < self._schedule.steps:
            self._next = step + 1, self._thread.submit(self._make, step + 1)
        return made

    def limit(self, budget: int) -> None:
        """Set the token budget of the steps that have not been made."""
        if self._next is not None:
            self._next[1].cancel() or self._next[1].exception()
        self._next, self.budget = None, budget
        self.shapes = self._plan.shapes(self.budget)

    def smaller_budget(self, step: int) -> int | None:
        """Halve the token budget until the largest micro-batch of a step gets smaller; all ranks find the same budget.

        Returns:
            None if no budget makes it smaller, because it is as small as the largest item allows.
        """
        _, rows = self._schedule.step(step)
        budget, largest = self.budget // 2, _most_tokens(self.shapes, rows)
        while budget and _most_tokens(self._plan.shapes(budget), rows) >= largest:
            budget //= 2
        return budget or None

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _make(self, step: int) -> StepBatches:
        source, rows = self._schedule.step(step)
        return StepBatches(
            source=source,
            units=max(1, rows.units),
            examples=int((rows.choice == 0).sum()),
            tokens=int(rows.ids.offsets[-1]),
            parts=self._schedule.parts(step),
            batches=[
                (self._assemble(source, rows, batch or _first_item(rows)), 1.0 if batch else 0.0)
                for batch in self._split(rows)
            ],
        )

    def example(self, shape: Shape) -> Batch:
        """A batch of a shape with the shortest sequence of the first step."""
        source, rows = self._schedule.step(0)
        return self._assemble(source, rows, [[int(np.argmin(rows.ids.lengths))]], shape)

    def _split(self, rows: Features) -> list[MicroBatch]:
        return _split(self.shapes, rows)[self._ranks.rank]

    def _assemble(self, source: Source, rows: Features, batch: MicroBatch, shape: Shape | None = None) -> Batch:
        model = self._model
        if shape is None:
            longest = max(int(rows.ids.lengths[row]) for sequences in batch for row in sequences)
            shape = self.shapes.shape(batch, longest)
        return assemble(
            rows,
            batch,
            model.config.pad_token_id,
            model.packs,
            model.last_token,
            source.head.name,
            pin=self._ranks.device.type == "cuda",
            least_width=shape.width,
            least_rows=shape.rows,
            least_bounds=shape.bounds,
        )


def _first_item(rows: Features) -> MicroBatch:
    return [[row] for row in np.flatnonzero(rows.together == rows.together[0]).tolist()]


def _split(shapes: Shapes, rows: Features) -> list[list[MicroBatch]]:
    return shapes.split(Step(rows.ids.lengths.tolist(), rows.together.tolist()))


def _most_tokens(shapes: Shapes, rows: Features) -> int:
    """Number of padded tokens of the largest micro-batch of a step, on any rank."""
    most = 0
    for batch in (batch for rank in _split(shapes, rows) for batch in rank if batch):
        lengths = [[int(rows.ids.lengths[row]) for row in sequences] for sequences in batch]
        shape = shapes.shape(batch, max(map(max, lengths)))
        most = max(most, max(shape.rows, len(batch)) * max(shape.width, *map(sum, lengths)))
    return most
