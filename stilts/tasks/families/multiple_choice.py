"""Multiple choice: a context and its candidate continuations (HellaSwag, Cosmos QA, CommonsenseQA, XCOPA ...)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import first_problems, has_gold, select
from stilts.tasks.families.subwords import Frame, features, list_lengths, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class MultipleChoice:
    """One row per choice, the rows of a question share `item` and `label` int32 (index of the right choice); the
    head yields float32 [1] per row; a prediction is the index of a choice."""

    schema = schema.MULTIPLE_CHOICE

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, has_gold(table, task.family))
        questions = np.repeat(np.arange(len(examples)), list_lengths(table["choices"]))
        frame = Frame(tokenizer, pair=True)
        room = frame.room(lengths.max_length)
        choices = tokenize(pc.list_flatten(table["choices"]), tokenizer).cut(room)
        # The choice is what differs between the rows of a question: the context gives way.
        contexts = tokenize(table["text_a"], tokenizer).take(questions).cut(room - choices.lengths)
        columns = {**frame.columns(contexts, choices), "label": table["label"].take(questions)}
        return features(questions, examples[questions], columns)

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[int]:
        scores: list[list[float]] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            scores[example].append(float(output[0]))
        return [int(np.argmax(row)) for row in scores]

    def gold(self, table: pa.Table, task: Task) -> list[int] | None:
        labels = table["label"].to_pylist()
        return None if min(labels, default=-1) < 0 else labels


def _problems(table: pa.Table) -> list[str]:
    problems = []
    columns = (table["text_a"].to_pylist(), table["choices"].to_pylist(), table["label"].to_pylist())
    for row, (context, choices, label) in enumerate(zip(*columns, strict=True)):
        if not context:
            problems.append(f"row {row}: text_a is empty")
        if len(choices) < 2 or not all(choices):
            problems.append(f"row {row}: {len(choices)} choices, at least two are needed and none may be empty")
        if not -1 <= label < len(choices):
            problems.append(f"row {row}: label {label} is not one of its {len(choices)} choices")
    return problems
