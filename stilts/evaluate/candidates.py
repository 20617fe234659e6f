"""The pool of candidates that ranking tasks search. It is encoded once for all evaluations that share it."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import pyarrow as pa

from stilts.evaluate.mining import Matrix
from stilts.tasks.families.dual_encoder import candidates_of


class Pool:
    """The candidates that rankings search. The first ranking encodes them, so a pool belongs to one state of one model.

    Attributes:
        table: canonical examples, each candidate once.
        names: names of the candidates, in the order of the vectors.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = candidates_of(table)
        self.names: list[str] = self.table["candidate"].to_pylist()
        self._vectors: dict[str, Matrix] = {}

    def renewed(self) -> "Pool":
        """The same candidates without vectors, for other weights."""
        pool = copy(self)
        pool._vectors = {}
        return pool

    def vectors(self, settings: Mapping[str, Any], encode: Callable[[], Matrix]) -> Matrix:
        """Return the vectors under these settings, float32 [candidates, hidden]. Only the latest are kept."""
        name = repr(sorted(settings.items()))
        if name not in self._vectors:
            self._vectors = {name: encode()}
        return self._vectors[name]
