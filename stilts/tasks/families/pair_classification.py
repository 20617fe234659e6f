"""Pair classification: two texts, one class (XNLI, PAWS-X, MNLI, QQP, ANLI ...)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import bad_labels, empty_texts, first_problems, has_gold, select
from stilts.tasks.families.subwords import Frame, features, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class PairClassification:
    """Features add `label` int32; the head yields float32 [num_labels] per row; a prediction is a label."""

    schema = schema.CLASSIFICATION

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        problems = [*empty_texts(table, "text_a"), *empty_texts(table, "text_b")]
        return first_problems([*problems, *bad_labels(table, len(task.labels))])

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        rows = np.arange(table.num_rows)
        if training:
            rows, table = select(table, has_gold(table, task.family))
        frame = Frame(tokenizer, pair=True)
        first, second = tokenize(table["text_a"], tokenizer), tokenize(table["text_b"], tokenizer)
        keep_first, keep_second = longest_first(first.lengths, second.lengths, frame.room(lengths.max_length))
        columns = frame.columns(first.cut(keep_first), second.cut(keep_second))
        return features(np.arange(len(rows)), rows, {**columns, "label": table["label"]})

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[str]:
        return [task.labels[int(np.argmax(output))] for output in outputs]

    def gold(self, table: pa.Table, task: Task) -> list[str] | None:
        labels = table["label"].to_pylist()
        return None if min(labels, default=-1) < 0 else [task.labels[label] for label in labels]


def longest_first(first: np.ndarray, second: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens kept of each pair where the longer text is cut until both fit `room`."""
    short = np.minimum(np.minimum(first, second), room // 2)
    long = np.minimum(np.maximum(first, second), room - short)
    short = np.minimum(np.minimum(first, second), room - long)
    return np.where(first <= second, short, long), np.where(first <= second, long, short)
