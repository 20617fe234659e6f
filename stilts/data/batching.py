"""Which examples an optimizer step takes, and how their tokens are laid out in rows and micro-batches.

Invariants: the items of a step depend on (seed, epoch, batch size) alone, never on the number of ranks or on memory;
an item's sequences share one micro-batch; every rank gets the same number of micro-batches, some of them perhaps empty.
"""

import heapq
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Row = list[int]
"""Indices of the sequences that share a row of tokens."""
MicroBatch = list[Row]
"""Rows of one forward and backward pass; empty where a rank has nothing left to do."""


def epoch_order(items: int, seed: int, epoch: int) -> np.ndarray:
    """Permutation [items] of an epoch, a pure function of its arguments."""
    return np.random.default_rng((seed, epoch)).permutation(items)


def language_order(languages: np.ndarray, exponent: float, seed: int, epoch: int) -> np.ndarray:
    """An epoch in which language l fills a share of places proportional to size_l ** exponent (XLM, arXiv:1901.07291).

    Within a language items come without replacement; a language that needs more than it has starts a new permutation.

    Args:
        languages: int [items], the language of each item.
        exponent: 1 keeps the sizes, 0 gives every language the same share.

    Returns:
        Indices [items] into the items.
    """
    rng = np.random.default_rng((seed, epoch))
    codes, sizes = np.unique(languages, return_counts=True)
    counts = largest_remainders(sizes.astype(np.float64) ** exponent, len(languages))
    drawn = []
    for code, size, count in zip(codes, sizes, counts, strict=True):
        members = np.flatnonzero(languages == code)
        rounds = [rng.permutation(size) for _ in range(math.ceil(count / size))]
        if rounds:
            drawn.append(members[np.concatenate(rounds)[:count]])
    return rng.permutation(np.concatenate(drawn))


def largest_remainders(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers proportional to the weights that add up to `total`: largest remainders."""
    exact = weights / weights.sum() * total
    counts = np.floor(exact).astype(np.int64)
    remainders = np.argsort(counts - exact, kind="stable")
    counts[remainders[: total - counts.sum()]] += 1
    return counts


class Sampler:
    """The items of every optimizer step.

    Args:
        items: number of items.
        batch_size: items of one step; the last step of an epoch takes what is left.
        languages: int [items] with `exponent` for sampling by language; None: every item once an epoch.
    """

    def __init__(
        self,
        items: int,
        batch_size: int,
        seed: int,
        languages: np.ndarray | None = None,
        exponent: float | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.steps_per_epoch = math.ceil(items / batch_size)

        @lru_cache(maxsize=1)
        def order(epoch: int) -> np.ndarray:
            if languages is None or exponent is None:
                return epoch_order(items, seed, epoch)
            return language_order(languages, exponent, seed, epoch)

        self._order = order

    def epoch(self, epoch: int) -> np.ndarray:
        """Indices of the items of an epoch (from 0), in their order."""
        return self._order(epoch)

    def step(self, step: int) -> np.ndarray:
        """Indices of the items of step number `step` (from 0)."""
        epoch, index = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]


def pack(lengths: Sequence[int], max_length: int) -> list[Row]:
    """First-fit, longest first, of sequences into rows of `max_length` tokens.

    Raises:
        ValueError: a sequence is longer than a row.
    """
    rows: list[Row] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if length > max_length:
            raise ValueError(f"a sequence of {length} tokens does not fit a row of {max_length}")
        for row, free in enumerate(room):
            if length <= free:
                rows[row].append(index)
                room[row] -= length
                break
        else:
            rows.append([index])
            room.append(max_length - length)
    return rows


def split_packed(
    lengths: Sequence[int], items: Sequence[int], max_length: int, budget: int, world: int
) -> list[list[MicroBatch]]:
    """Lay the sequences of one step out in packed rows, balanced over ranks.

    Args:
        lengths: tokens of each sequence.
        items: item of each sequence; equal neighbours belong together.
        max_length: tokens of a row.
        budget: padded tokens of one micro-batch; exceeded only by an item that alone is larger.
        world: ranks.

    Returns:
        For each rank its micro-batches, as many for each.
    """
    groups = _groups(items)
    sizes = [sum(lengths[i] for i in group) for group in groups]
    rows_each = max(1, budget // max_length)
    most = math.ceil(len(groups) / world)  # a group each
    for count in range(min(most, math.ceil(sum(sizes) / (world * rows_each * max_length))), most + 1):
        bins = _balance(groups, sizes, count * world)
        packed = [_pack_bin(members, lengths, max_length) for members in bins]
        if all(len(rows) <= rows_each for rows in packed):
            break
    return [packed[rank::world] for rank in range(world)]


def _groups(items: Sequence[int]) -> list[list[int]]:
    groups: list[list[int]] = []
    for index, item in enumerate(items):
        if index and item == items[index - 1]:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _balance(groups: list[list[int]], sizes: list[int], bins: int) -> list[list[int]]:
    """Deal groups to bins, largest first, each to the bin with the fewest tokens."""
    loads = [(0, index) for index in range(bins)]
    members: list[list[int]] = [[] for _ in range(bins)]
    for group in sorted(range(len(groups)), key=lambda g: (-sizes[g], g)):
        load, index = loads[0]
        members[index] += groups[group]
        heapq.heapreplace(loads, (load + sizes[group], index))
    return members


def _pack_bin(members: list[int], lengths: Sequence[int], max_length: int) -> MicroBatch:
    return [[members[i] for i in row] for row in pack([lengths[m] for m in members], max_length)]


def split_padded(lengths: Sequence[int], items: Sequence[int], budget: int, world: int) -> list[list[MicroBatch]]:
    """The same for models that cannot be packed: one sequence a row, micro-batches of similar lengths.

    Arguments and result are those of `split_packed`.
    """
    groups = _groups(items)
    longest = [max(lengths[i] for i in group) for group in groups]
    order = sorted(range(len(groups)), key=lambda g: (-longest[g], g))
    ranks = [_cut([groups[g] for g in order[rank::world]], lengths, budget) for rank in range(world)]
    count = max(len(batches) for batches in ranks)
    return [batches + [[] for _ in range(count - len(batches))] for batches in ranks]


def _cut(groups: list[list[int]], lengths: Sequence[int], budget: int) -> list[MicroBatch]:
    """Cut groups, longest first, into micro-batches of at most `budget` padded tokens."""
    batches: list[MicroBatch] = []
    width = 0
    for group in groups:
        if not batches or (len(batches[-1]) + len(group)) * width > budget:
            batches.append([])
            width = max(lengths[i] for i in group)
        batches[-1] += [[index] for index in group]
    return batches
