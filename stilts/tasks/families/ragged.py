"""Ragged: rows of different lengths as views into one flat array. Selecting and cutting rows copies no values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Ragged:
    """Row i is `values[starts[i] : starts[i] + lengths[i]]`; rows may overlap and repeat."""

    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        """Build from sequences of integers; the values are stored as int32."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        values = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        return cls.packed(values, lengths)

    @classmethod
    def packed(cls, values: np.ndarray, lengths: np.ndarray) -> "Ragged":
        """Build from rows that are concatenated in `values`."""
        return cls(values, np.cumsum(lengths) - lengths, lengths)

    @classmethod
    def repeated(cls, row: Sequence[int], count: int) -> "Ragged":
        """Build `count` copies of one row."""
        return cls(np.asarray(row, np.int32), np.zeros(count, np.int64), np.full(count, len(row), np.int64))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.starts[row] + self.lengths[row]]

    def take(self, rows: np.ndarray) -> "Ragged":
        """Select rows by index."""
        return Ragged(self.values, self.starts[rows], self.lengths[rows])

    def cut(self, lengths: np.ndarray | int) -> "Ragged":
        """Cut each row to at most `lengths` values, counted from its start."""
        return Ragged(self.values, self.starts, np.minimum(self.lengths, lengths))

    def skip(self, counts: np.ndarray) -> "Ragged":
        """Drop the first `counts` values of each row."""
        counts = np.minimum(counts, self.lengths)
        return Ragged(self.values, self.starts + counts, self.lengths - counts)

    def like(self, values: np.ndarray) -> "Ragged":
        """The rows at the same places of another array, which is parallel to `self.values`."""
        return Ragged(values, self.starts, self.lengths)

    def flat(self) -> np.ndarray:
        """Concatenate all rows to one array."""
        shift = self.starts - (np.cumsum(self.lengths) - self.lengths)
        return self.values[np.repeat(shift, self.lengths) + np.arange(int(self.lengths.sum()))]

    def arrow(self) -> pa.ListArray:
        """Convert to an Arrow array of type list<int32>."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(self.flat().astype(np.int32, copy=False)))


def stack(parts: Sequence[Ragged]) -> Ragged:
    """Concatenate parts: all rows of the first part, then all rows of the second, and so on."""
    bases = _bases(parts)
    return Ragged(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.starts + base for part, base in zip(parts, bases, strict=True)]),
        np.concatenate([part.lengths for part in parts]),
    )


def join(parts: Sequence[Ragged]) -> Ragged:
    """Join parts row by row: row i of the result is the concatenation of row i of every part."""
    bases = _bases(parts)
    pieces = Ragged(
        np.concatenate([part.values for part in parts]),
        np.stack([part.starts + base for part, base in zip(parts, bases, strict=True)], axis=1).ravel(),
        np.stack([part.lengths for part in parts], axis=1).ravel(),
    )
    return Ragged.packed(pieces.flat(), pieces.lengths.reshape(-1, len(parts)).sum(axis=1))


def _bases(parts: Iterable[Ragged]) -> np.ndarray:
    sizes = np.array([len(part.values) for part in parts], np.int64)
    return np.cumsum(sizes) - sizes
