"""Sections of a stage's record that describe its training: `train`, `dev` and `speed`."""

import time
from typing import Any

import pyarrow.compute as pc
import torch

from stilts.encoders.sizes import shape
from stilts.identity.stage import Part, StageSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import read_stage
from stilts.plan.cost.work import training_work
from stilts.plan.job import StageJob
from stilts.run.stage.attempt import Attempt
from stilts.storage.protocol import Store
from stilts.tasks.base import get_task
from stilts.train.model import Model
from stilts.train.result import TrainResult


def training_facts(attempt: Attempt, spec: StageSpec, result: TrainResult, model: Model) -> dict[str, Any]:
    """Return the sections `train`, `dev` and `speed` of a stage's record, in plain JSON types.

    Args:
        spec: the stage of the job.
        result: the result of its training, which ended just now.
    """
    store, job = attempt.store, attempt.job
    best = [step for step, _ in result.dev].index(result.best_step) if result.dev else None
    return {
        "train": {
            "steps": result.steps,
            "examples": result.examples,
            "tokens": result.tokens,
            "seconds": round(result.seconds, 3),
            "losses": result.losses,
            "best_step": result.best_step,
            "parts": {task: vars(part) for task, part in result.parts.items()},
        },
        "dev": {
            "metric": get_task(spec.parts[0].task).metric if len(spec.parts) == 1 else "mean",
            "score": None if best is None else result.dev[best][1],
            "parts": {} if best is None else result.dev_parts[best],
            "chance": {part.task: found for part in spec.parts if (found := _chance(store, part)) is not None},
            "curve": result.dev,
            "languages": _watched(store, job, result),
        },
        "speed": _speed(attempt, spec, result, model),
    }


def _speed(attempt: Attempt, spec: StageSpec, result: TrainResult, model: Model) -> dict[str, Any]:
    """What later plans estimate durations from.

    Returns:
        `kind` and `device` of the hardware, `flops` per second of one rank in its training, `evaluation_seconds` of
        dev evaluations, `setup_seconds` from the start of the attempt to its training, and what `TrainResult.how`
        says.
    """
    size, ranks = shape(model.config.to_dict()), attempt.ranks
    found = [(part, result.parts[part.task]) for part in spec.parts]
    seen = [(part, float(one.examples), float(one.tokens)) for part, one in found]
    work = training_work(spec, size, seen, attempt.job.runtime)
    gpu = ranks.device.type == "cuda"
    setup = time.monotonic() - attempt.began - result.seconds  # less, if the stage resumed what others had trained
    return {
        "kind": "gpu" if gpu else "cpu",
        "device": torch.cuda.get_device_name(ranks.device) if gpu else "CPU",
        "flops": work.flops / max(result.seconds - result.evaluation_seconds, 1e-9),
        "evaluation_seconds": round(result.evaluation_seconds, 3),
        "setup_seconds": round(max(setup, 0.0), 3),
        **result.how,
    }


def _chance(store: Store, part: Part) -> dict[str, Any] | None:
    """Accuracy in percent of always predicting the most frequent label of a task's dev set, and the set's size.

    None if the task is not scored by the accuracy of one label per example.
    """
    if part.dev is None or get_task(part.task).metric != "accuracy":
        return None
    table = read_examples(store, part.dev)
    if "label" not in table.column_names:
        return None
    counts = pc.value_counts(table["label"].drop_null()).field("counts").to_pylist()
    return {"score": 100 * max(counts) / sum(counts), "examples": sum(counts)} if counts else None


def _watched(store: Store, job: StageJob, result: TrainResult) -> dict[str, Any] | None:
    """Return the evaluations that were computed during training (`watched`) and their scores at each dev evaluation
    (`curve`), in the same order.

    A stage that is trained again with nothing to watch keeps the scores of its earlier record if both trainings have
    the same dev scores.
    """
    if not job.watched:
        before = read_stage(store, job.name)
        same = before is not None and before["dev"]["curve"] == [list(point) for point in result.dev]
        return before["dev"].get("languages") if before is not None and same else None
    watched = []
    for what in job.watched:
        spec = what.evaluation
        identity = {"task": spec.task, "split": spec.split, "language": spec.language, "key": spec.key}
        watched.append({**identity, "examples": what.examples})
    return {"watched": watched, "curve": result.watched}
