"""Masked language modelling: raw sentences. What is masked is drawn in training, from the seed and the step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import empty_texts
from stilts.tasks.families.subwords import Frame, features, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 1_000_000
"""Sentences of one Arrow chunk: the values of a list<int32> array are counted by 32 bits."""


class MaskedLanguageModelling:
    """One sentence a row, truncated; there are no predictions and there is no gold."""

    schema = schema.MLM

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return empty_texts(table, "text")

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        parts = []
        for begin in range(0, max(table.num_rows, 1), CHUNK):
            columns = framed(table["text"].slice(begin, CHUNK), tokenizer, lengths)
            rows = begin + np.arange(len(columns["input_ids"]))
            parts.append(features(rows, rows, columns))
        return pa.concat_tables(parts)

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[str]:
        raise TypeError("masked language modelling makes no predictions")

    def gold(self, table: pa.Table, task: Task) -> None:
        return None


def framed(texts: pa.ChunkedArray, tokenizer: "PreTrainedTokenizerFast", lengths: Lengths) -> dict[str, pa.Array]:
    """The columns of single texts with their special tokens, cut to the length."""
    frame = Frame(tokenizer)
    return dict(frame.columns(tokenize(texts, tokenizer).cut(frame.room(lengths.max_length))))
