"""Scores of a stage: on dev data during training, and its evaluations afterwards."""

from collections.abc import Callable
from functools import partial

from stilts.evaluate.candidates import Pool
from stilts.evaluate.evaluation import Evaluated, Forward, evaluate
from stilts.evaluate.predict import forward
from stilts.evaluate.predictions import suffix
from stilts.identity.stage import BaseSpec, DataRef, EvaluationSpec, Part, StageSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import write_evaluation
from stilts.run.stage.attempt import Attempt
from stilts.tasks.base import Task, get_task
from stilts.tasks.score import main_number
from stilts.train.model import Model, as_trained
from stilts.train.precision import set_precision

_LENGTHS = ("max_length", "stride", "max_query_length")
"""Fields of a recipe that hold for the dev evaluation of its task as well."""


def dev_score(attempt: Attempt, spec: StageSpec, model: Model) -> Callable[[], dict[str, float]] | None:
    """Function that returns the dev score of each task of the stage with dev data; None if no task has any."""
    scores = {
        part.task: _scorer(attempt, _dev_evaluation(part, part.dev, model), model)
        for part in spec.parts
        if part.dev is not None
    }
    return (lambda: {task: score() for task, score in scores.items()}) if scores else None


def watched_scores(attempt: Attempt, model: Model) -> Callable[[], list[float]] | None:
    """Function that returns the scores of the job's watched evaluations, in their order; None if there are none."""
    scores = [_scorer(attempt, watched.evaluation, model, watched.examples) for watched in attempt.job.watched]
    return (lambda: [score() for score in scores]) if scores else None


def _dev_evaluation(part: Part, reference: DataRef, model: Model) -> EvaluationSpec:
    """The evaluation on the dev data of a task, with the lengths of its training."""
    task = as_trained(get_task(part.task), model)
    given = {name: value for name in _LENGTHS if (value := getattr(part.recipe, name)) is not None}
    settings = {**task.settings, **given}
    return EvaluationSpec(task.name, task.scored_version, "dev", reference.language, reference, None, settings)


def _scorer(attempt: Attempt, spec: EvaluationSpec, model: Model, examples: int | None = None) -> Callable[[], float]:
    """Function that returns the main number of an evaluation with the model's weights at the time of the call.

    Args:
        examples: how many of the first examples are scored; None: all.
    """
    task = as_trained(get_task(spec.task), model)
    table = read_examples(attempt.store, spec.data).slice(0, examples)
    tune = None if spec.tune is None else read_examples(attempt.store, spec.tune)

    def score() -> float:
        metrics = evaluate(task, spec, table, tune, model.tokenizer, _forward(attempt, model, task)).metrics
        assert metrics is not None
        return main_number(task, metrics)

    return score


def evaluate_stage(attempt: Attempt, model: Model | None) -> None:
    """Run the evaluations of the job (collective). Each is queued for the store as soon as it is done.

    Args:
        model: the trained model; may be None if the job has no evaluations.

    Raises:
        Preempted: a rank is draining.
    """
    job, store = attempt.job, attempt.store
    pools: dict[DataRef, Pool] = {}
    for done, spec in enumerate(sorted(job.evaluations, key=_precision, reverse=True)):
        assert model is not None
        if isinstance(job.spec, BaseSpec):
            set_precision(model, _precision(spec))
        attempt.ranks.raise_if_draining()
        attempt.report(
            {"phase": f"evaluating {spec.task}/{spec.language}", "step": done, "steps": len(job.evaluations)}
        )
        tune = None if spec.tune is None else read_examples(store, spec.tune)
        table = read_examples(store, spec.data)
        if spec.pool is not None and spec.pool not in pools:
            pools[spec.pool] = Pool(read_examples(store, spec.pool))
        pool = None if spec.pool is None else pools[spec.pool]
        task = as_trained(get_task(spec.task), model)
        found = evaluate(task, spec, table, tune, model.tokenizer, _forward(attempt, model, task), pool)
        _submit(attempt, spec, found)


def _precision(spec: EvaluationSpec) -> str:
    """Precision in which a base model is evaluated.

    Evaluations in fp32 must come first: `set_precision` rounds the weights in place.
    """
    return str(spec.settings.get("precision", "fp32"))


def _forward(attempt: Attempt, model: Model, task: Task) -> Forward:
    """Function that runs the model with the head of the task."""
    budget = attempt.job.runtime.tokens_per_micro_batch
    return lambda features, family, settings: forward(
        model, features, settings, attempt.ranks, family=family, head=task.head_name, tokens_per_batch=budget
    )


def _submit(attempt: Attempt, spec: EvaluationSpec, found: Evaluated) -> None:
    """Queue the predictions and the record of an evaluation."""
    record = {
        "examples": found.examples,
        "labelled": found.metrics is not None,
        "metrics": found.metrics,
        "settings": spec.settings,
        "condition": None if spec.condition is None else vars(spec.condition),
        "extra": found.extra,
    }
    ending = f".{suffix(spec.task)}"
    write = partial(write_evaluation, attempt.store, attempt.job.name, spec, found.predictions, ending, record)
    attempt.submit(lambda: write(attempt.lease.check))
