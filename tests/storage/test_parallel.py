"""Many requests: their order, how many are made at a time, and errors."""

import threading
import time
from pathlib import Path
from typing import cast

import pytest

from stilts.storage.local import LocalStore
from stilts.storage.parallel import parallel_each, parallel_map
from stilts.storage.protocol import Store

BUCKET = cast(Store, object())
"""Stands for any store that is not a local one: only its class is looked at."""


class Busy:
    """A request of 10 ms that notes how many are made at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.guard = threading.Lock()

    def __call__(self, item: int) -> int:
        with self.guard:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.01 * (item % 3))
        with self.guard:
            self.now -= 1
        return item * item


def test_answers_come_in_the_order_of_the_items() -> None:
    busy = Busy()
    assert list(parallel_map(BUCKET, busy, range(40), 8)) == [item * item for item in range(40)]
    assert 1 < busy.most <= 8


def test_a_file_system_is_asked_one_at_a_time(tmp_path: Path) -> None:
    busy = Busy()
    assert list(parallel_map(LocalStore(tmp_path), busy, range(10))) == [item * item for item in range(10)]
    assert busy.most == 1


def test_every_item_is_done_and_an_error_is_raised() -> None:
    done: list[int] = []
    parallel_each(BUCKET, done.append, range(10))
    assert sorted(done) == list(range(10))
    with pytest.raises(ZeroDivisionError):
        parallel_each(BUCKET, lambda item: 1 // item, [1, 0])
