"""A family that only this file knows: registered, trained, predicted and scored as those of the package are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stilts.evaluate.evaluation import evaluate
from stilts.evaluate.predict import forward
from stilts.evaluate.predictions import read_predictions
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.tasks import base as tasks
from stilts.tasks.base import Task
from stilts.tasks.families import Family, Lengths, registry
from stilts.tasks.families.files import Lines, PredictionFile
from stilts.tasks.families.subwords import Frame, features, tokenize
from stilts.train.features import Features
from stilts.train.heads import FamilyHead, HeadSpec, head_dropout, heads_of
from stilts.train.heads import registry as heads
from stilts.train.heads.base import SentenceHead
from stilts.train.loop import train
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from stilts.train.step_schedule import TrainPart
from tests.train.toys import make_base

TEXTS = ["bada bada bada", "dofu dofu dofu", "geki geki geki"]
"""A text of each grade."""


class Grading(Family):
    """A text and its grade, an ordered class: 0, 1 or 2."""

    name = "grading"
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("grade", pa.int32())])
    gold_column = "grade"
    features = ("grade",)
    scored_as = ("labels",)

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return []

    def encode(self, table: pa.Table, tokenizer: Any, task: Task, lengths: Lengths, training: bool) -> pa.Table:
        frame, rows = Frame(tokenizer), np.arange(table.num_rows)
        columns = frame.columns(tokenize(table["text"], tokenizer).cut(frame.room(lengths.max_length)))
        return features(rows, rows, {**columns, "grade": table["grade"]})

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[str]:
        return [str(int((output > 0).sum())) for output in outputs]

    def gold(self, table: pa.Table, task: Task) -> list[str]:
        return [str(grade) for grade in table["grade"].to_pylist()]

    def file(self, task: Task) -> PredictionFile:
        return Lines(str)


class GradingHead(FamilyHead):
    """Two logits: whether the grade is over 0, and over 1."""

    family = "grading"

    def module(self, spec: HeadSpec, config: Any, embedding: int) -> nn.Module:
        return SentenceHead(config.hidden_size, 2, head_dropout(config))

    def targets(self, part: Features) -> dict[str, np.ndarray]:
        return {"over": (part.numbers("grade")[:, None] > np.arange(2)).astype(np.float32)}

    def loss_sum(self, logits: torch.Tensor, targets: dict[str, torch.Tensor]) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(logits, targets["over"], reduction="sum")


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task of the new family, which is gone after the test."""
    tasks.all_tasks()
    heads.head_of("tagging")
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    monkeypatch.setattr(heads, "_HEADS", dict(heads._HEADS))
    monkeypatch.setattr(tasks, "_TASKS", dict(tasks._TASKS))
    registry.register(Grading())
    heads.register(GradingHead())
    return tasks.register(
        Task("essays", 1, "grading", ("en",), "accuracy", ("accuracy",), "essays", settings={"max_length": 16})
    )


def test_a_new_family_trains_predicts_and_is_scored(task: Task, ranks: Ranks, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXTS * 40))
    grades = [0, 1, 2] * 8
    rows = [{"id": str(i), "text": TEXTS[grade], "grade": grade} for i, grade in enumerate(grades)]
    table = pa.Table.from_pylist(rows, schema=Grading.schema)
    model = Model.load(make_base(tmp_path / "base", text), heads_of([task]))
    encoded = Grading().encode(table, model.tokenizer, task, Lengths(16), training=True)
    recipe = Recipe(
        learning_rate=3e-3,
        warmup=0,
        schedule="constant",
        max_steps=80,
        batch_size=12,
        max_length=16,
        precision="fp32",
        selection="last",
    )
    result = train(model, [TrainPart("essays", "essays", encoded, recipe)], recipe, Runtime(), ranks)
    assert result.losses[-1][1] < 0.5 * result.losses[0][1]

    def run(features: pa.Table, family: str, settings: Mapping[str, Any]) -> list[np.ndarray]:
        return forward(model, features, settings, ranks, family=family, head=task.head_name)

    ref = DataRef("essays", "dev", "en", identity="file:essays", rows=len(rows), tokens=None, labelled=True)
    spec = EvaluationSpec("essays", 1, "dev", "en", ref, None, dict(task.settings))
    found = evaluate(task, spec, table, None, model.tokenizer, run)
    assert found.metrics is not None
    assert found.metrics["accuracy"] > 90
    predicted = read_predictions("essays", found.predictions)
    right = sum(ours == gold for ours, gold in zip(predicted, map(str, grades), strict=True))
    assert found.metrics["accuracy"] == pytest.approx(100 * right / len(grades))
