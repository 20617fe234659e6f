"""Sections of a stage's record that describe its training: `train`, `dev` and `speed`."""

from typing import Any

import pyarrow.compute as pc

from stilts.encoders.sizes import shape
from stilts.identity.stage import Part, StageSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import read_stage
from stilts.plan.cost.estimate import training_flops, watching_flops
from stilts.plan.job import StageJob
from stilts.storage.protocol import Store
from stilts.tasks.base import get_task
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from stilts.train.result import TrainResult


def training_facts(
    store: Store, job: StageJob, spec: StageSpec, result: TrainResult, model: Model, ranks: Ranks
) -> dict[str, Any]:
    """Return the sections `train`, `dev` and `speed` of a stage's record, in plain JSON types.

    `speed` holds the FLOPs per second of one rank, from which later plans estimate durations, and how they were
    computed (`TrainResult.how`).

    Args:
        spec: the stage of the job.
        result: the result of its training.
        ranks: the ranks that trained it.
    """
    size = shape(model.config.to_dict())
    seen = [(part, result.parts[part.task]) for part in spec.parts]
    flops = sum(training_flops(part, size, found.examples, found.tokens) for part, found in seen)
    flops += len(result.watched) * watching_flops(job.watched, size)
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
        "speed": {
            "kind": "gpu" if ranks.device.type == "cuda" else "cpu",
            "flops": flops / max(result.seconds, 1e-9) / ranks.world,
            **result.how,
        },
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
