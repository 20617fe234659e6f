"""The uploader: order, errors, fencing, and a store that is away for a while."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.run.stage import uploader as module
from stilts.run.stage.uploader import Uploader
from stilts.storage.lease import LeaseLost
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Unreachable
from stilts.train.ranks import Preempted


def held() -> None:
    """The lease is held."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


@pytest.fixture
def uploader() -> Iterator[Uploader]:
    with Uploader(held) as found:
        yield found


def test_writes_happen_in_order_beside_the_stage(uploader: Uploader, tmp_path: Path) -> None:
    store, begun, go_on = LocalStore(tmp_path), threading.Event(), threading.Event()
    written: list[str] = []

    def slow() -> None:
        begun.set()
        go_on.wait(10)
        written.append("weights")

    uploader.submit(slow)
    for name in ("record", "predictions"):
        uploader.submit(lambda name=name: (store.write(name, b""), written.append(name)))
    assert begun.wait(10)
    assert written == []  # and yet nobody waits
    go_on.set()
    uploader.flush()
    assert written == ["weights", "record", "predictions"]
    assert list(store.list(".")) == ["predictions", "record"]


def test_leaving_waits_for_what_was_submitted(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    with Uploader(held) as uploader:
        uploader.submit(lambda: (time.sleep(0.1), store.write("late", b"x")))
    assert store.read("late") == b"x"


def test_a_drain_waits_for_what_was_submitted(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    def stage() -> None:
        with Uploader(held) as uploader:
            uploader.submit(lambda: (time.sleep(0.1), store.write("state", b"x")))
            raise Preempted("drained")

    with pytest.raises(Preempted):
        stage()
    assert store.read("state") == b"x"


def test_the_first_error_drops_the_rest_and_comes_out(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    def fail() -> None:
        raise StiltsError("the disk of the store is full")

    def use() -> None:
        with Uploader(held) as uploader:
            uploader.submit(lambda: (time.sleep(0.1), fail()))
            uploader.submit(lambda: store.write("record", b""))
            with pytest.raises(StiltsError, match="full"):
                uploader.flush()
            uploader.submit(lambda: store.write("evaluation", b""))

    with pytest.raises(StiltsError, match="full"):
        use()
    assert list(store.list(".")) == []


def test_nothing_is_written_once_the_lease_is_lost(tmp_path: Path) -> None:
    store, lost = LocalStore(tmp_path), threading.Event()

    def check() -> None:
        if lost.is_set():
            raise LeaseLost("another one took over")

    def use() -> None:
        with Uploader(check) as uploader:
            uploader.submit(lambda: store.write("first", b""))
            uploader.flush()
            lost.set()
            uploader.submit(lambda: store.write("second", b""))

    with pytest.raises(LeaseLost):
        use()
    assert list(store.list(".")) == ["first"]


def test_an_error_of_the_stage_ends_the_thread_and_writes_nothing_more(tmp_path: Path) -> None:
    store, begun = LocalStore(tmp_path), threading.Event()

    def use() -> None:
        with Uploader(held) as uploader:
            uploader.submit(lambda: (begun.set(), time.sleep(0.2), store.write("begun", b"")))
            uploader.submit(lambda: store.write("waiting", b""))
            begun.wait(10)
            raise ValueError("bad data in line 7")

    with pytest.raises(ValueError, match="line 7"):
        use()
    assert list(store.list(".")) == ["begun"]
    assert "uploader" not in {thread.name for thread in threading.enumerate()}


class Away:
    """A store that cannot be reached until it is back."""

    def __init__(self, folder: Path) -> None:
        self.store, self.asked, self.back = LocalStore(folder), 0, threading.Event()

    def write(self) -> None:
        self.asked += 1
        if not self.back.is_set():
            raise Unreachable("no answer")
        self.store.write("record", b"")


def test_a_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    away = Away(tmp_path)
    checks: list[int] = []
    with Uploader(lambda: checks.append(away.asked)) as uploader:
        uploader.submit(away.write)
        while away.asked < 3:
            time.sleep(0.01)
        uploader.submit(lambda: None)  # no error so far
        away.back.set()
    assert list(away.store.list(".")) == ["record"]
    assert checks[: away.asked] == list(range(away.asked))  # the lease is looked at before each try


def test_one_that_stays_away_ends_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    away = Away(tmp_path)
    with pytest.raises(Unreachable), Uploader(held) as uploader:
        uploader.submit(away.write)
    assert away.asked > 1


def test_an_error_of_the_stage_does_not_wait_for_the_store(tmp_path: Path) -> None:
    away = Away(tmp_path)

    def use() -> None:
        with Uploader(held) as uploader:
            uploader.submit(away.write)
            raise ValueError("bad data in line 7")

    began = time.monotonic()
    with pytest.raises(ValueError, match="line 7"):
        use()
    assert time.monotonic() - began < 10
