"""Family: what tasks of one shape share. Canonical examples -> features -> predictions, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from stilts.experiment.recipe import Recipe
from stilts.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_PROBLEMS = 20
"""Problems that `validate` reports of one table: enough to see the pattern."""


@dataclass(frozen=True)
class Lengths:
    """What of a recipe or of an evaluation's settings shapes features and answers. Units: subword tokens.

    Attributes:
        max_length: of one row, special tokens included.
        stride: question answering: by how many context tokens each window starts after the one before (run_squad's
            doc_stride); None: windows do not overlap.
        max_query_length: question answering: question tokens beyond this are cut.
        n_best: question answering: best start and end tokens of a window that are paired.
        max_answer_length: question answering: tokens of the longest answer.
        null_threshold: question answering: the answer is empty where the first token outscores the best span by more
            than this (in logits); None: every question has an answer.
    """

    max_length: int
    stride: int | None = None
    max_query_length: int | None = None
    n_best: int = 20
    max_answer_length: int = 30
    null_threshold: float | None = None

    @classmethod
    def of(cls, source: Recipe | Mapping[str, Any]) -> "Lengths":
        """The fields of this name in a recipe or in an evaluation's settings; the rest is ignored."""
        values = source if isinstance(source, Mapping) else source.model_dump()
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})


class Family(Protocol):
    """What tasks of one shape share.

    Attributes:
        schema: canonical examples (`tasks/schema.py`).
    """

    schema: pa.Schema

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        """Mistakes in canonical examples, each naming its row (from 0); at most MAX_PROBLEMS."""

    def encode(
        self,
        table: pa.Table,
        tokenizer: "PreTrainedTokenizerFast",
        task: Task,
        lengths: Lengths,
        training: bool,
    ) -> pa.Table:
        """Features: one row per input of the model.

        Columns of every family: `item` int32 (rows of one item are consecutive and count as one example),
        `example` int32 (row of `table`), `input_ids` list<int32> (special tokens included, at most
        `lengths.max_length`), `token_type_ids` list<int32> where the tokenizer has them.

        With `training`, rows without gold are left out; a question without answers has gold: it is unanswerable.

        Raises:
            StiltsError: `max_length` leaves no room for text.
        """

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[Any]:
        """One prediction per row of `table`, from one output of the head per row of `features`."""

    def gold(self, table: pa.Table, task: Task) -> list[Any] | None:
        """What `decode` should have returned for each row (question answering: all accepted answers); None where
        rows lack it."""
