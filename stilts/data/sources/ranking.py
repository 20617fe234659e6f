"""Code shared by the readers of ranking tasks."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from stilts.data.sources.text import to_table
from stilts.errors import StiltsError
from stilts.tasks.schema import RANKING

Rows = Iterable[Mapping[str, Any]]


def ranking_table(path: Path, rows: Rows) -> pa.Table:
    """Make a table of rows of `schema.RANKING`, in which columns may be missing.

    Raises:
        StiltsError: there are no rows.
    """
    rows = list(rows)
    if not rows:
        raise StiltsError(f"{path}: nothing in it to rank")
    columns = {name: [row.get(name, [] if name == "keys" else "") for row in rows] for name in RANKING.names}
    return to_table(path, columns, RANKING)
