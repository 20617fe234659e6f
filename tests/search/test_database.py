"""Errors of the study's database: those that pass are waited for; the others end the search cleanly."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stilts.search import database
from stilts.search.proposals import Proposals
from tests.search.drivers import Driver, Open


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process has the database file for itself."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "study.db"


def test_a_locked_database_is_waited_for(search: Open, file: Path) -> None:
    driver = Driver(search(f"search.study=sqlite:///{file}?timeout=0.05"))
    lock = locked(file)
    lock.__enter__()
    begin = time.monotonic()
    threading.Timer(0.7, lambda: lock.__exit__(None, None, None)).start()
    driver.offer()
    assert time.monotonic() - begin > 0.5
    assert driver.states() == ["RUNNING"]
    assert driver.proposals.broken is None


def test_a_database_that_stays_away_ends_the_search_cleanly(
    search: Open, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs is stopped, which writes its resume state, and the same search goes on later."""
    monkeypatch.setattr(database, "DATABASE_SECONDS", 0.3)
    found = search(f"search.study=sqlite:///{file}?timeout=0.05")
    driver = Driver(found)
    running = driver.offer()
    stops: list[str] = []
    driver.proposals = Proposals(found, driver.study, driver.declared, driver.said.append, stop=stops.append)
    assert driver.offer() == running
    with locked(file):
        assert not driver.proposals.reported(running, {"curve": [(10, 50.0)]})
        assert driver.proposals.offer() is None
    assert stops == ["the search cannot go on"]
    assert driver.proposals.away
    assert driver.proposals.broken is not None
    assert "does not answer" in driver.proposals.broken
    assert "database is locked" in driver.proposals.broken
    assert "study.db" in driver.proposals.broken
    again = Driver(found)
    assert again.offer() == running
    again.train(running, [(10, 50.0), (40, 60.0)])
    assert again.states() == ["COMPLETE"]


def test_a_run_that_is_stopped_does_not_wait_for_the_database(search: Open, file: Path) -> None:
    driver = Driver(search(f"search.study=sqlite:///{file}?timeout=0.05"))
    storage = driver.study._storage
    assert isinstance(storage, database.RetryingStorage)
    storage.stopping = lambda: True
    begin = time.monotonic()
    with locked(file):
        assert driver.proposals.offer() is None
    assert time.monotonic() - begin < 10
    assert driver.proposals.away


def test_a_full_disk_of_the_database_is_told_at_once(search: Open, file: Path) -> None:
    driver = Driver(search(f"search.study=sqlite:///{file}"))
    driver.offer()
    engine = driver.study._storage._storage._backend.engine
    with engine.connect() as connection:  # no page more than there are
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    from sqlalchemy import event

    event.listen(engine, "connect", lambda raw, record: raw.execute(f"PRAGMA max_page_count = {pages}"))
    engine.dispose()
    begin = time.monotonic()

    def fill() -> None:
        for number in range(200):
            driver.study.set_user_attr(f"note{number}", "x" * 2000)

    with pytest.raises(database.DatabaseAway, match=r"study\.db\) cannot be written; its disk is full: free some"):
        fill()
    assert time.monotonic() - begin < 30
