"""Masked language modelling: raw sentences. The masked tokens are drawn in training, from the seed and the step."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from stilts.experiment.recipe import Recipe
from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import empty_texts
from stilts.tasks.families.hub import HubRows
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 1_000_000
"""Sentences in one Arrow chunk: the offsets of a list<int32> array have 32 bits."""


class MaskedLanguageModelling(Family):
    """One truncated sentence per row. There are no predictions and no gold. On the hub: `text`."""

    name = "mlm"
    schema = schema.MLM
    raw_text = True
    usual_metrics = ("loss",)
    usual_recipe: ClassVar[Mapping[str, Any]] = {"mlm_probability": 0.15, "selection": "last"}
    usual_format = "text"
    columns = ("text",)

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

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        return {"text": [text.strip() for text in rows.columns["text"] if text.strip()]}

    def predicted_share(self, task: Task, recipe: Recipe) -> float:
        return recipe.mlm_probability or float(task.recipe["mlm_probability"])

    def gold(self, table: pa.Table, task: Task) -> None:
        return None


register(MaskedLanguageModelling())


def framed(texts: pa.ChunkedArray, tokenizer: "PreTrainedTokenizerFast", lengths: Lengths) -> dict[str, pa.Array]:
    """Return the feature columns of single texts with their special tokens, truncated to the maximum length."""
    frame = Frame(tokenizer)
    return dict(frame.columns(tokenize(texts, tokenizer).cut(frame.room(lengths.max_length))))
