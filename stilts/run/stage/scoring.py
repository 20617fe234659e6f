"""Scores of a stage: on dev data during training, and its evaluations afterwards.

Only the forward passes run in the main thread. A thread encodes the examples of the next evaluation meanwhile, or reads
their features from the store, and another one makes and scores the predictions of the last one. Each of them takes the
evaluations in their order.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stilts.evaluate import predict
from stilts.evaluate.candidates import Pool
from stilts.evaluate.evaluation import Evaluated, Forward, Outputs, compute, conclude
from stilts.evaluate.inputs import Inputs, prepare
from stilts.evaluate.predictions import suffix
from stilts.identity.stage import BaseSpec, DataRef, EvaluationSpec, Part, StageSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import write_evaluation
from stilts.run.stage.attempt import Attempt
from stilts.run.stage.inputs import in_turn, kept_table
from stilts.tasks.base import Task, get_task
from stilts.tasks.families import get_family
from stilts.tasks.score import main_number, needs_labels
from stilts.train.model import Model, as_trained
from stilts.train.precision import set_precision

_LENGTHS = ("max_length", "stride", "max_query_length")
"""Fields of a recipe that hold for the dev evaluation of its task as well."""


def dev_score(attempt: Attempt, spec: StageSpec, model: Model) -> Callable[[], dict[str, float]] | None:
    """Function that returns the dev score of each task of the stage with dev data; None if no task has any
    (collective)."""
    parts = [(part, part.dev) for part in spec.parts if part.dev is not None]
    tasks = [part.task for part, _ in parts]
    score = _scorer(attempt, [(_dev_evaluation(part, dev, model), None) for part, dev in parts], model)
    return (lambda: dict(zip(tasks, score(), strict=True))) if parts else None


def watched_scores(attempt: Attempt, model: Model) -> Callable[[], list[float]] | None:
    """Function that returns the scores of the job's watched evaluations, in their order; None if there are none
    (collective)."""
    watched = attempt.job.watched
    score = _scorer(attempt, [(one.evaluation, one.examples) for one in watched], model)
    return score if watched else None


def _dev_evaluation(part: Part, reference: DataRef, model: Model) -> EvaluationSpec:
    """The evaluation on the dev data of a task, with the lengths of its training."""
    task = as_trained(get_task(part.task), model)
    given = {name: value for name in _LENGTHS if (value := getattr(part.recipe, name)) is not None}
    settings = {**task.settings, **given}
    return EvaluationSpec(task.name, task.scored_version, "dev", reference.language, reference, None, settings)


def _scorer(
    attempt: Attempt, specs: Sequence[tuple[EvaluationSpec, int | None]], model: Model
) -> Callable[[], list[float]]:
    """Function that returns the main numbers of evaluations with the model's weights at the time of the call.

    Args:
        specs: the evaluations, and how many of the first examples of each are scored; None: all.
    """
    evaluations = [_Evaluation(attempt, spec, model, {}, examples) for spec, examples in specs]
    prepared = list(in_turn(attempt.ranks, [evaluation.prepare for evaluation in evaluations]))

    def scores() -> list[float]:
        with ThreadPoolExecutor(1, "scores") as thread:
            pending = []
            for evaluation, inputs in zip(evaluations, prepared, strict=True):
                fresh = inputs.renewed()
                pending.append(thread.submit(evaluation.conclude, fresh, evaluation.compute(fresh)))
            found = [future.result() for future in pending]
        return [evaluation.number(one) for evaluation, one in zip(evaluations, found, strict=True)]

    return scores


@dataclass(frozen=True)
class _Evaluation:
    """The steps of one evaluation of the stage.

    Attributes:
        pools: the candidates of rankings, which the evaluations of one state of the model share.
        examples: number of the first examples that are scored; None: all.
    """

    attempt: Attempt
    spec: EvaluationSpec
    model: Model
    pools: dict[DataRef, Pool]
    examples: int | None = None

    @property
    def task(self) -> Task:
        return as_trained(get_task(self.spec.task), self.model)

    def prepare(self) -> Inputs:
        store, spec = self.attempt.store, self.spec
        table = read_examples(store, spec.data).slice(0, self.examples)
        tune = None if spec.tune is None else read_examples(store, spec.tune)
        kept = partial(kept_table, self.attempt)
        return prepare(self.task, spec, table, tune, self.model.tokenizer, self._pool(), kept)

    def _pool(self) -> Pool | None:
        reference = self.spec.pool
        if reference is None:
            return None
        if reference not in self.pools:
            self.pools[reference] = Pool(read_examples(self.attempt.store, reference))
        return self.pools[reference]

    def compute(self, inputs: Inputs) -> Outputs:
        return compute(self.task, self.spec, inputs, _forward(self.attempt, self.model, self.task))

    def conclude(self, inputs: Inputs, outputs: Outputs) -> Evaluated:
        return conclude(self.task, self.spec, inputs, outputs, self.model.tokenizer)

    def submit(self, inputs: Inputs, outputs: Outputs) -> None:
        """Queue the predictions and the record."""
        labels = self.task.labels if needs_labels(get_task(self.spec.task)) else None
        _submit(self.attempt, self.spec, self.conclude(inputs, outputs), labels)

    def number(self, found: Evaluated) -> float:
        assert found.metrics is not None
        return main_number(self.task, found.metrics)


def evaluate_stage(attempt: Attempt, model: Model | None) -> None:
    """Run the evaluations of the job (collective). Each is queued for the store as soon as it is done.

    Args:
        model: the trained model; may be None if the job has no evaluations.

    Raises:
        Preempted: a rank is draining.
    """
    if not attempt.job.evaluations:
        return
    assert model is not None
    pools: dict[DataRef, Pool] = {}
    specs = sorted(attempt.job.evaluations, key=_precision, reverse=True)
    evaluations = [_Evaluation(attempt, spec, model, pools) for spec in specs]
    last: Future[None] | None = None
    with (
        closing(in_turn(attempt.ranks, [evaluation.prepare for evaluation in evaluations])) as prepared,
        ThreadPoolExecutor(1, "predictions") as thread,
    ):
        for done, evaluation in enumerate(evaluations):
            spec = evaluation.spec
            if isinstance(attempt.job.spec, BaseSpec):
                set_precision(model, _precision(spec))
            attempt.ranks.raise_if_draining()
            attempt.report({"phase": f"evaluating {spec.task}/{spec.language}", "step": done, "steps": len(specs)})
            inputs = next(prepared)
            outputs = evaluation.compute(inputs)
            if attempt.ranks.leader:
                if last is not None:
                    last.result()
                last = thread.submit(evaluation.submit, inputs, outputs)
        if last is not None:
            last.result()


def _precision(spec: EvaluationSpec) -> str:
    """Precision in which a base model is evaluated.

    Evaluations in fp32 must come first: `set_precision` rounds the weights in place.
    """
    return str(spec.settings.get("precision", "fp32"))


def _forward(attempt: Attempt, model: Model, task: Task) -> Forward:
    """Function that runs the model with the head of the task."""
    budget = attempt.job.runtime.most_tokens(gpu=attempt.ranks.device.type == "cuda")

    def run(features: pa.Table, family: str, settings: Mapping[str, Any]) -> list[np.ndarray] | torch.Tensor:
        vectors = get_family(family).procedure(task, settings).by_vectors
        return (predict.vectors if vectors else predict.forward)(
            model, features, settings, attempt.ranks, family=family, head=task.head_name, tokens_per_batch=budget
        )

    return run


def _submit(attempt: Attempt, spec: EvaluationSpec, found: Evaluated, labels: tuple[str, ...] | None) -> None:
    """Queue the predictions and the record of an evaluation.

    Args:
        labels: those of the head, if predictions cannot be scored again without them; else None.
    """
    record = {
        "examples": found.examples,
        "labelled": found.metrics is not None,
        "metrics": found.metrics,
        "settings": spec.settings,
        "condition": None if spec.condition is None else vars(spec.condition),
        "extra": found.extra,
        **({} if labels is None else {"labels": list(labels)}),
    }
    ending = f".{suffix(spec.task)}"
    write = partial(write_evaluation, attempt.store, attempt.job.name, spec, found.predictions, ending, record)
    attempt.submit(lambda: write(attempt.lease.check))
