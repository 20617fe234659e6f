"""Kept counts: what was counted of a prediction file once is not counted again.

Counting a full grid takes minutes, drawing from the counts half a minute. Counts follow from predictions and gold, so
they are kept under the digests of both, in one Parquet file for what is predicted on the same examples. It is a
speed-up alone: the folder may be removed, and of what is not wanted any more nothing stays.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, EvaluationSpec
from stilts.results.items.counts import Counts
from stilts.results.table import parquet
from stilts.storage.local import LocalStore

VERSION = 1
"""Raised when `counts` counts otherwise."""

FOLDER = "counts"


class Kept:
    """Counts by the digest of their prediction file, in `FOLDER` of a results folder."""

    def __init__(self, results: Path) -> None:
        self._files = LocalStore(results / FOLDER)

    def read(self, spec: EvaluationSpec) -> dict[str, Counts]:
        """What is kept of predictions on the examples of an evaluation; nothing where it cannot be read."""
        content = self._files.read(_name(spec))
        if content is None:
            return {}
        try:
            columns = pq.read_table(pa.BufferReader(content))
        except (pa.ArrowException, OSError):
            return {}
        parts: dict[str, list[Counts]] = {}
        for name in columns.column_names:
            parts.setdefault(name.partition(".")[0], []).append(columns[name].to_numpy())
        return {name: np.stack(found, axis=-1) for name, found in parts.items()}

    def write(self, spec: EvaluationSpec, counts: Mapping[str, Counts]) -> None:
        """Keep these, and nothing else of these examples."""
        columns = {f"{name}.{i}": part for name, found in counts.items() for i, part in enumerate(found.T)}
        self._files.write(_name(spec), parquet(pa.table(columns)))


def _name(spec: EvaluationSpec) -> str:
    pool = None if spec.pool is None else spec.pool.identity
    key = digest([VERSION, spec.task, spec.task_version, spec.language, spec.data.identity, pool])
    return f"{spec.task}-{spec.split}-{spec.language}-{key[:SHORT]}.parquet"
