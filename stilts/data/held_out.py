"""Held-out dev sets: a part of the training examples becomes the dev set of a task that has none of its own."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stilts.errors import StiltsError

_DRAW = 5021
"""Seed of the draw. It is the same for every seed of an experiment, so that all runs are compared on one dev set."""


def held_out(examples: pa.Table, count: int, name: str) -> tuple[pa.Table, pa.Table]:
    """Split training examples at random into those that are trained on and those of the dev set.

    The draw depends on the number of examples alone. Therefore parallel training sets of several languages hold out the
    same examples. Examples about a context that occurs in the dev set (question answering) are in neither part. If ids
    repeat in the dev set, as in TyDiQA's training data, they are made distinct, because answers are scored by id.

    Args:
        count: number of examples of the dev set.
        name: name of the data, for the message.

    Returns:
        The remaining training examples and the dev set, both in the order of `examples`.

    Raises:
        StiltsError: no training example would remain.
    """
    rows = examples.num_rows
    drawn = np.zeros(rows, dtype=bool)
    drawn[np.random.default_rng(_DRAW).permutation(rows)[:count]] = True
    dev, kept = examples.filter(pa.array(drawn)), ~drawn
    if "context" in examples.column_names:
        kept &= ~np.asarray(pc.is_in(examples["context"], value_set=dev["context"].combine_chunks()))
    if not kept.any():
        raise StiltsError(
            f"{name}: held_out: {count} leaves none of its {rows} training examples; hold out fewer of them"
        )
    return examples.filter(pa.array(kept)), _with_distinct_ids(dev)


def _with_distinct_ids(dev: pa.Table) -> pa.Table:
    """Append the row number to all ids if some of them repeat."""
    if "id" not in dev.column_names or len(pc.unique(dev["id"])) == dev.num_rows:
        return dev
    ids = [f"{name}-{row}" for row, name in enumerate(dev["id"].to_pylist(), 1)]
    return dev.set_column(
        dev.column_names.index("id"), dev.schema.field("id"), pa.array(ids, dev.schema.field("id").type)
    )
