"""The publisher: writes when it is due, never twice at a time, and never ends a run."""

import threading
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.ledger.progress import read_progress
from stilts.run import publisher
from stilts.run.publisher import Publisher
from stilts.schedule.progress import RunProgress, StageProgress
from stilts.storage.local import LocalStore

RUN = "experiments/exp/runs/0123456789ab"


def progress(seconds: float = 1.0) -> RunProgress:
    return RunProgress(seconds, None, {"running": 1}, (StageProgress("stage", 1.0, {}),))


def test_at_rest_it_writes_only_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "write_seconds", lambda store: 0.0)
    monkeypatch.setattr(publisher, "rest_seconds", lambda store: 0.0)
    monkeypatch.setattr(publisher, "MAX_FRACTION", 1e9)
    written: list[RunProgress] = []
    monkeypatch.setattr(publisher, "write_progress", lambda store, run, now: written.append(now))
    resting = RunProgress(1.0, None, {"waiting": 2}, (), elsewhere={"HOST (process 1)": 2})
    reports = [resting, replace(resting, seconds=2.0), replace(resting, elsewhere={"HOST (process 1)": 1}), progress()]
    publish = Publisher(LocalStore(tmp_path), RUN)
    for report in [*reports, replace(progress(), seconds=9.0)]:
        with publish:
            publish(partial(replace, report))
    assert written == [resting, *reports[2:], replace(progress(), seconds=9.0)]


def test_it_writes_at_once_and_then_only_when_it_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "write_seconds", lambda store: 0.2)
    store, taken = LocalStore(tmp_path), []

    def take() -> RunProgress:
        taken.append(time.monotonic())
        return progress(len(taken))

    with Publisher(store, RUN) as publish:
        while len(taken) < 3:
            publish(take)
            time.sleep(0.002)
    assert len(taken) == 3
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(taken))
    found = read_progress(store, RUN)
    assert found is not None
    assert found.progress.seconds == len(taken), "the last one is written before the context ends"


def test_a_slow_store_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "write_seconds", lambda store: 0.0)
    go, taken = threading.Event(), []
    monkeypatch.setattr(publisher, "write_progress", lambda store, run, now: go.wait(10))
    with Publisher(LocalStore(tmp_path), RUN) as publish:
        began = time.monotonic()
        for _ in range(5):
            publish(lambda: taken.append(1) or progress())
        assert time.monotonic() - began < 5
        assert len(taken) == 1, "a second write waits for the first"
        go.set()


def test_a_store_that_fails_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise StiltsError("the disk of the store is full")

    monkeypatch.setattr(publisher, "write_progress", fail)
    with Publisher(LocalStore(tmp_path), RUN) as publish:
        publish(progress)
