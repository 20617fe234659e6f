"""Tagging: one tag for each word, predicted from its first subword (UD-POS, PAN-X, CCG)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Family, Lengths
from stilts.tasks.families.checks import check_columns_of_words, first_problems, select
from stilts.tasks.families.files import PredictionFile, WordLines, known_label
from stilts.tasks.families.hub import HubRows, tag_columns
from stilts.tasks.families.registry import register
from stilts.tasks.families.subwords import Frame, features
from stilts.tasks.families.words import cut_sentences, is_labelled, word_labels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Tagging(Family):
    """A prediction is a list of tags. Features add `positions` list<int32> (first subword of each word) and `labels`
    list<int32> (NO_LABEL: none). The head returns float32 [len(positions), num_labels] per row.

    A sentence over the maximum length becomes several rows, split between words: separate items of the same `example`.
    On the hub: `tokens`, `tags`.
    """

    name = "tagging"
    schema = schema.TAGGING
    scored_as = ("words", "entities")
    gold_column = "tags"
    label_column = "tags"
    tag_column = "tags"
    features = ("positions", "labels")
    splits_examples = True
    takes_labels = True
    usual_format = "tags"
    columns = ("tokens", "tags")
    noise: ClassVar[Mapping[str, tuple[str, ...]]] = {"all": ("tokens",)}

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(check_columns_of_words(table, "tags", set(task.labels)))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, self.has_gold(table))
        frame = Frame(tokenizer)
        room = frame.room(lengths.max_length)
        pieces = cut_sentences(table["tokens"], tokenizer, room, room)
        positions = pieces.positions
        columns = {
            **frame.columns(pieces.subwords),
            "positions": positions.like(positions.values + frame.prefix).arrow(),
            "labels": pieces.of_words(word_labels(table, "tags", task.labels)).arrow(),
        }
        return features(np.arange(len(pieces)), examples[pieces.sentence], columns)

    def from_hub(self, rows: HubRows) -> dict[str, list[Any]]:
        return tag_columns(rows)

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        tags: list[list[str]] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            tags[example].extend(task.labels[best] for best in np.argmax(output, axis=1))
        return tags

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        return table["tags"].to_pylist() if is_labelled(table, "tags") else None

    def file(self, task: Task) -> PredictionFile:
        return WordLines(task.name, lambda line: known_label(line, task))


register(Tagging())
