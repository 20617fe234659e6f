"""The training loop of one stage.

Each optimizer step trains on a batch of one task, which the step schedule chooses. The sequences of the batch are
arranged in micro-batches, which are distributed over the ranks. The loss of a step is the sum of the losses of its
tokens or sequences divided by their number on all ranks, so that neither the number of ranks nor the size of the
micro-batches changes the result. In a mixture, a step updates the encoder and the head of its task; the other heads
keep their weights and their optimizer state (`optimizer.py`).

Invariants:

- Every random number is a function of (seed, step) or (seed, step, rank), so that a resumed stage computes the same
  bits as an uninterrupted one.
- All ranks take the same decisions, because decisions depend only on numbers that were summed over the ranks or
  broadcast.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

import torch

from stilts.errors import StiltsError
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.canonical import digest
from stilts.identity.stage import EXAMPLE_FIELDS, Mixing
from stilts.train.checkpoint import LAYOUT, ResumeState, ResumeStore
from stilts.train.compilation import Compilation, compile_layers
from stilts.train.engine_choice import make_engine
from stilts.train.feed import Feed, StepBatches
from stilts.train.model import Model
from stilts.train.optimizer import learning_rate
from stilts.train.precision import set_precision
from stilts.train.ranks import Preempted, Ranks, Stopped, deterministic
from stilts.train.result import LAST, PartResult, TrainResult
from stilts.train.rows import RowsInUse, decay_factor, restore_rows, use_rows
from stilts.train.step_schedule import Source, StepSchedule, TrainPart
from stilts.train.token_budget import FIRST_STEPS, TokenBudget

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0
"""Seconds between two progress reports."""


class Diverged(StiltsError):
    """The loss became NaN or infinite. The stage is not retried: with the same recipe it would diverge again."""


def train(
    model: Model,
    parts: Sequence[TrainPart],
    recipe: Recipe,
    runtime: Runtime,
    ranks: Ranks,
    *,
    mixing: Mixing | None = None,
    dev_score: Callable[[], Mapping[str, float]] | None = None,
    watch: Callable[[], Sequence[float]] | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    resume: ResumeStore | None = None,
) -> TrainResult:
    """Train the model in place (collective).

    Afterwards the model holds the selected weights in fp32, whatever the precision of the recipe. These are the master
    weights, from which another stage continues. `set_precision` turns the model into the one that was evaluated.

    Args:
        parts: the training data of each task.
        recipe: the recipe of the stage.
        runtime: size of the micro-batches, ZeRO stage, and time between resume states.
        mixing: how the tasks share the steps; None if there is only one task.
        dev_score: returns the dev score of each task with the current weights (higher is better). The weights with the
            highest unweighted mean are selected. It is called on every rank, where it must return the same scores:
            every `recipe.evaluate_every` steps or, without that, once per epoch (`data.mixing.epoch_items` defines the
            epoch of a mixture), and after the last step.
        watch: returns further scores with the current weights, which are recorded next to those of `dev_score` and do
            not influence the selection. It is called on every rank.
        report: called on the leader about once per second and after each dev evaluation, with a dict of `step`,
            `steps`, `loss`, `gradient_norm` (before clipping), `learning_rate`, `tokens_per_second`, `examples` and
            `eta` (seconds). In a mixture the dict also has
            `phase`, the task of the step; after the first dev evaluation also `dev`, the last score, and `curve`, all
            scores so far, as in `TrainResult.dev`.
        resume: storage of resume states; an interrupted stage continues from the newest one.

    Raises:
        Diverged: the loss is NaN or infinite.
        Preempted: a rank was preempted; the resume state after its last step is stored.
        Stopped: the stage was cancelled.
        StiltsError: a task has no training examples, `max_length` exceeds the model's number of positions, or a task of
            the mixture gets no step.
    """
    schedule = StepSchedule(model, parts, recipe, mixing)
    return _Run(model, schedule, recipe, runtime, ranks, dev_score, watch, report, resume).run()


@dataclass(frozen=True)
class _Pending:
    """A step whose loss the host has not read yet.

    Attributes:
        step: number of the step, from 1.
        sums: returns the sum of the losses over the ranks, the norm of the gradient, and how many ranks ask for a
            resume state, a drain and a halt; waits for the device.
        seconds: time that the host took for the step.
    """

    step: int
    batches: StepBatches
    sums: Callable[[], list[float]]
    seconds: float


class _Run:
    """The state of one call of `train`: the engine, the counters and the curves."""

    def __init__(
        self,
        model: Model,
        schedule: StepSchedule,
        recipe: Recipe,
        runtime: Runtime,
        ranks: Ranks,
        dev_score: Callable[[], Mapping[str, float]] | None,
        watch: Callable[[], Sequence[float]] | None,
        report: Callable[[dict[str, Any]], None] | None,
        resume: ResumeStore | None,
    ) -> None:
        self.model, self.recipe, self.runtime, self.ranks = model, recipe, runtime, ranks
        self.schedule, self.steps = schedule, schedule.steps
        self.dev_score = dev_score if recipe.selection == "best-dev" else None
        self.watch, self.report, self.resume = watch, report, resume
        self.best: dict[str, torch.Tensor] | None = None
        self.rows: RowsInUse | None = None
        self.compilation = Compilation(model)
        self.trained, self.largest = 0, 1
        parts = {source.task: PartResult() for source in schedule.sources}
        self.result = TrainResult(steps=self.steps, parts=parts)
        self.started = time.monotonic()
        self.saved = self.reported = self.started
        self.window_tokens, self.window_seconds = 0, 0.0
        self.pending: _Pending | None = None
        self.asked = False, False, False
        self.gradient_norm = 0.0

    def run(self) -> TrainResult:
        first = self._start()
        try:
            for step in range(first, self.steps):
                self._step(step)
            if self.resume is not None:
                self.resume.wait()
        except (Diverged, Preempted, Stopped):
            self.engine.destroy()  # frees the memory for the next stage that this gang trains
            raise
        finally:
            self.feed.close()
            self.compilation.stop()
            if self.resume is not None:
                self.resume.end()
        if self.best is None:
            self.result.best_step = self.steps
        self.engine.release(self.engine.weights() if self.best is None else self.best)
        if self.rows is not None:
            self._decay_other_rows(self.result.best_step)
            restore_rows(self.model, self.rows)
        self.model.eval()
        self.result.seconds += time.monotonic() - self.started
        return self.result

    def _start(self) -> int:
        """Build the engine, from the resume state if there is one, and return the first step to train."""
        state = self._resumable()
        set_precision(self.model, "fp32")
        self.model.to(self.ranks.device)
        self.rows = use_rows(self.model, [source.features.ids.values for source in self.schedule.sources])
        if state is not None:
            state.load_weights(self.model)
        if self.runtime.gradient_checkpointing:
            self.model.checkpoint_gradients()
        self.engine = make_engine(self.model, self.recipe, self.runtime, self.ranks)
        self.budget = TokenBudget(self.model, self.runtime, self.ranks, self.recipe.precision)
        budget = self.budget.estimate(None if state is None else state.meta.get("token_budget"))
        self.feed = Feed(self.model, self.schedule, self.ranks, budget, self.runtime.compile == "on")
        examples = (self.feed.example(shape) for shape in self.feed.shapes.planned)
        compiled = compile_layers(self.compilation, self.runtime, self.ranks, examples)
        how = self._how(compiled)
        self.result.how = how
        if state is None:
            return 0
        state.load_optimizer(self.engine, self.schedule.part_steps(state.meta["step"]))
        self.best = state.best()
        self.result = replace(TrainResult.from_json(state.meta["result"]), how=how)
        step: int = state.meta["step"]
        if self._evaluation_due(step) and step not in [done for done, _ in self.result.dev]:
            self._evaluate(step)  # the stage was preempted before this evaluation
        return step

    def _how(self, compiled: bool) -> dict[str, str]:
        """How this attempt computes, see `TrainResult.how`; also a line in the log."""
        how = {
            "engine": "deepspeed" if self.runtime.uses_deepspeed(self.ranks.world) else "torch",
            "attention": self.model.attention_of(self.ranks.device),
            "compile": "on" if compiled else "off",
        }
        log.info("computing with %s", ", ".join(f"{name}: {value}" for name, value in how.items()))
        return how

    def _resumable(self) -> ResumeState | None:
        state = None if self.resume is None else self.resume.find(self.ranks)
        if state is not None and state.meta["run"] != self._identity():
            log.warning("%s: the resume state is of another run; the stage starts over", state.folder)
            return None
        if state is not None:
            log.info("resuming at step %d of %d", state.meta["step"], self.steps)
        return state

    def _identity(self) -> str:
        """Digest of the recipe and the data. A resume state can only be continued if its digest is the same."""
        recipe = {name: value for name, value in self.recipe.model_dump().items() if name not in EXAMPLE_FIELDS}
        return digest([recipe, self.schedule.fingerprint(), LAYOUT])

    def _decay_other_rows(self, step: int) -> None:
        """Apply the weight decay of the first steps to the embedding's rows that are not trained."""
        if self.rows is not None and self.recipe.weight_decay:
            rates = [learning_rate(self.recipe, earlier, self.steps) for earlier in range(step)]
            self.rows.decay(decay_factor(rates, self.recipe.weight_decay))

    def _step(self, step: int) -> None:
        """Train one step and start reading its loss; then take up the loss of the step before."""
        began = time.monotonic()
        self.engine.train()
        batches = self.feed.step(step)
        total = self._attempt(step, batches)
        while total is None:
            self._lower_budget(step)
            batches = self.feed.step(step)
            total = self._attempt(step, batches)
        self._correct_budget(batches)
        self.engine.step(learning_rate(self.recipe, step, self.steps), batches.parts)
        due = time.monotonic() - self.saved >= self.runtime.checkpoint_seconds
        events = due and self.ranks.leader, self.ranks.drain.is_set(), self.ranks.halt.is_set()
        sums = self.ranks.start_sum(total, self.engine.gradient_norm, *map(float, events))
        earlier, self.pending = self.pending, _Pending(step + 1, batches, sums, time.monotonic() - began)
        if earlier is not None:
            self._count(earlier)
        # One rank knows what it was asked for. Several learn it from the sums, which are read a step later.
        self._after(step + 1, batches.source, *(events if self.ranks.world == 1 else self.asked))

    def _correct_budget(self, batches: StepBatches) -> None:
        """Correct the token budget after the first steps of this attempt; all ranks come here alike."""
        self.trained += 1
        self.largest = max(self.largest, *(batch.input_ids.numel() for batch, _ in batches.batches))
        if self.trained == FIRST_STEPS:
            budget = self.budget.corrected(self.feed.budget, self.largest)
            if budget != self.feed.budget:
                log.info("micro-batches have at most %d tokens from now on, by the memory of the first steps", budget)
                self.feed.limit(budget)

    def _gradients(self, step: int, batches: StepBatches) -> torch.Tensor:
        """Add up the gradients of a step; return the sum of this rank's losses."""
        torch.manual_seed(_dropout_seed(self.recipe.seed_of("dropout"), step, self.ranks.rank))
        total = torch.zeros((), device=self.ranks.device)
        for batch, factor in batches.batches:
            loss = self.engine(batch.to(self.ranks.device)) * factor
            with deterministic(self.ranks.device):
                self.engine.backward(loss / batches.units)
            total += loss.detach()
            self.ranks.heartbeat.beat()
        return total

    def _attempt(self, step: int, batches: StepBatches) -> torch.Tensor | None:
        """Add up the gradients of a step; return None if a rank ran out of memory, so that the step must be repeated in
        smaller micro-batches.

        Under ZeRO 0 and 1 the ranks reduce nothing before the optimizer's step, so that each of them comes to the
        question whether all had enough memory. Under ZeRO 2 and 3 the others would wait in a reduction.
        """
        total, reason = None, ""
        try:
            total = self._gradients(step, batches)
        except torch.OutOfMemoryError as error:
            if not self._repeats or (self.ranks.world == 1 and self.feed.smaller_budget(step) is None):
                raise
            reason = str(error)  # not the error itself, whose traceback holds the tensors of the step
        if not self._repeats or not self.ranks.any(bool(reason)):
            return total
        if self.feed.smaller_budget(step) is None:
            raise torch.OutOfMemoryError(reason or "another rank of the trial ran out of memory")
        return None

    @property
    def _repeats(self) -> bool:
        """Whether a step that ran out of memory can be repeated."""
        return self.ranks.world == 1 or self.runtime.zero_stage <= 1

    def _lower_budget(self, step: int) -> None:
        """Lower the token budget after a step that ran out of memory, so that its micro-batches get smaller."""
        self.engine.forget_gradient()
        if self.ranks.device.type == "cuda":
            torch.cuda.empty_cache()
        self.feed.limit(self.feed.smaller_budget(step) or 1)
        log.warning("out of memory: micro-batches have at most %d tokens from now on", self.feed.budget)

    def _flush(self) -> None:
        """Take up the loss of the last step, so that the curves are complete."""
        earlier, self.pending = self.pending, None
        if earlier is not None:
            self._count(earlier)

    def _count(self, done: "_Pending") -> None:
        """Note the loss of a step.

        Raises:
            Diverged: it is NaN or infinite.
        """
        loss_sum, norm, save, drain, halt = done.sums()
        source, loss = done.batches.source, loss_sum / done.batches.units
        if not math.isfinite(loss):
            raise Diverged(
                f"{source.task}: the loss is {loss} at step {done.step} of {self.steps} (learning rate "
                f"{self.recipe.learning_rate}, seed {self.recipe.seed}); lower learning_rate, or raise warmup"
            )
        self.asked = save > 0, drain > 0, halt > 0
        self.gradient_norm = norm
        self.result.losses.append((done.step, loss))
        part = self.result.parts[source.task]
        part.steps += 1
        part.losses = [*part.losses, loss][-LAST:]
        part.first = [*part.first, loss][:LAST]
        for counted in (self.result, part):
            counted.examples += done.batches.examples
            counted.tokens += done.batches.tokens
        self.window_tokens += done.batches.tokens
        self.window_seconds += done.seconds

    def _after(self, step: int, source: Source, save: bool, drain: bool, halt: bool) -> None:
        """After a step: evaluate on dev and save the resume state if they are due, and report.

        When draining, save the resume state and raise `Preempted`; the next attempt runs an evaluation that is due.
        """
        if self.resume is not None:
            self.resume.check()
        due = self._evaluation_due(step)
        preempted = drain and (due or step < self.steps)
        if due or preempted or save or step == self.steps:
            self._flush()
        if halt and step < self.steps:
            raise Stopped(f"stopped after step {step} of {self.steps}")
        if due and not preempted:
            self._evaluate(step)
        self._report(step, source, now=due)
        if preempted:
            self._preempt(step)
        if self.resume is not None and save and step < self.steps:
            self._save(step)

    def _preempt(self, step: int) -> None:
        if self.resume is not None:
            self._save(step)
            self.resume.wait()
        raise Preempted(f"preempted after step {step} of {self.steps}")

    def _evaluation_due(self, step: int) -> bool:
        if self.dev_score is None:
            return False
        return step % (self.recipe.evaluate_every or self.schedule.steps_per_epoch) == 0 or step == self.steps

    def _evaluate(self, step: int) -> None:
        assert self.dev_score is not None
        began = time.monotonic()
        self.engine.eval()
        self._decay_other_rows(step)
        scores = dict(self.dev_score())
        score = fmean(scores.values())
        if not self.result.dev or score > max(value for _, value in self.result.dev):
            self.best = self.engine.weights()
            self.result.best_step = step
        self.result.dev.append((step, score))
        self.result.dev_parts.append(scores)
        if self.watch is not None:
            self.result.watched.append((step, list(self.watch())))
        self.result.evaluation_seconds += time.monotonic() - began

    def _save(self, step: int) -> None:
        assert self.resume is not None
        now = time.monotonic()
        seconds = self.result.seconds + now - self.started
        meta = {
            "run": self._identity(),
            "step": step,
            "token_budget": self.feed.budget,
            "result": {**asdict(self.result), "seconds": seconds},
        }
        self.resume.save(self.engine, json.loads(json.dumps(meta)), self.best, self.ranks)
        self.saved = time.monotonic()
        self.asked = False, False, False

    def _report(self, step: int, source: Source, *, now: bool = False) -> None:
        if self.report is None or not self.ranks.leader:
            return
        if time.monotonic() - self.reported < REPORT_SECONDS and step < self.steps and not now:
            return
        self._flush()
        rate = self.window_tokens / max(self.window_seconds, 1e-9)
        per_step = self.result.tokens / len(self.result.losses)
        self.report(
            {
                "step": step,
                "steps": self.steps,
                "loss": self.result.losses[-1][1],
                "gradient_norm": self.gradient_norm,
                "learning_rate": learning_rate(self.recipe, step - 1, self.steps),
                "tokens_per_second": rate,
                "examples": self.result.examples,
                "eta": (self.steps - step) * per_step / max(rate, 1e-9),
                **({"phase": source.task} if len(self.schedule.sources) > 1 else {}),
                **({"dev": self.result.dev[-1][1], "curve": list(self.result.dev)} if self.result.dev else {}),
            }
        )
        self.reported, self.window_tokens, self.window_seconds = time.monotonic(), 0, 0.0


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    return int(digest([seed, step, rank])[:15], 16)
