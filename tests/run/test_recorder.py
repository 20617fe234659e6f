"""The driver's record of lost attempts."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stilts.ledger.record import read_ending, read_failure, write_failure
from stilts.run import recorder
from stilts.run.recorder import Recorder
from stilts.schedule.agenda import StageOutcome
from stilts.schedule.causes import Cause
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store, Unreachable

NAME = "mnli-s1-0123456789ab"


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def lost(cause: Cause, times: int, reason: str = "rank 0 was lost") -> StageOutcome:
    return StageOutcome("waiting", reason, lost=Counter({cause: times}), cause=cause)


def recorded(store: Store, *outcomes: StageOutcome) -> dict[str, Any] | None:
    with Recorder(store, max_retries=3) as record:
        for outcome in outcomes:
            record(NAME, outcome)
    return read_ending(store, NAME)


def test_a_lost_attempt_is_recorded_with_its_retry(local: LocalStore) -> None:
    found = recorded(local, lost("process", 1), lost("process", 2))
    assert found is not None
    assert (found["status"], found["cause"], found["again"]) == ("lost", "process", "retry 2 of 3")
    assert read_failure(local, NAME) is None


def test_a_stage_that_was_lost_too_often_has_failed(local: LocalStore) -> None:
    recorded(local, lost("process", 3))
    recorded(local, StageOutcome("failed", "one of its processes was lost 4 times", cause="process"))
    assert (read_failure(local, NAME) or {})["error"] == "one of its processes was lost 4 times"


@pytest.mark.parametrize("cause", ["stop", "lease"])
def test_a_stop_and_another_holder_are_no_failures(local: LocalStore, cause: Cause) -> None:
    assert recorded(local, lost(cause, 1)) is None


@pytest.mark.parametrize("status", ["done", "stopped", "not run"])
def test_other_ends_are_not_written(local: LocalStore, status: Any) -> None:
    assert recorded(local, StageOutcome(status)) is None


def test_what_the_rank_wrote_stays(local: LocalStore) -> None:
    write_failure(local, NAME, {"status": "failed", "error": "ValueError: bad", "attempt": 2, "time": 1.0})
    found = recorded(local, StageOutcome("failed", "ValueError: bad"))
    assert (found or {})["attempt"] == 2


def test_a_stage_that_diverged_under_another_driver_stays_diverged(local: LocalStore) -> None:
    write_failure(local, NAME, {"status": "diverged", "error": "the loss is nan", "time": 1.0})
    assert (recorded(local, lost("process", 1)) or {})["status"] == "diverged"


def test_a_store_that_is_away_is_tried_again(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    written, write = threading.Event(), recorder.write_failure
    refusals = [Unreachable("away"), OSError("away")]

    def refuse(store: Store, name: str, ending: dict[str, Any]) -> None:
        if refusals:
            raise refusals.pop()
        write(store, name, ending)
        written.set()

    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(recorder, "write_failure", refuse)
    with Recorder(local, max_retries=3) as record:
        record(NAME, lost("node", 1))
        assert written.wait(30)
    assert (read_ending(local, NAME) or {})["again"] == "retry 1 of 10"
