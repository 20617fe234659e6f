"""Masked language modelling: replace tokens of a step (BERT, arXiv:1810.04805, section 3.1).

Of the tokens that are predicted, 80 % are replaced by the mask token, 10 % by a random token, and 10 % stay.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from stilts.train.features import Features, Ragged, offsets_of

DEFAULT_PROBABILITY = 0.15


def mask_tokens(
    step: Features, probability: float, special: Collection[int], mask_id: int, vocab_size: int, seed: tuple[int, ...]
) -> Features:
    """Choose and replace the tokens to be predicted in one step; a pure function of the rows and the seed.

    Args:
        step: the rows of one optimizer step over all ranks.
        probability: probability that a token is predicted; special tokens never are.
        seed: (seed of the data, number of the task's own step).

    Returns:
        The rows with `positions` and `labels` of the tokens to be predicted.
    """
    rng = np.random.default_rng(seed)
    ids, offsets = step.ids.values, step.ids.offsets
    drawn, kind = rng.random((2, len(ids)))
    hidden = (drawn < probability) & ~np.isin(ids, np.fromiter(special, dtype=ids.dtype))
    changed = np.where(hidden & (kind < 0.8), mask_id, ids)
    at_random = hidden & (kind >= 0.8) & (kind < 0.9)
    changed[at_random] = rng.integers(vocab_size, size=int(at_random.sum()))
    rows = np.repeat(np.arange(len(step)), step.ids.lengths)
    where = np.flatnonzero(hidden)
    counts = np.bincount(rows[where], minlength=len(step))
    return replace(
        step,
        ids=Ragged(changed.astype(ids.dtype), offsets),
        columns={
            **step.columns,
            "positions": Ragged(where - offsets[rows[where]], offsets_of(counts)),
            "labels": Ragged(ids[where], offsets_of(counts)),
        },
    )
