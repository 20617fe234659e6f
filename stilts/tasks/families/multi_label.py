"""Multi-label classification: any number of labels for each text or pair of texts (topics, emotions ...)."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import first_problems, select
from stilts.tasks.families.files import Lines, PredictionFile
from stilts.tasks.families.hub import HubRows, label_name
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import features
from stilts.tasks.families.texts import hub_texts, text_features, text_problems

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BETWEEN = "|"
"""Separates the labels of a text in files without lists."""


class MultiLabel(Family):
    """A prediction is the list of the labels whose probability is over one half, in the order of the task's labels.

    The head returns float32 [num_labels] per row of the features, which add `marks` list<int32>: for each label 1 if
    the text has it, else 0. On the hub: `text_a`, `labels` (a list of names or numbers, text with a bar between labels,
    or columns of 0 and 1 that are named after the labels, `anger+joy`), and perhaps `text_b`.
    """

    name = "multi_label"
    schema = schema.TEXTS_WITH_LABELS
    scored_as = ("label sets",)
    gold_column = "labels"
    gold_name = "labels"
    label_column = "labels"
    features = ("marks",)
    takes_labels = True
    usual_metrics = ("micro_f1", "macro_f1")
    usual_format = "texts"
    columns = ("text_a", "labels")
    optional_columns = ("text_b",)
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("text_a", "text_b")}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        known, problems = set(task.labels), text_problems(table)
        for row, labels in enumerate(table["labels"].to_pylist()):
            for label in sorted(set(labels or ()) - known) if known else ():
                problems.append(f"row {row}: label {label!r} is not one of {', '.join(task.labels)}")
        return first_problems(problems)

    def has_gold(self, table: pa.Table) -> np.ndarray:
        """Return which rows have a list of labels; an empty list is gold, too."""
        found: np.ndarray = pc.is_valid(table["labels"]).to_numpy()
        return found

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        rows = np.arange(table.num_rows)
        if training:
            rows, table = select(table, self.has_gold(table))
        marks = [[int(label in set(found or ())) for label in task.labels] for found in table["labels"].to_pylist()]
        columns = {**text_features(table, tokenizer, lengths), "marks": pa.array(marks, pa.list_(pa.int32()))}
        return features(np.arange(len(rows)), rows, columns)

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        found = [self._labels(row, value, rows) for row, value in enumerate(rows.columns["labels"])]
        return {**hub_texts(rows), "labels": found}

    @staticmethod
    def _labels(row: int, value: Any, rows: HubRows) -> list[str] | None:
        """Return the names of the labels in one row; None if the row has no gold."""
        column = rows.source.columns["labels"]
        if value is None:
            return None
        if "+" in column:
            names = column.split("+")
            wrong = [mark for mark in value if str(mark) not in ("0", "1", "False", "True")]
            if wrong:
                rows.report(row, column, f"holds {wrong[0]!r}, expected 0 or 1 for each label")
            return [name for name, mark in zip(names, value, strict=True) if str(mark) in ("1", "True")]
        if isinstance(value, str):
            value = [part.strip() for part in value.split(BETWEEN) if part.strip()]
        classes = {**rows.classes, "label": rows.classes.get("labels")}
        named = HubRows(rows.columns, classes, rows.report, rows.source, rows.task)
        found = [label_name(label, named) for label in value]
        for label, name in zip(value, found, strict=True):
            if name is None or (rows.task.labels and name not in rows.task.labels):
                rows.report(row, column, rows.unknown(label, rows.task.labels or classes["label"] or ()))
        return [name for name in found if name]

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        return [[task.labels[label] for label in np.flatnonzero(output > 0)] for output in outputs]

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        return table["labels"].to_pylist() if table.num_rows and self.has_gold(table).all() else None

    def file(self, task: Task) -> PredictionFile:
        """Return the format of one JSON list per line."""
        return Lines(lambda line: _parse(line, task), lambda found: json.dumps(found, ensure_ascii=False), "jsonl")


register(MultiLabel())


def _parse(line: str, task: Task) -> list[str]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise ValueError(f"{line[:60]!r} is no JSON list of labels")
    if unknown := [label for label in found if task.labels and label not in task.labels]:
        raise ValueError(f"{unknown[0]!r} is none of {task.name}'s labels ({', '.join(task.labels)})")
    return found
