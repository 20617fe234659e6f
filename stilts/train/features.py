"""The columns of a features table as numpy arrays, from which rows can be taken."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from stilts.tasks.families import get_family

IGNORED = -100
"""The label of a token that has none."""

BLOCK = 32
"""Maximum number of pairs that are each other's negatives: with SQuAD's questions and paragraphs, about what one
micro-batch of the default budget holds. A block is processed by one rank: 32 pairs of `batch_size` per rank keep all
ranks busy."""


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
    """A features table with `n` rows, each a sequence of tokens.

    Attributes:
        family: the task's family.
        ids: input ids with special tokens.
        item: int [n], from 0, ascending: number of the item that a row belongs to.
        choice: int [n]: number of a row within its item.
        types: token type ids; None if the tokenizer has none.
        columns: the columns in `Family.features` that the table has: int [n], or lists.
        block: int [n], ascending: pairs that are contrasted with each other (see `in_blocks`), or None.
        language: int [n], index into `languages`; None if the table names none.
    """

    family: str
    ids: Ragged
    item: np.ndarray
    choice: np.ndarray
    types: Ragged | None = None
    columns: Mapping[str, np.ndarray | Ragged] = field(default_factory=dict)
    language: np.ndarray | None = None
    block: np.ndarray | None = None
    languages: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: pa.Table, family: str) -> "Features":
        """Read a features table. Consecutive rows with the same `item` (and `language`) are one item."""
        language, languages = _codes(table["language"]) if "language" in table.column_names else (None, ())
        item, choice = _items(table["item"].to_numpy(), language)
        read = [name for name in get_family(family).features if name in table.column_names]
        return cls(
            family=family,
            ids=Ragged.of(table["input_ids"]),
            item=item,
            choice=choice,
            types=Ragged.of(table["token_type_ids"]) if "token_type_ids" in table.column_names else None,
            columns={name: _column(table[name]) for name in read},
            language=language,
            languages=languages,
        )

    def __len__(self) -> int:
        return len(self.item)

    def take(self, rows: ArrayLike) -> "Features":
        """Return the rows in the given order; rows of an item keep their numbers."""
        rows = np.asarray(rows, dtype=np.int64)

        return replace(
            self,
            ids=self.ids.take(rows),
            item=self.item[rows],
            choice=self.choice[rows],
            types=None if self.types is None else self.types.take(rows),
            columns={name: c.take(rows) if isinstance(c, Ragged) else c[rows] for name, c in self.columns.items()},
            language=None if self.language is None else self.language[rows],
            block=None if self.block is None else self.block[rows],
        )

    def numbers(self, name: str) -> np.ndarray:
        """Return a column that has one number per row."""
        column = self.columns[name]
        assert isinstance(column, np.ndarray), name
        return column

    def lists(self, name: str) -> Ragged:
        """Return a column that has a list per row."""
        column = self.columns[name]
        assert isinstance(column, Ragged), name
        return column

    @property
    def together(self) -> np.ndarray:
        """int [n]: rows of one number share a micro-batch."""
        return self.item if self.block is None else self.block

    @property
    def units(self) -> int:
        """Number of terms in the mean of the loss: labelled tokens if there is a column `labels`, else items."""
        if "labels" in self.columns:
            return int((self.lists("labels").values != IGNORED).sum())
        return int((self.choice == 0).sum())


def in_blocks(rows: Features) -> Features:
    """Number the pairs of one optimizer step from 0 and divide them into blocks.

    Within a block, every text is a negative of every query that it does not belong to. A step has the smallest number
    of blocks of at most BLOCK pairs, of about equal size. They depend on the step's items alone and are never split, so
    that neither the number of ranks nor micro-batches change what is contrasted.
    """
    pair = np.cumsum(rows.choice == 0) - 1
    pairs = int(pair[-1]) + 1
    return replace(rows, item=pair, block=pair * math.ceil(pairs / BLOCK) // pairs)


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, tuple[str, ...]]:
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), tuple(encoded.dictionary.to_pylist())


def _column(column: pa.ChunkedArray) -> np.ndarray | Ragged:
    return Ragged.of(column) if pa.types.is_list(column.type) else column.to_numpy()


def _items(item: np.ndarray, language: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Consecutive item numbers, and each row's number within its item."""
    starts = np.ones(len(item), dtype=bool)
    starts[1:] = item[1:] != item[:-1]
    if language is not None:
        starts[1:] |= language[1:] != language[:-1]
    number = np.cumsum(starts) - 1
    return number, np.arange(len(item)) - np.flatnonzero(starts)[number]
