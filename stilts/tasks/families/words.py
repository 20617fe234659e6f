"""Words to subwords: sentences as rows of whole words, and the first subword of each word.

What tagging, parsing and semantic role labelling share: a word's vector is its first subword's, and a sentence over
the length becomes several pieces, split between words, so that no word is ever dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks.base import Task
from stilts.tasks.families.ragged import Ragged
from stilts.tasks.families.subwords import list_lengths, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NO_LABEL = -100
"""What torch's cross entropy ignores."""


@dataclass(frozen=True)
class Pieces:
    """Sentences cut between words.

    Attributes:
        sentence: int64 [pieces], row of the table.
        first: int64 [pieces], the first word's number among the words of the whole table.
        counts: int64 [pieces], words.
        offsets: int64 [pieces], the first word's number within its sentence.
        subwords: of each piece, without special tokens.
        positions: first subword of each word, from 0 within its piece.
    """

    sentence: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    offsets: np.ndarray
    subwords: Ragged
    positions: Ragged

    def __len__(self) -> int:
        return len(self.sentence)

    def of_words(self, values: np.ndarray) -> Ragged:
        """The part of each piece in an array that has one value a word of the table."""
        return Ragged(values, self.first, self.counts)


def cut_sentences(
    tokens: pa.ChunkedArray, tokenizer: "PreTrainedTokenizerFast", room: int | np.ndarray, longest_word: int
) -> Pieces:
    """Cut sentences into pieces.

    Args:
        tokens: list<string>, the words of each sentence.
        room: most subwords of a piece; one number, or one for each sentence.
        longest_word: most subwords of a word, at most the room; the rest of the word is not read.
    """
    words = word_subwords(pc.list_flatten(tokens), tokenizer, longest_word)
    counts = list_lengths(tokens)
    sentences = Ragged.packed(words.lengths, counts)
    rooms = np.broadcast_to(room, len(sentences)).tolist()
    cuts = np.array(list(_cuts(sentences, rooms)), np.int64).reshape(-1, 3)
    sentence, first, pieces = cuts.T
    ends = np.concatenate([[0], np.cumsum(words.lengths)])
    begins = ends[first]
    return Pieces(
        sentence=sentence,
        first=first,
        counts=pieces,
        offsets=first - sentences.starts[sentence],
        subwords=Ragged(words.flat(), begins, ends[first + pieces] - begins),
        positions=Ragged.packed(Ragged(ends[:-1], first, pieces).flat() - np.repeat(begins, pieces), pieces),
    )


def word_subwords(words: pa.ChunkedArray | pa.Array, tokenizer: "PreTrainedTokenizerFast", longest: int) -> Ragged:
    """At least one and at most `longest` subwords of each word."""
    # The space makes a word-initial subword of the word in byte-level vocabularies too; others ignore it.
    ids = tokenize(pc.binary_join_element_wise("", words, " "), tokenizer).cut(longest)
    unknown = len(ids.values)
    return Ragged(
        np.append(ids.values, np.int32(tokenizer.unk_token_id)),
        np.where(ids.lengths == 0, unknown, ids.starts),
        np.maximum(ids.lengths, 1),
    )


def word_labels(table: pa.Table, column: str, task: Task) -> np.ndarray:
    """The label of every word of the table, one after the other; NO_LABEL in sentences without gold.

    Args:
        column: list<string>, one of the task's labels for each of `tokens`.
    """
    counts = list_lengths(table["tokens"])
    labelled = np.repeat(list_lengths(table[column]) == counts, counts)
    labels = np.full(int(counts.sum()), NO_LABEL, np.int32)
    found = pc.index_in(pc.list_flatten(table[column]), value_set=pa.array(task.labels, pa.string()))
    labels[labelled] = pc.fill_null(found, NO_LABEL).to_numpy()
    return labels


def is_labelled(table: pa.Table, column: str) -> bool:
    """Whether there are sentences, and each has one entry of a gold column for every word."""
    return table.num_rows > 0 and np.array_equal(list_lengths(table[column]), list_lengths(table["tokens"]))


def _cuts(sentences: Ragged, rooms: list[int]) -> Iterator[tuple[int, int, int]]:
    """(sentence, first word, words) of each piece; `sentences` holds the subword counts of all words."""
    for sentence, room in enumerate(rooms):
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
