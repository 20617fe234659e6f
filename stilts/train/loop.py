"""The training loop of one stage.

Model: an optimizer step takes the items that (seed, epoch, batch size) prescribe; its sequences are laid out in
micro-batches over ranks; losses are sums divided by the step's global count, so that neither ranks nor micro-batches
change the result; the learning rate is a function of the step.

Invariants: everything random is keyed by (seed, step) or (seed, step, rank), so that a resumed run repeats an
undisturbed one bitwise; every rank takes the same decisions, since they follow from summed or broadcast numbers.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stilts.data.batching import MicroBatch, Sampler, split_packed, split_padded
from stilts.errors import StiltsError
from stilts.spec.canonical import digest
from stilts.spec.recipe import Recipe
from stilts.spec.runtime import Runtime
from stilts.train.batch import collate
from stilts.train.checkpoint import ResumeState, ResumeStore
from stilts.train.deepspeed import full_weights, make_engine, release, set_learning_rate
from stilts.train.features import Features, in_blocks, spans
from stilts.train.masking import DEFAULT_PROBABILITY, mask_tokens
from stilts.train.model import Model
from stilts.train.ranks import Ranks

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0


class Diverged(StiltsError):
    """The loss is not a number any more. The stage has failed; the same recipe would fail again."""


@dataclass
class TrainResult:
    """What a stage's training came to.

    Attributes:
        steps: optimizer steps.
        examples: items seen, repetitions counted.
        tokens: tokens seen, padding not counted, over all ranks.
        seconds: wall time including dev evaluations, earlier attempts included.
        losses: (step, mean loss of the step), steps counted from 1.
        dev: (step, dev score).
        best_step: step whose weights leave the stage.
    """

    steps: int = 0
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    dev: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0


def train(
    model: Model,
    features: pa.Table,
    recipe: Recipe,
    runtime: Runtime,
    ranks: Ranks,
    *,
    dev_score: Callable[[], float] | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    resume: ResumeStore | None = None,
) -> TrainResult:
    """Train the model in place (collective); afterwards it holds the selected weights in the recipe's precision.

    Args:
        features: training rows; a `language` column serves `recipe.language_exponent`.
        dev_score: score of the model as it stands, higher is better; called on every rank, on which it must agree.
        report: told the progress, about once a second, on the leader:
            step, steps, loss, tokens_per_second, examples, eta (seconds).
        resume: where resume states are kept; an interrupted stage goes on from there.

    Raises:
        Diverged: the loss is NaN or infinite.
        StiltsError: there is nothing to train on, or sequences are longer than the model's positions.
    """
    return _Run(model, features, recipe, runtime, ranks, dev_score, report, resume).run()


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step from 0: linear from 0 over the warm-up, then constant or linear down to 0."""
    warmup = recipe.warmup if recipe.warmup >= 1 else recipe.warmup * steps
    if step < warmup:
        return recipe.learning_rate * step / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (steps - step) / max(1.0, steps - warmup)


