"""Multiple choice: a context and its candidate continuations (HellaSwag, Cosmos QA, CommonsenseQA, XCOPA ...)."""

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
from stilts.tasks.families.hub import NO_LABEL, HubRows, kind_of
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features, list_lengths, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class MultipleChoice(Family):
    """A prediction is the index of a choice. The features have one row per choice; the rows of a question share `item`
    and `label` int32 (index of the right choice). The head returns float32 [1] per row.

    On the hub: `text_a`, `choices`, `label`; optionally `question` (appended to text_a) and `prefix` (text that every
    choice continues).
    """

    name = "multiple_choice"
    schema = schema.MULTIPLE_CHOICE
    scored_as = ("labels",)
    gold_column = "label"
    features = ("label",)
    splits_examples = True
    usual_metrics = ("accuracy",)
    columns = ("text_a", "choices", "label")
    optional_columns = ("question", "prefix")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("text_a", "choices")}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table, task.choices))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, self.has_gold(table))
        questions = np.repeat(np.arange(len(examples)), list_lengths(table["choices"]))
        frame = Frame(tokenizer, pair=True)
        room = frame.room(lengths.max_length)
        choices = tokenize(pc.list_flatten(table["choices"]), tokenizer).cut(room)
        # The choice is what differs between the rows of a question, so the context is cut.
        contexts = tokenize(table["text_a"], tokenizer).take(questions).cut(room - choices.lengths)
        columns = {**frame.columns(contexts, choices), "label": table["label"].take(questions)}
        return features(questions, examples[questions], columns)

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        columns = rows.columns
        contexts = columns["text_a"]
        starts = columns.get("prefix") or [""] * len(contexts)
        if "question" in columns:
            contexts = [prompt(*pair) for pair in zip(contexts, columns["question"], strict=True)]
        return {
            "text_a": contexts,
            "choices": [continuations(start, ends) for start, ends in zip(starts, columns["choices"], strict=True)],
            "label": rows.labels(lambda value: _choice_number(value, rows)),
        }

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

    def file(self, task: Task) -> PredictionFile:
        """Return the format `{"label": index}` per line, as the leaderboards of HellaSwag and XTREME-R take it."""
        return Lines(_parse_choice, lambda choice: json.dumps({"label": int(choice)}), suffix="jsonl")


register(MultipleChoice())


def continuations(start: str, endings: Sequence[str]) -> list[str]:
    """Return HellaSwag's choices: each ending, appended to the beginning of the sentence unless that is empty."""
    return [f"{start} {ending}" if start else ending for ending in endings]


def prompt(context: str, question: str) -> str:
    """Return a context followed by the question on it. COPA's questions are the words `cause` and `effect`."""
    return f"{context} {f'What was the {question}?' if question in ('cause', 'effect') else question}"


def _choice_number(value: Any, rows: HubRows) -> int | str:
    """Return the index of the right choice, -1 if there is none, or what is wrong with the value."""
    if value in NO_LABEL or value in ("", None):
        return -1
    if rows.source.labels is not None:
        return rows.mapped(value)
    if str(value).isdecimal():
        return int(value)
    return f"is {kind_of(value)}, expected the number of a choice, from 0"


def _parse_choice(line: str) -> str:
    try:
        label = json.loads(line)["label"]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f'{line[:60]!r} is not a JSON object with a "label"') from None
    if not isinstance(label, int) or isinstance(label, bool) or label < 0:
        raise ValueError(f"label {label!r} is not the index of a choice")
    return str(label)


def _problems(table: pa.Table, expected: int | None) -> list[str]:
    problems = []
    columns = (table["text_a"].to_pylist(), table["choices"].to_pylist(), table["label"].to_pylist())
    for row, (context, choices, label) in enumerate(zip(*columns, strict=True)):
        if not context:
            problems.append(f"row {row}: text_a is empty")
        if len(choices) < 2 or not all(choices):
            problems.append(f"row {row}: {len(choices)} choices, at least two are needed and none may be empty")
        elif expected is not None and len(choices) != expected:
            problems.append(f"row {row}: {len(choices)} choices, the task has {expected}")
        if not -1 <= label < len(choices):
            problems.append(f"row {row}: label {label} is not one of its {len(choices)} choices")
    return problems
