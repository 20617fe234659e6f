"""The tables `curves` and `selection`."""

import pyarrow as pa

from stilts.plan.expand import Expansion
from stilts.results.learning.curves import curves_table
from stilts.results.learning.selection import selection_table
from stilts.results.learning.stages import used_stages
from stilts.storage.protocol import Store


def learning_tables(expansion: Expansion, store: Store) -> dict[str, pa.Table]:
    """Compute the tables `curves` and `selection` of an experiment from the current content of its store."""
    stages = used_stages(expansion, store)
    return {"curves": curves_table(stages), "selection": selection_table(stages)}