class _Run:
    """One call of `train`: the engine, the counters and the curves."""

    def __init__(
        self,
        model: Model,
        table: pa.Table,
        recipe: Recipe,
        runtime: Runtime,
        ranks: Ranks,
        dev_score: Callable[[], float] | None,
        report: Callable[[dict[str, Any]], None] | None,
        resume: ResumeStore | None,
    ) -> None:
        _check(model, table, recipe)
        self.model, self.recipe, self.runtime, self.ranks = model, recipe, runtime, ranks
        self.features = Features.of(table, model.family)
        self.first_rows = np.flatnonzero(self.features.choice == 0)
        self.item_sizes = np.diff(np.append(self.first_rows, len(self.features)))
        languages = self.features.language
        self.sampler = Sampler(
            len(self.first_rows),
            recipe.batch_size,
            recipe.seed,
            None if languages is None else languages[self.first_rows],
            recipe.language_exponent,
        )
        self.steps = self.sampler.total_steps(recipe.epochs, recipe.max_steps)
        self.dev_score = dev_score if recipe.selection == "best-dev" else None
        self.report, self.resume = report, resume
        self.best: dict[str, torch.Tensor] | None = None
        self.result = TrainResult(steps=self.steps)
        self.started = time.monotonic()
        self.saved = self.reported = self.started
        self.window_tokens, self.window_seconds = 0, 0.0

    def run(self) -> TrainResult:
        first = self._start()
        try:
            for step in range(first, self.steps):
                self._step(step)
        except Diverged:
            self.engine.destroy()  # the gang's next stage finds the memory free
            raise
        weights = full_weights(self.engine) if self.best is None else self.best
        release(self.engine, self.model, weights, self.ranks.device)
        self.model.eval()
        if self.best is None:
            self.result.best_step = self.steps
        self.result.seconds += time.monotonic() - self.started
        return self.result

    def _start(self) -> int:
        """Build the engine, from the resume state where there is one; returns the first step."""
        state = self._resumable()
        self.model.float().to(self.ranks.device)
        if state is not None:
            state.load_weights(self.model)
        if self.runtime.gradient_checkpointing:
            self.model.checkpoint_gradients()
        self.engine = make_engine(self.model, self.recipe, self.runtime, self.ranks)
        if state is None:
            return 0
        self._empty_step()
        state.load_optimizer(self.engine, state.meta["step"])
        self.best = state.best()
        saved = state.meta["result"]
        self.result = TrainResult(**{**saved, "losses": _pairs(saved["losses"]), "dev": _pairs(saved["dev"])})
        return state.meta["step"]

    def _resumable(self) -> ResumeState | None:
        state = None if self.resume is None else self.resume.find(self.ranks)
        if state is not None and state.meta["run"] != self._identity():
            log.warning("%s: the resume state is of another run; the stage starts over", state.folder)
            return None
        if state is not None:
            log.info("resuming at step %d of %d", state.meta["step"], self.steps)
        return state

    def _identity(self) -> str:
        """What a resume state must agree on to be continued."""
        ids = self.features.ids.values
        size = [len(self.features), len(ids), int(ids.sum(dtype="int64"))]
        return digest([self.recipe.model_dump(), self.model.family, self.model.num_labels, self.steps, size])

    def _empty_step(self) -> None:
        """One step at learning rate 0 without gradient, after which the optimizer's moments exist."""
        self.engine.train()
        rows = self._rows(0)
        self.engine.backward(self.engine(self._collate(rows, _first_item(rows))) * 0.0, scale_wrt_gas=False)
        set_learning_rate(self.engine, 0.0)
        self.engine.step()

    def _rows(self, step: int) -> Features:
        """All rows of a step, over all ranks, in the order of its items."""
        items = self.sampler.step(step)
        rows = self.features.take(spans(self.first_rows[items], self.item_sizes[items]))
        if self.model.family == "dual_encoder":
            return in_blocks(rows)
        if self.model.family != "mlm":
            return rows
        tokenizer = self.model.tokenizer
        return mask_tokens(
            rows,
            self.recipe.mlm_probability or DEFAULT_PROBABILITY,
            tokenizer.all_special_ids,
            tokenizer.mask_token_id,
            self.model.config.vocab_size,
            (self.recipe.seed, step),
        )

    def _micro_batches(self, rows: Features) -> list[MicroBatch]:
        """This rank's share of a step."""
        lengths, items = rows.ids.lengths.tolist(), rows.together.tolist()
        budget = self.runtime.tokens_per_micro_batch
        if self.model.packs:
            split = split_packed(lengths, items, self.recipe.max_length, budget, self.ranks.world)
        else:
            split = split_padded(lengths, items, budget, self.ranks.world)
        return split[self.ranks.rank]

    def _collate(self, rows: Features, micro_batch: MicroBatch) -> Any:
        pad = self.model.config.pad_token_id
        return collate(rows, micro_batch, pad, self.ranks.device, self.model.packs, self.model.last_token)

    def _step(self, step: int) -> None:
        began = time.monotonic()
        rows = self._rows(step)
        count = max(1, rows.units)
        self.engine.train()
        torch.manual_seed(_dropout_seed(self.recipe.seed, step, self.ranks.rank))
        total = torch.zeros((), device=self.ranks.device)
        for micro_batch in self._micro_batches(rows):
            # Every rank must reduce as often as the others: an empty micro-batch counts nothing, but runs.
            loss = self.engine(self._collate(rows, micro_batch or _first_item(rows))) * (1.0 if micro_batch else 0.0)
            self.engine.backward(loss * (self.ranks.world / count), scale_wrt_gas=False)
            total += loss.detach()
        set_learning_rate(self.engine, learning_rate(self.recipe, step, self.steps))
        self.engine.step()
        due = time.monotonic() - self.saved >= self.runtime.checkpoint_seconds
        loss_sum, save = self.ranks.sum(total.item(), float(due and self.ranks.leader))
        self._count(step + 1, rows, loss_sum / count, time.monotonic() - began)
        self._after(step + 1, save > 0)

    def _count(self, step: int, rows: Features, loss: float, seconds: float) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss is {loss} at step {step} of {self.steps} (learning rate {self.recipe.learning_rate}, "
                f"seed {self.recipe.seed}); lower learning_rate, or raise warmup"
            )
        tokens = int(rows.ids.offsets[-1])
        self.result.losses.append((step, loss))
        self.result.examples += int((rows.choice == 0).sum())
        self.result.tokens += tokens
        self.window_tokens += tokens
        self.window_seconds += seconds

    def _after(self, step: int, save: bool) -> None:
        """What follows a step: report, dev evaluation, resume state."""
        self._report(step)
        if self.dev_score is not None and self._evaluation_due(step):
            self._evaluate(step)
        if self.resume is not None and save and step < self.steps:
            self._save(step)

    def _evaluation_due(self, step: int) -> bool:
        return step % (self.recipe.evaluate_every or self.sampler.steps_per_epoch) == 0 or step == self.steps

    def _evaluate(self, step: int) -> None:
        assert self.dev_score is not None
        self.engine.eval()
        score = self.dev_score()
        if not self.result.dev or score > max(value for _, value in self.result.dev):
            self.best = full_weights(self.engine)
            self.result.best_step = step
        self.result.dev.append((step, score))

    def _save(self, step: int) -> None:
        assert self.resume is not None
        now = time.monotonic()
        seconds = self.result.seconds + now - self.started
        meta = {"run": self._identity(), "step": step, "result": {**vars(self.result), "seconds": seconds}}
        self.resume.save(self.engine, json.loads(json.dumps(meta)), self.best, self.ranks)
        self.saved = time.monotonic()

    def _report(self, step: int) -> None:
        now = time.monotonic()
        if self.report is None or not self.ranks.leader:
            return
        if now - self.reported < REPORT_SECONDS and step < self.steps:
            return
        rate = self.window_tokens / max(self.window_seconds, 1e-9)
        per_step = self.result.tokens / len(self.result.losses)
        self.report(
            {
                "step": step,
                "steps": self.steps,
                "loss": self.result.losses[-1][1],
                "tokens_per_second": rate,
                "examples": self.result.examples,
                "eta": (self.steps - step) * per_step / max(rate, 1e-9),
            }
        )
        self.reported, self.window_tokens, self.window_seconds = now, 0, 0.0


def _check(model: Model, table: pa.Table, recipe: Recipe) -> None:
    if table.num_rows == 0:
        raise StiltsError("there are no training examples; look at the data's filters, or at max_examples")
    if model.max_length is not None and recipe.max_length > model.max_length:
        raise StiltsError(
            f"max_length {recipe.max_length} is more than the model's {model.max_length} positions; lower max_length"
        )


def _first_item(rows: Features) -> MicroBatch:
    return [[row] for row in np.flatnonzero(rows.together == rows.together[0]).tolist()]


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    return int(digest([seed, step, rank])[:15], 16)


def _pairs(values: list[list[Any]]) -> list[tuple[int, float]]:
    return [(int(step), float(value)) for step, value in values]
