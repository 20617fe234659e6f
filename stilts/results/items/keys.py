"""Keys of test items: which items of different languages are translations of each other.

The bootstrap gives items with the same key the same weight (see `bootstrap`). In a task that is declared `parallel`,
the key of an item is made of its id alone, so that translations share it. In other tasks no two languages share a key.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stilts.tasks.base import Task
from stilts.tasks.families import get_family

Keys = NDArray[np.uint64]
"""[items]: one key for each test item, in the order of its counts."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: its multiples are spread evenly over 64 bits (Knuth, volume 3, section 6.4)."""


def item_keys(task: Task, language: str, table: pa.Table, items: int) -> Keys:
    """The keys of a test set's items.

    Args:
        table: canonical examples.
        items: how many items they have.

    Raises:
        ValueError: the task is declared parallel, and its items are not known by an id each.
    """
    if not task.parallel:
        return mixed(np.uint64(_hashed(f"{task.name} {language}")), np.arange(items, dtype=np.uint64))
    keys = translated_keys(get_family(task.family).item_ids(table))
    if len(keys) != items:
        raise ValueError(f"task {task.name} is declared parallel, and has {len(keys)} ids for {items} items")
    return keys


def translated_keys(ids: Iterable[str]) -> Keys:
    """Keys of items that have the same ids in other languages.

    An id that occurs again within the language is another item: it has the key of its second occurrence elsewhere.
    """
    seen: dict[str, int] = {}
    keys = []
    for id_ in ids:
        seen[id_] = seen.get(id_, 0) + 1
        keys.append(_hashed(f"{id_} {seen[id_]}"))
    return np.array(keys, np.uint64)


def mixed(keys: Keys | np.uint64, numbers: Keys) -> Keys:
    """A hash of each key with each number, broadcast: SplitMix64 (Steele, Lea and Flood 2014, OOPSLA), whose state
    begins at the key."""
    words: Keys = keys + numbers * _GOLDEN
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words ^= words >> np.uint64(shift)
        words *= np.uint64(factor)
    words ^= words >> np.uint64(31)
    return words


def _hashed(text: str) -> int:
    """64 bits that depend on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
