"""A cache of the counts of prediction files, in the results folder.

Counting the predictions of a full grid takes minutes, resampling the counts half a minute. Counts depend on predictions
and gold alone, so they are cached under the digests of both, in one Parquet file for all predictions on the same
examples. The folder can be removed at any time. Writing a file drops the counts that are not needed any more.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stilts.errors import StiltsError
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, EvaluationSpec
from stilts.results.items.counts import Counts
from stilts.results.table import parquet
from stilts.storage.local import RESULTS, LocalStore

VERSION = 2
"""To be raised when `counts` changes what it counts."""

FOLDER = "counts"


class Kept:
    """The cache in `FOLDER` of a results folder: counts by the digest of their prediction file."""

    def __init__(self, results: Path) -> None:
        self._files = LocalStore(results / FOLDER, RESULTS)

    def read(self, spec: EvaluationSpec) -> dict[str, Counts]:
        """The cached counts of predictions on an evaluation's examples; empty if there are none that can be read."""
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
        """Replace the cached counts of predictions on an evaluation's examples by these."""
        columns = {f"{name}.{i}": part for name, found in counts.items() for i, part in enumerate(found.T)}
        with contextlib.suppress(StiltsError):  # it only saves time: the tables can be made without it
            self._files.write(_name(spec), parquet(pa.table(columns)))


def _name(spec: EvaluationSpec) -> str:
    pool = None if spec.pool is None else spec.pool.identity
    own = [] if spec.definition is None else [spec.definition]
    key = digest([VERSION, spec.task, spec.task_version, spec.language, spec.data.identity, pool, *own])
    return f"{spec.task}-{spec.split}-{spec.language}-{key[:SHORT]}.parquet"
