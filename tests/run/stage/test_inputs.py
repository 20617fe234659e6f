"""Tables that a stage makes and keeps in the store."""

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import torch

from stilts.run.stage.inputs import in_turn, kept_table
from stilts.storage.local import LocalStore
from stilts.train.ranks import Ranks

ALONE = Ranks(0, 1, torch.device("cpu"))
PATH = "features/xnli-0123456789ab.arrow"


def attempt_of(folder: Path, ranks: Ranks = ALONE) -> Any:
    return SimpleNamespace(store=LocalStore(folder), ranks=ranks)


def test_a_table_is_made_once_and_shared_through_the_store(tmp_path: Path) -> None:
    made = []

    def make() -> pa.Table:
        made.append(1)
        return pa.table({"a": [1, 2]}).replace_schema_metadata({b"x": b"y"})

    for _ in range(3):
        found = kept_table(attempt_of(tmp_path), PATH, make)
        assert found.to_pydict() == {"a": [1, 2]}
        assert found.schema.metadata == {b"x": b"y"}
    assert len(made) == 1
    assert kept_table(attempt_of(tmp_path, replace(ALONE, rank=1)), PATH, make).num_rows == 2
    assert len(made) == 1


def test_another_rank_writes_nothing(tmp_path: Path) -> None:
    found = kept_table(attempt_of(tmp_path, replace(ALONE, rank=1)), PATH, lambda: pa.table({"a": [1]}))
    assert found.num_rows == 1
    assert not (tmp_path / PATH).exists()


def test_the_leader_makes_the_next_while_one_is_used() -> None:
    started = [threading.Event() for _ in range(3)]

    def make(number: int) -> int:
        started[number].set()
        assert threading.current_thread() is not threading.main_thread()
        return number

    for number, made in enumerate(in_turn(ALONE, [lambda i=i: make(i) for i in range(3)])):
        assert made == number
        if number < 2:
            assert started[number + 1].wait(30)


def test_the_other_ranks_make_each_after_the_leader() -> None:
    threads = []
    ranks = replace(ALONE, rank=1)
    made = list(in_turn(ranks, [lambda: threads.append(threading.current_thread()) or 5]))
    assert made == [5]
    assert threads == [threading.main_thread()]


def test_an_error_is_raised_at_its_turn() -> None:
    def fail() -> int:
        raise ValueError("second")

    found = in_turn(ALONE, [lambda: 1, fail, lambda: 3])
    assert next(found) == 1
    with pytest.raises(ValueError, match="second"):
        next(found)
