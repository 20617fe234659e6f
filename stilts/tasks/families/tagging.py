"""Tagging: one tag a word, on the word's first subword (UD-POS, PAN-X, CCG; parsing and SRL cast as tagging)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families.base import Lengths
from stilts.tasks.families.checks import first_problems
from stilts.tasks.families.ragged import Ragged
from stilts.tasks.families.subwords import Frame, features, list_lengths, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NO_LABEL = -100
"""What torch's cross entropy ignores."""


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
            tagged = list_lengths(table["tags"]) > 0
            examples, table = examples[tagged], table.filter(pa.array(tagged))
        frame = Frame(tokenizer)
        room = frame.room(lengths.max_length)
        words = _words(pc.list_flatten(table["tokens"]), tokenizer, room)
        sentences = Ragged.packed(words.lengths, list_lengths(table["tokens"]))
        parts = np.array(list(_split(sentences, room)), np.int64).reshape(-1, 3)
        rows, first_word, word_counts = parts.T
        ends = np.concatenate([[0], np.cumsum(words.lengths)])
        begins = ends[first_word]
        subwords = Ragged(words.flat(), begins, ends[first_word + word_counts] - begins)
        positions = Ragged(ends[:-1], first_word, word_counts).flat() - np.repeat(begins, word_counts) + frame.prefix
        columns = {
            **frame.columns(subwords),
            "positions": Ragged.packed(positions, word_counts).arrow(),
            "labels": Ragged(_labels(table, task), first_word, word_counts).arrow(),
        }
        return features(np.arange(len(rows)), examples[rows], columns)

    def decode(
        self, table: pa.Table, features: pa.Table, outputs: Sequence[np.ndarray], task: Task, lengths: Lengths
    ) -> list[list[str]]:
        tags: list[list[str]] = [[] for _ in range(table.num_rows)]
        for example, output in zip(features["example"].to_pylist(), outputs, strict=True):
            tags[example].extend(task.labels[best] for best in np.argmax(output, axis=1))
        return tags

    def gold(self, table: pa.Table, task: Task) -> list[list[str]] | None:
        complete = np.array_equal(list_lengths(table["tags"]), list_lengths(table["tokens"]))
        return table["tags"].to_pylist() if table.num_rows and complete else None


def _words(words: pa.ChunkedArray | pa.Array, tokenizer: "PreTrainedTokenizerFast", room: int) -> Ragged:
    """At least one and at most `room` subwords of each word."""
    # The space makes a word-initial subword of the word in byte-level vocabularies too; others ignore it.
    ids = tokenize(pc.binary_join_element_wise("", words, " "), tokenizer).cut(room)
    unknown = len(ids.values)
    return Ragged(
        np.append(ids.values, np.int32(tokenizer.unk_token_id)),
        np.where(ids.lengths == 0, unknown, ids.starts),
        np.maximum(ids.lengths, 1),
    )


def _split(sentences: Ragged, room: int) -> Iterator[tuple[int, int, int]]:
    """(sentence, first word, words) of each row; `sentences` holds the subword counts of all words."""
    for sentence in range(len(sentences)):
        first = int(sentences.starts[sentence])
        used = words = 0
        for length in sentences[sentence].tolist():
            if used + length > room:
                yield sentence, first, words
                first, used, words = first + words, 0, 0
            used += length
            words += 1
        if words:
            yield sentence, first, words


def _labels(table: pa.Table, task: Task) -> np.ndarray:
    """The label of every word of the table, one after the other."""
    counts = list_lengths(table["tokens"])
    tagged = np.repeat(list_lengths(table["tags"]) == counts, counts)
    labels = np.full(int(counts.sum()), NO_LABEL, np.int32)
    tags = pc.index_in(pc.list_flatten(table["tags"]), value_set=pa.array(task.labels, pa.string()))
    labels[tagged] = pc.fill_null(tags, NO_LABEL).to_numpy()
    return labels


def _problems(table: pa.Table, labels: set[str]) -> Iterator[str]:
    for row, (tokens, tags) in enumerate(zip(table["tokens"].to_pylist(), table["tags"].to_pylist(), strict=True)):
        if not tokens:
            yield f"row {row}: the sentence has no tokens"
        if tags and len(tags) != len(tokens):
            yield f"row {row}: {len(tokens)} tokens but {len(tags)} tags"
        for tag in sorted(set(tags) - labels):
            yield f"row {row}: tag {tag!r} is not one of {', '.join(sorted(labels))}"
