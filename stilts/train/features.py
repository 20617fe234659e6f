"""Features: the columns of a features table as numpy arrays, ready to be taken from by row."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

IGNORED = -100
"""Label of a token that has none."""

BLOCK = 32
"""Most pairs that are each other's negatives: with SQuAD's questions and paragraphs about as much as one micro-batch of
the default budget holds. A block is the work of one rank: `batch_size` of 32 pairs a rank keeps all of them busy."""


@dataclass(frozen=True)
class Ragged:
    """A column of lists: row i is `values[offsets[i]:offsets[i + 1]]`."""

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Ragged":
        array = column.combine_chunks()
        values, offsets = array.values.to_numpy(zero_copy_only=False), array.offsets.to_numpy(zero_copy_only=False)
        return cls(values[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype(np.int64))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: ArrayLike) -> "Ragged":
        """The rows in the given order."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[rows]
        return Ragged(self.values[spans(self.offsets[rows], lengths)], offsets_of(lengths))


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Offsets [n + 1] of lists with these lengths laid end to end."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """start, start + 1, ... for each pair of start and length, laid end to end."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)


@dataclass(frozen=True)
class Features:
    """A features table; `n` rows, one a sequence of tokens.

    Attributes:
        family: the task's family.
        ids: input ids with special tokens.
        item: int [n], from 0, ascending: number of the item that a row belongs to.
        choice: int [n]: number of a row within its item.
        types: token type ids; None where the tokenizer gives none.
        label: int [n]: class, or index of the right choice.
        positions, labels: tokens that are classified and their labels (tagging, parsing, srl, MLM).
        heads: for each of these words, the number of its head (parsing).
        start, end: int [n]: token indices of the answer.
        block: int [n], ascending: pairs that are contrasted with each other (see `in_blocks`); None elsewhere.
        language: int [n], index into `languages`; None where the table names none.
    """

    family: str
    ids: Ragged
    item: np.ndarray
    choice: np.ndarray
    types: Ragged | None = None
    label: np.ndarray | None = None
    positions: Ragged | None = None
    labels: Ragged | None = None
    heads: Ragged | None = None
    start: np.ndarray | None = None
    end: np.ndarray | None = None
    language: np.ndarray | None = None
    block: np.ndarray | None = None
    languages: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: pa.Table, family: str) -> "Features":
        """Read a features table. Neighbouring rows with the same `item` (and `language`) are one item."""
        language, languages = _codes(table["language"]) if "language" in table.column_names else (None, ())
        item, choice = _items(table["item"].to_numpy(), language)

        def ragged(name: str) -> Ragged | None:
            return Ragged.of(table[name]) if name in table.column_names else None

        def column(name: str) -> np.ndarray | None:
            return table[name].to_numpy() if name in table.column_names else None

        return cls(
            family=family,
            ids=Ragged.of(table["input_ids"]),
            item=item,
            choice=choice,
            types=ragged("token_type_ids"),
            label=column("label"),
            positions=ragged("positions"),
            labels=ragged("labels"),
            heads=ragged("heads"),
            start=column("start"),
            end=column("end"),
            language=language,
            languages=languages,
        )

    def __len__(self) -> int:
        return len(self.item)

    def take(self, rows: ArrayLike) -> "Features":
        """The rows in the given order; rows of an item keep their numbers."""
        rows = np.asarray(rows, dtype=np.int64)

        def ragged(column: Ragged | None) -> Ragged | None:
            return None if column is None else column.take(rows)

        def plain(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        return replace(
            self,
            ids=self.ids.take(rows),
            item=self.item[rows],
            choice=self.choice[rows],
            types=ragged(self.types),
            label=plain(self.label),
            positions=ragged(self.positions),
            labels=ragged(self.labels),
            heads=ragged(self.heads),
            start=plain(self.start),
            end=plain(self.end),
            language=plain(self.language),
            block=plain(self.block),
        )

    @property
    def together(self) -> np.ndarray:
        """int [n]: rows of one number share a micro-batch."""
        return self.item if self.block is None else self.block

    @property
    def units(self) -> int:
        """What the mean of the loss is taken over: items, or labelled tokens."""
        if self.labels is not None:
            return int((self.labels.values != IGNORED).sum())
        return int((self.choice == 0).sum())


def in_blocks(rows: Features) -> Features:
    """The pairs of one optimizer step, renumbered from 0 and parted into blocks, inside which every text is a negative
    of every query that it does not belong to.

    A step has as few blocks of at most BLOCK pairs as hold it, alike in size. They follow from the step's items alone
    and are never split, so that neither ranks nor micro-batches change what is contrasted.
    """
    pair = np.cumsum(rows.choice == 0) - 1
    pairs = int(pair[-1]) + 1
    return replace(rows, item=pair, block=pair * math.ceil(pairs / BLOCK) // pairs)


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), tuple(encoded.dictionary.to_pylist())


def _items(item: np.ndarray, language: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Consecutive item numbers, and each row's number within its item."""
    starts = np.ones(len(item), dtype=bool)
    starts[1:] = item[1:] != item[:-1]
    if language is not None:
        starts[1:] |= language[1:] != language[:-1]
    number = np.cumsum(starts) - 1
    return number, np.arange(len(item)) - np.flatnonzero(starts)[number]
