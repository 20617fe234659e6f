"""Pair classification: two texts and one class (XNLI, PAWS-X, MNLI, QQP, ANLI ...)."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import bad_labels, empty_texts, first_problems, select
from stilts.tasks.families.files import Lines, PredictionFile, known_label
from stilts.tasks.families.hub import NO_LABEL, HubRows
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class PairClassification(Family):
    """A prediction is a label. The head returns float32 [num_labels] per row of the features, which add `label` int32.

    On the hub: `text_a`, `text_b`, `label`.
    """

    name = "classification"
    schema = schema.CLASSIFICATION
    scored_as = ("labels",)
    gold_column = "label"
    features = ("label",)
    takes_labels = True
    usual_metrics = ("accuracy",)
    usual_format = "pairs"
    columns = ("text_a", "text_b", "label")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("text_a", "text_b")}
    # Pairs of SNLI without a majority, and two pairs of QQP.
    hub_requirements: ClassVar[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
        "no label": lambda row: row["label"] >= 0,
        "not two texts": lambda row: bool(row["text_a"].strip() and row["text_b"].strip()),
    }

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        problems = [*empty_texts(table, "text_a"), *empty_texts(table, "text_b")]
        return first_problems([*problems, *bad_labels(table, len(task.labels))])

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        rows = np.arange(table.num_rows)
        if training:
            rows, table = select(table, self.has_gold(table))
        frame = Frame(tokenizer, pair=True)
        first, second = tokenize(table["text_a"], tokenizer), tokenize(table["text_b"], tokenizer)
        keep_first, keep_second = longest_first(first.lengths, second.lengths, frame.room(lengths.max_length))
        columns = frame.columns(first.cut(keep_first), second.cut(keep_second))
        return features(np.arange(len(rows)), rows, {**columns, "label": table["label"]})

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        texts = {name: rows.columns[name] for name in ("text_a", "text_b")}
        return {**texts, "label": rows.labels(lambda value: _label_number(value, rows))}

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[str]:
        return [task.labels[int(np.argmax(output))] for output in outputs]

    def gold(self, table: pa.Table, task: Task) -> list[str] | None:
        labels = table["label"].to_pylist()
        return None if min(labels, default=-1) < 0 else [task.labels[label] for label in labels]

    def file(self, task: Task) -> PredictionFile:
        return Lines(lambda line: known_label(line, task))


register(PairClassification())


def longest_first(first: np.ndarray, second: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens kept of each pair where the longer text is cut until both fit `room`."""
    short = np.minimum(np.minimum(first, second), room // 2)
    long = np.minimum(np.maximum(first, second), room - short)
    short = np.minimum(np.minimum(first, second), room - long)
    return np.where(first <= second, short, long), np.where(first <= second, long, short)


def _label_number(value: Any, rows: HubRows) -> int | str:
    """Return the index of a label among the task's, or what is wrong with it.

    The index comes from the source's own map, from the data set's name of the class, or is the value itself.
    """
    labels, classes = rows.task.labels, rows.classes["label"]
    if value in NO_LABEL or value is None:
        return -1
    if rows.source.labels is not None:
        return rows.mapped(value)
    name = str(value)
    if classes is not None and isinstance(value, int):
        if not 0 <= value < len(classes):
            return rows.unknown(value, classes)
        name = classes[value]
    if name in labels:
        return labels.index(name)
    if isinstance(value, int) and 0 <= value < len(labels):
        return value
    return rows.unknown(name, labels)
