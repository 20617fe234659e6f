"""Step schedule: which rows each optimizer step of a stage trains on, for one task or for a mixture of several.

A step trains on items of one task, so that one head reads all sequences of a micro-batch. The k-th step of a task
trains on the k-th batch of the task's own sampler, with the masks that belong to that batch. In a mixture, a task
therefore sees the same examples in the same order as in a stage of that task alone with the same number of steps.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from stilts.data.batching import Sampler
from stilts.data.mixing import epoch_items, own_steps, schedule, shares
from stilts.errors import StiltsError
from stilts.experiment.recipe import Recipe
from stilts.identity.stage import EXAMPLE_FIELDS, Mixing
from stilts.train.features import Features, spans
from stilts.train.heads import StepContext, head_of
from stilts.train.model import Model


@dataclass(frozen=True)
class TrainPart:
    """Encoded training data of one task of a stage.

    Attributes:
        task: name of the task.
        head: name of the model's head that the task trains.
        features: the training rows. If the recipe has a `language_exponent`, its sampling uses the column `language`.
        recipe: the recipe of the task; only EXAMPLE_FIELDS are read.
    """

    task: str
    head: str
    features: pa.Table
    recipe: Recipe


class Source:
    """The training rows of one task, and the batch of each of its own steps.

    Attributes:
        items: number of items, in which the batch size is counted: examples, or windows in question answering.
        examples: number of examples, from which the task's share of a mixture is computed, as in plans.
    """

    def __init__(self, model: Model, part: TrainPart, recipe: Recipe) -> None:
        _check(model, part)
        self.task, self.recipe, self.model = part.task, part.recipe, model
        self.head = model.spec(part.head)
        self.features = Features.of(part.features, self.head.family)
        self.first_rows = np.flatnonzero(self.features.choice == 0)
        self.item_rows = np.diff(np.append(self.first_rows, len(self.features)))
        self.items = len(self.first_rows)
        self.examples = 1 + int((np.diff(part.features["example"].to_numpy()) != 0).sum())
        languages = self.features.language
        self.sampler = Sampler(
            self.items,
            recipe.batch_size,
            recipe.seed_of("order"),
            None if languages is None else languages[self.first_rows],
            part.recipe.language_exponent,
        )
        self.seed = recipe.seed_of("data")

    def rows(self, step: int) -> Features:
        """The rows of one step for all ranks, in the order of their items.

        Args:
            step: number of the step among the steps of this task, from 0.
        """
        rows = self._take(self.sampler.step(step))
        context = StepContext(self.recipe, self.model.tokenizer, self.model.config.vocab_size, (self.seed, step))
        return head_of(self.head.family).step(rows, context)

    def adapters(self, step: int) -> set[str]:
        """Names of the language adapters that the rows of one step use; see `rows`."""
        if not self.model.has_adapters:
            return set()
        code = self.features.language
        languages = None
        if code is not None:
            used = np.unique(code[self.first_rows[self.sampler.step(step)]])
            languages = [self.features.languages[one] for one in used]
        return self.model.adapters(languages)

    def _take(self, items: np.ndarray) -> Features:
        return self.features.take(spans(self.first_rows[items], self.item_rows[items]))

    @property
    def tokens_per_step(self) -> float:
        """Mean number of tokens per step in the first epoch of the task, without padding."""
        tokens = np.add.reduceat(self.features.ids.lengths, self.first_rows)
        return float(tokens[self.sampler.epoch(0)].sum()) / self.sampler.steps_per_epoch

    def fingerprint(self) -> list[Any]:
        """What determines the rows of the source, in plain JSON types. A resume state is only used if it is equal."""
        ids = self.features.ids.values
        examples = {name: getattr(self.recipe, name) for name in EXAMPLE_FIELDS}
        return [self.task, vars(self.head), examples, len(self.features), len(ids), int(ids.sum(dtype="int64"))]


class StepSchedule:
    """The task and the rows of every optimizer step.

    Attributes:
        steps: optimizer steps of the stage.
        steps_per_epoch: steps of one epoch; for mixtures `data.mixing.epoch_items` defines the epoch.
        shares: fraction of the steps that each task gets, by task name.
        order: int64 [steps], the index of the task of each step.
        most_sequences: largest number of sequences that a step can have.
    """

    def __init__(self, model: Model, parts: Sequence[TrainPart], recipe: Recipe, mixing: Mixing | None) -> None:
        self.sources = [Source(model, part, recipe) for part in parts]
        if mixing is None:
            (only,) = self.sources
            self.shares = {only.task: 1.0}
            self.steps_per_epoch = only.sampler.steps_per_epoch
        else:
            self.shares = shares({source.task: source.examples for source in self.sources}, mixing)
            items = epoch_items({source.task: source.items for source in self.sources}, self.shares, mixing)
            self.steps_per_epoch = math.ceil(round(items / recipe.batch_size, 6))
        self.most_sequences = recipe.batch_size * max(int(source.item_rows.max()) for source in self.sources)
        self.steps = self._total(recipe)
        self.order = schedule(self.shares, self.steps, recipe.seed_of("order"))
        self._own_steps = own_steps(self.order)

    def _total(self, recipe: Recipe) -> int:
        """Number of steps of the stage. `epochs` are rounded up to whole steps, `max_tokens` to the nearest step."""
        if recipe.max_tokens is not None:
            expected = sum(self.shares[source.task] * source.tokens_per_step for source in self.sources)
            return max(1, round(recipe.max_tokens / expected))
        if recipe.max_steps is not None:
            return recipe.max_steps
        assert recipe.epochs is not None
        return math.ceil(round(recipe.epochs * self.steps_per_epoch, 6))

    def step(self, step: int) -> tuple[Source, Features]:
        """The task and the rows of optimizer step number `step`, counted from 0."""
        source = self.sources[self.order[step]]
        return source, source.rows(int(self._own_steps[step]))

    def parts(self, step: int) -> frozenset[str]:
        """Names of the heads and language adapters that optimizer step number `step` updates."""
        source = self.sources[self.order[step]]
        return frozenset({source.head.name, *source.adapters(int(self._own_steps[step]))})

    def part_steps(self, step: int) -> Counter[str | None]:
        """How many of the first `step` optimizer steps update each head and each language adapter, by name.

        The entry under None is `step`, because every step updates the rest of the encoder.
        """
        counts: Counter[str | None] = Counter({None: step})
        for number in range(step):
            counts.update(self.parts(number))
        return counts

    def fingerprint(self) -> list[Any]:
        """What determines the steps, in plain JSON types. A resume state is only used if it is equal."""
        return [self.steps, self.shares, *(source.fingerprint() for source in self.sources)]


def _check(model: Model, part: TrainPart) -> None:
    if part.features.num_rows == 0:
        raise StiltsError(
            f"{part.task}: there are no training examples; look at the data's filters, or at max_examples"
        )
    if model.max_length is not None and part.recipe.max_length > model.max_length:
        raise StiltsError(
            f"{part.task}: max_length {part.recipe.max_length} is more than the model's {model.max_length} positions; "
            "lower max_length"
        )
