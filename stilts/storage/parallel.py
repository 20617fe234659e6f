"""Parallel requests to a store. One request to an object store takes tens of milliseconds, most of it waiting."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store

REQUESTS = 64
"""Requests at a time. Object stores answer thousands per second, but more threads slow each other down."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def parallel_map(
    store: Store, function: Callable[[Item], Answer], items: Iterable[Item], at_once: int = REQUESTS
) -> Iterator[Answer]:
    """Yield the answers in the order of the items. A file system is asked sequentially."""
    if isinstance(store, LocalStore):
        yield from map(function, items)
        return
    with ThreadPoolExecutor(at_once) as threads:
        yield from threads.map(function, items)


def parallel_each(
    store: Store, function: Callable[[Item], object], items: Iterable[Item], at_once: int = REQUESTS
) -> None:
    """Call a function for each item, as `parallel_map` does, and ignore the results."""
    for _ in parallel_map(store, function, items, at_once):
        pass
