"""A tiny model that learns a task of a user's own, is saved and loaded, and is evaluated on what it has learnt."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stilts.data.labels import with_labels
from stilts.evaluate.candidates import Pool
from stilts.evaluate.evaluation import Evaluated, evaluate
from stilts.evaluate.predict import forward
from stilts.evaluate.predictions import read_predictions
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.experiment.tasks import TaskFile
from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.results.items.counts import items_of
from stilts.tasks.base import Task, get_task
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.own import use
from stilts.tasks.score import main_number
from stilts.train.heads import heads_of
from stilts.train.loop import train
from stilts.train.model import Model, as_trained
from stilts.train.ranks import Ranks
from stilts.train.step_schedule import TrainPart
from tests.train.toys import NO_DROPOUT, make_base

WORDS = ["baka", "dilo", "mufe", "nori", "pasu", "tevi", "zolu", "giba", "kemo", "rapi", "sudo", "vate", "lino", "befu"]
ALONE = Ranks(0, 1, torch.device("cpu"))


def declared(text: str, name: str = "mine") -> Task:
    """The task that a file of tasks declares, which is in force until the next one."""
    use([TaskFile(file="my.yaml", text=text)])
    return get_task(name)


def table_of(task: Task, rows: list[dict[str, Any]]) -> pa.Table:
    """Canonical examples, numbered."""
    numbered = [{"id": str(number), **row} for number, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=get_family(task.family).schema)


@dataclass(frozen=True)
class Learned:
    """What a tiny model has learnt.

    Attributes:
        losses: the first and the last loss of the training.
        found: the evaluation of the model that was saved and loaded.
        again: the main number, scored again from the prediction file by counts per item.
    """

    losses: tuple[float, float]
    found: Evaluated
    again: float


def learn(
    task: Task,
    table: pa.Table,
    folder: Path,
    *,
    pool: pa.Table | None = None,
    steps: int = 60,
    learning_rate: float = 3e-3,
) -> Learned:
    """Train a two-layer model on the table, save and load it, evaluate it on the same table, and score the prediction
    file again as the bootstrap over items does."""
    text = folder / "text.txt"
    text.write_text("\n".join(f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS[:2]))
    full = with_labels(task, [table])
    model = Model.load(make_base(folder / "base", text, **NO_DROPOUT), heads_of([full]))
    features = get_family(task.family).encode(table, model.tokenizer, full, Lengths(32, max_query_length=16), True)
    recipe = Recipe(
        learning_rate=learning_rate, schedule="constant", max_steps=steps, batch_size=12, max_length=32,
        precision="fp32", selection="last", epochs=None,
    )  # fmt: skip
    result = train(model, [TrainPart(task.name, task.head_name, features, recipe)], recipe, Runtime(), ALONE)
    model.save(folder / "trained")
    loaded = Model.load(folder / "trained", heads_of([full]))

    def run(features: pa.Table, family: str, settings: Mapping[str, Any]) -> list[np.ndarray]:
        return forward(loaded, features, settings, ALONE, family=family, head=task.head_name)

    ref = DataRef(task.name, "test", "en", "sha256:0")
    settings = {**task.settings, "max_length": 32}
    spec = EvaluationSpec(task.name, 1, "test", "en", ref, None, settings, pool=None if pool is None else ref)
    trained = as_trained(task, loaded)
    searched = None if pool is None else Pool(pool)
    found = evaluate(trained, spec, table, None, loaded.tokenizer, run, searched)
    items = items_of(replace(task, labels=trained.labels), "en", table, pool)
    assert items is not None
    counts = items.count(read_predictions(task.name, found.predictions))
    again = float(items.score(counts.astype(np.float64).mean(axis=0)))
    assert found.metrics is not None
    assert abs(main_number(task, found.metrics) - again) < 1e-6
    return Learned((result.losses[0][1], result.losses[-1][1]), found, again)
