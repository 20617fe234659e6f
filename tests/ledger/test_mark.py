"""The mark of a store: given once, the same for all, and missed where another folder is seen."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.ledger.mark import check_mark, mark_of
from stilts.storage.local import LocalStore


def test_a_store_keeps_the_mark_of_the_first_who_asks(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        marks = set(threads.map(lambda _: mark_of(LocalStore(tmp_path / "a")), range(8)))
    assert len(marks) == 1
    assert mark_of(LocalStore(tmp_path / "b")) not in marks


def test_a_node_that_sees_the_store_passes(tmp_path: Path) -> None:
    check_mark(LocalStore(tmp_path), mark_of(LocalStore(tmp_path)))


def test_a_node_that_sees_nothing_or_another_store_is_told_so(tmp_path: Path) -> None:
    mark = mark_of(LocalStore(tmp_path / "a"))
    with pytest.raises(StiltsError, match="it finds nothing at"):
        check_mark(LocalStore(tmp_path / "b"), mark)
    assert not (tmp_path / "b").exists()
    mark_of(LocalStore(tmp_path / "b"))
    with pytest.raises(StiltsError, match="it finds another store at"):
        check_mark(LocalStore(tmp_path / "b"), mark)
