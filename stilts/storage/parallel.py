"""Many requests to a store at once: one to an object store takes tens of milliseconds, mostly of waiting."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store

REQUESTS = 64
"""At once. Object stores answer thousands in a second; more threads than these hinder each other."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def parallel_map(
    store: Store, ask: Callable[[Item], Answer], items: Iterable[Item], at_once: int = REQUESTS
) -> Iterator[Answer]:
    """The answers in the order of the items; from a file system, one after the other."""
    if isinstance(store, LocalStore):
        yield from map(ask, items)
        return
    with ThreadPoolExecutor(at_once) as threads:
        yield from threads.map(ask, items)


def parallel_each(store: Store, tell: Callable[[Item], object], items: Iterable[Item], at_once: int = REQUESTS) -> None:
    """As `parallel_map`, where there is nothing to be answered."""
    for _ in parallel_map(store, tell, items, at_once):
        pass
