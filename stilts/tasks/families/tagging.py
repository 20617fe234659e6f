"""Tagging: one tag a word, on the word's first subword (UD-POS, PAN-X, CCG)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import first_problems, has_gold, select
from stilts.tasks.families.subwords import Frame, features
from stilts.tasks.families.words import cut_sentences, is_labelled, word_labels

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Tagging:
    """Features add `positions` list<int32> (first subword of each word) and `labels` list<int32> (NO_LABEL: none);
    the head yields float32 [len(positions), num_labels] per row; a prediction is a list of tags.

    A sentence over the length becomes several rows (items of their own, same `example`), split between words.
    """

    schema = schema.TAGGING

    def validate(self, table: pa.Table, task: Task) -> list[str]:
        return first_problems(_problems(table, set(task.labels)))

    def encode(
        self, table: pa.Table, tokenizer: "PreTrainedTokenizerFast", task: Task, lengths: Lengths, training: bool
    ) -> pa.Table:
        examples = np.arange(table.num_rows)
        if training:
            examples, table = select(table, has_gold(table, task.family))
        frame = Frame(tokenizer)
        room = frame.room(lengths.max_length)
        pieces = cut_sentences(table["tokens"], tokenizer, room, room)
        positions = pieces.positions
        columns = {
            **frame.columns(pieces.subwords),
            "positions": positions.like(positions.values + frame.prefix).arrow(),
            "labels": pieces.of_words(word_labels(table, "tags", task)).arrow(),
        }
        return features(np.arange(len(pieces)), examples[pieces.sentence], columns)

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        tags: list[list[str]] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            tags[example].extend(task.labels[best] for best in np.argmax(output, axis=1))
        return tags

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        return table["tags"].to_pylist() if is_labelled(table, "tags") else None


def _problems(table: pa.Table, labels: set[str]) -> Iterator[str]:
    for row, (tokens, tags) in enumerate(zip(table["tokens"].to_pylist(), table["tags"].to_pylist(), strict=True)):
        if not tokens:
            yield f"row {row}: the sentence has no tokens"
        if tags and len(tags) != len(tokens):
            yield f"row {row}: {len(tokens)} tokens but {len(tags)} tags"
        for tag in sorted(set(tags) - labels) if labels else ():
            yield f"row {row}: tag {tag!r} is not one of {', '.join(sorted(labels))}"
