"""Subwords of sentences that are given as words, for tagging, parsing and semantic role labelling.

The vector of a word is the vector of its first subword. A sentence that is longer than the maximum length is split
between words into several pieces, so that no word is dropped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.tasks.families.ragged import Ragged
from stilts.tasks.families.subwords import list_lengths, tokenize

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NO_LABEL = -100
"""Label that torch's cross entropy ignores."""


@dataclass(frozen=True)
class Pieces:
    """Sentences that are split between words into pieces.

    Attributes:
        sentence: int64 [pieces], row of the sentence in the table.
        first: int64 [pieces], index of the first word among the words of the whole table.
        counts: int64 [pieces], number of words.
        offsets: int64 [pieces], index of the first word within its sentence.
        subwords: subword ids of each piece, without special tokens.
        positions: index of the first subword of each word within its piece.
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
        """Select the values of each piece's words from an array with one value per word of the table."""
        return Ragged(values, self.first, self.counts)


def cut_sentences(
    tokens: pa.ChunkedArray, tokenizer: "PreTrainedTokenizerFast", room: int | np.ndarray, longest_word: int
) -> Pieces:
    """Split sentences between words into pieces.

    Args:
        tokens: list<string>, the words of each sentence.
        room: maximum number of subwords of a piece; one number, or one per sentence.
        longest_word: maximum number of subwords of a word, not more than `room`; further subwords are dropped.
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
    """The first `longest` subwords of each word; the unknown token for a word without any.

    A tokenizer over bytes may have no unknown token (EuroBERT), because it has a subword for every word that is not
    empty. Its separator, or the end of a text, stands for a word without any.
    """
    # With the leading space, byte-level vocabularies also use the subword for the beginning of a word. Other
    # vocabularies ignore the space.
    ids = tokenize(pc.binary_join_element_wise("", words, " "), tokenizer).cut(longest)
    unknown = len(ids.values)
    known = (tokenizer.unk_token_id, tokenizer.sep_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    stands_in = next(id_ for id_ in known if id_ is not None)
    return Ragged(
        np.append(ids.values, np.int32(stands_in)),
        np.where(ids.lengths == 0, unknown, ids.starts),
        np.maximum(ids.lengths, 1),
    )


def word_labels(table: pa.Table, column: str, names: Sequence[str]) -> np.ndarray:
    """Index of the label of each word of the table, int32 [words]; NO_LABEL in sentences without gold labels.

    Args:
        column: name of a list<string> column with one label for each of `tokens`.
        names: the labels in the order of their indices.
    """
    counts = list_lengths(table["tokens"])
    labelled = np.repeat(list_lengths(table[column]) == counts, counts)
    labels = np.full(int(counts.sum()), NO_LABEL, np.int32)
    found = pc.index_in(pc.list_flatten(table[column]), value_set=pa.array(names, pa.string()))
    labels[labelled] = pc.fill_null(found, NO_LABEL).to_numpy()
    return labels


def is_labelled(table: pa.Table, column: str) -> bool:
    """Whether the table has sentences and each of them has one entry of a gold column for every word."""
    return table.num_rows > 0 and np.array_equal(list_lengths(table[column]), list_lengths(table["tokens"]))


def _cuts(sentences: Ragged, rooms: list[int]) -> Iterator[tuple[int, int, int]]:
    """(sentence, first word, number of words) of each piece; `sentences` holds the number of subwords of each word."""
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
