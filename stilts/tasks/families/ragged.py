"""Ragged: rows of unequal length as views into one flat array. Cutting and picking rows copies nothing."""

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
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        values = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
        return cls.packed(values, lengths)

    @classmethod
    def packed(cls, values: np.ndarray, lengths: np.ndarray) -> "Ragged":
        """Rows that lie one after the other in `values`."""
        return cls(values, np.cumsum(lengths) - lengths, lengths)

    @classmethod
    def repeated(cls, row: Sequence[int], count: int) -> "Ragged":
        """The same row `count` times."""
        return cls(np.asarray(row, np.int32), np.zeros(count, np.int64), np.full(count, len(row), np.int64))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.starts[row] + self.lengths[row]]

    def take(self, rows: np.ndarray) -> "Ragged":
        return Ragged(self.values, self.starts[rows], self.lengths[rows])

    def cut(self, lengths: np.ndarray | int) -> "Ragged":
        """At most so many values of each row, from its start."""
        return Ragged(self.values, self.starts, np.minimum(self.lengths, lengths))

    def skip(self, counts: np.ndarray) -> "Ragged":
        """Each row without its first values."""
        counts = np.minimum(counts, self.lengths)
        return Ragged(self.values, self.starts + counts, self.lengths - counts)

    def like(self, values: np.ndarray) -> "Ragged":
        """The same rows of a parallel array."""
        return Ragged(values, self.starts, self.lengths)

    def flat(self) -> np.ndarray:
        """All rows, one after the other."""
        shift = self.starts - (np.cumsum(self.lengths) - self.lengths)
        return self.values[np.repeat(shift, self.lengths) + np.arange(int(self.lengths.sum()))]

    def arrow(self) -> pa.ListArray:
        """list<int32>."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(self.flat().astype(np.int32, copy=False)))


def stack(parts: Sequence[Ragged]) -> Ragged:
    """The rows of all parts, part after part."""
    bases = _bases(parts)
    return Ragged(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.starts + base for part, base in zip(parts, bases, strict=True)]),
        np.concatenate([part.lengths for part in parts]),
    )


def join(parts: Sequence[Ragged]) -> Ragged:
    """Row i of the result is row i of every part, end to end."""
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
