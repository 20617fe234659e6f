"""Retrieval: sentences of two sides, each encoded by itself; the search is `evaluate/mining`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import empty_texts, first_problems, rows_where
from stilts.tasks.families.mlm import framed
from stilts.tasks.families.subwords import features

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SIDES = ("en", "foreign")


class Retrieval:
    """Features add `side` string; the encoder yields float32 [hidden] per row. Nothing is trained."""

    schema = schema.RETRIEVAL

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        unknown = rows_where(pc.invert(pc.is_in(table["side"], value_set=pa.array(SIDES))))
        sides = [f"row {row}: side {table['side'][row].as_py()!r} is neither en nor foreign" for row in unknown]
        return first_problems([*sides, *empty_texts(table, "text")])

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        rows = np.arange(table.num_rows)
        return features(rows, rows, {**framed(table["text"], tokenizer, lengths), "side": table["side"]})

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[str]:
        raise TypeError("retrieval searches among all rows: see evaluate/evaluation.py")

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        """The ids of each row's translations; None where no row has any."""
        gold = table["gold"].to_pylist()
        return gold if any(gold) else None
