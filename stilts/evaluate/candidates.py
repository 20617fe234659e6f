"""Pool: what rankings search, encoded once for all that search it."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from stilts.tasks.families.dual_encoder import candidates_of


class Pool:
    """The candidates that rankings search, encoded by the first of them. It belongs to one model as it stands."""

    def __init__(self, table: pa.Table) -> None:
        self.table = candidates_of(table)
        self.names: list[str] = self.table["candidate"].to_pylist()
        self._vectors: dict[str, np.ndarray] = {}

    def vectors(self, settings: Mapping[str, Any], encode: Callable[[pa.Table], np.ndarray]) -> np.ndarray:
        """float32 [candidates, hidden]"""
        name = repr(sorted(settings.items()))
        if name not in self._vectors:
            self._vectors = {name: encode(self.table)}
        return self._vectors[name]

    def right(self) -> dict[str, list[str]]:
        """The candidates of each key."""
        found: dict[str, list[str]] = defaultdict(list)
        for candidate, keys in zip(self.names, self.table["keys"].to_pylist(), strict=True):
            for key in keys:
                found[key].append(candidate)
        return found
