"""Batching: selects the examples of each optimizer step and arranges their tokens in rows and micro-batches.

An *item* is what one loss term is computed for: an example, or a group of sequences such as the choices of a question.

Invariants: the items of a step depend only on (seed, epoch, batch size), never on the number of ranks or on memory; all
sequences of an item are in one micro-batch; every rank gets the same number of micro-batches, of which some may be
empty.
"""

import heapq
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Row = list[int]
"""Indices of the sequences that are packed into one row of tokens."""
MicroBatch = list[Row]
"""Rows of one forward and backward pass; empty for a rank that has fewer of them than other ranks."""


def epoch_order(items: int, seed: int, epoch: int) -> np.ndarray:
    """Random order of the items in one epoch: a permutation [items] that depends only on the arguments."""
    return np.random.default_rng((seed, epoch)).permutation(items)


def language_order(languages: np.ndarray, exponent: float, seed: int, epoch: int) -> np.ndarray:
    """Random order of one epoch in which language l gets a share proportional to size_l ** exponent.

    This is the sampling of XLM (arXiv:1901.07291). Items of a language are drawn without replacement. If a language
    needs more items than it has, it continues with a new permutation of its items.

    Args:
        languages: int [items], the language of each item.
        exponent: 1 keeps the proportions of the data, 0 gives all languages equal shares.

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
    """Integers that add up to `total` and are proportional to the weights, rounded by the largest-remainder method."""
    exact = weights / weights.sum() * total
    counts = np.floor(exact).astype(np.int64)
    remainders = np.argsort(counts - exact, kind="stable")
    counts[remainders[: total - counts.sum()]] += 1
    return counts


class Sampler:
    """Selects the items of every optimizer step.

    Args:
        items: number of items.
        batch_size: number of items in one step. The last step of an epoch may have fewer.
        languages: int [items], the language of each item. With `exponent`, items are sampled as in `language_order`;
            without, every item is used once per epoch.
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
        """Indices of the items of an epoch (counted from 0), in their order."""
        return self._order(epoch)

    def step(self, step: int) -> np.ndarray:
        """Indices of the items of an optimizer step (counted from 0)."""
        epoch, index = divmod(step, self.steps_per_epoch)
        return self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]


def pack(lengths: Sequence[int], max_length: int) -> list[Row]:
    """Pack sequences into rows of `max_length` tokens by first-fit decreasing bin packing.

    Returns:
        Rows of indices into `lengths`.

    Raises:
        ValueError: a sequence is longer than a row.
    """
    rows: list[Row] = []
    room: list[int] = []
    before, place = 0, 0
    for index in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist():
        length = lengths[index]
        if length > max_length:
            raise ValueError(f"a sequence of {length} tokens does not fit a row of {max_length}")
        if length != before:  # a row that had no room for a sequence has none for others of its length
            before, place = length, 0
        while place < len(room) and room[place] < length:
            place += 1
        if place == len(room):
            rows.append([])
            room.append(max_length)
        rows[place].append(index)
        room[place] -= length
    return rows


def split_packed(
    lengths: Sequence[int], items: Sequence[int], max_length: int, budget: int, world: int
) -> list[list[MicroBatch]]:
    """Pack the sequences of one step into rows and micro-batches, balanced over the ranks.

    Args:
        lengths: number of tokens of each sequence.
        items: item of each sequence. Neighbours with equal values belong to one item.
        max_length: number of tokens in a row.
        budget: maximum number of padded tokens in a micro-batch. Only a single item that is larger may exceed it.
        world: number of ranks.

    Returns:
        A list of micro-batches for each rank; all lists have the same length.
    """
    groups = _groups(items)
    sizes = [sum(lengths[i] for i in group) for group in groups]
    rows_each = max(1, budget // max_length)
    most = math.ceil(len(groups) / world)  # one group per micro-batch
    for count in range(min(most, math.ceil(sum(sizes) / (world * rows_each * max_length))), most + 1):
        packed = []
        for members in _balance(groups, sizes, count * world):
            packed.append(_pack_bin(members, lengths, max_length))
            if len(packed[-1]) > rows_each and count < most:
                break
        else:
            break
    return [packed[rank::world] for rank in range(world)]


def _groups(items: Sequence[int]) -> list[list[int]]:
    """Indices of neighbours with equal values."""
    starts = np.flatnonzero(np.diff(np.asarray(items, dtype=np.int64), prepend=-1)).tolist()
    return [list(range(begin, end)) for begin, end in zip(starts, [*starts[1:], len(items)], strict=False)]


def _balance(groups: list[list[int]], sizes: list[int], bins: int) -> list[list[int]]:
    """Distribute groups over bins: the largest group first, each to the bin that has the fewest tokens so far."""
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
    """Split the sequences of one step into micro-batches for models that do not support packing.

    Every row holds one sequence, and sequences of similar length share a micro-batch, so that little padding is needed.
    Arguments and result are the same as those of `split_packed`.
    """
    groups = _groups(items)
    longest = [max(lengths[i] for i in group) for group in groups]
    order = sorted(range(len(groups)), key=lambda g: (-longest[g], g))
    ranks = [_cut([groups[g] for g in order[rank::world]], lengths, budget) for rank in range(world)]
    count = max(len(batches) for batches in ranks)
    return [batches + [[] for _ in range(count - len(batches))] for batches in ranks]


def split_widths(
    lengths: Sequence[int], items: Sequence[int], classes: Sequence[tuple[int, int]], world: int
) -> list[list[MicroBatch]]:
    """Split the sequences of one step into padded micro-batches of a few shapes.

    The sequences are taken in the order of their length, the longest first. A micro-batch gets the smallest width that
    holds its first sequence, and as many rows as its class has.

    Args:
        lengths, items, world: as in `split_packed`.
        classes: (width, rows) in ascending order of the width. Only a single item of more rows may exceed `rows`.
    """
    groups = _groups(items)
    longest = [max(lengths[i] for i in group) for group in groups]
    order = sorted(range(len(groups)), key=lambda g: (-longest[g], g))
    ranks: list[list[MicroBatch]] = []
    for rank in range(world):
        batches: list[MicroBatch] = []
        room = 0
        for number in order[rank::world]:
            if not batches or len(batches[-1]) + len(groups[number]) > room:
                batches.append([])
                room = next(rows for width, rows in classes if width >= longest[number])
            batches[-1] += [[index] for index in groups[number]]
        ranks.append(batches)
    count = max(len(batches) for batches in ranks)
    return [batches + [[] for _ in range(count - len(batches))] for batches in ranks]


def _cut(groups: list[list[int]], lengths: Sequence[int], budget: int) -> list[MicroBatch]:
    """Divide groups, which are sorted by descending length, into micro-batches of at most `budget` padded tokens."""
    batches: list[MicroBatch] = []
    width = 0
    for group in groups:
        if not batches or (len(batches[-1]) + len(group)) * width > budget:
            batches.append([])
            width = max(lengths[i] for i in group)
        batches[-1] += [[index] for index in group]
    return batches
