"""How an attempt ended: the classes of errors, and the record that the rank which sees a failure writes."""

import errno
import threading
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

from stilts.errors import StiltsError
from stilts.ledger.record import read_ending, read_failure, write_failure
from stilts.os_errors import DiskFull, NotWritable
from stilts.run.stage import ending
from stilts.run.stage.ending import FailureRecord, describe
from stilts.storage.lease import LeaseLost
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Unreachable
from stilts.train.loop import Diverged
from stilts.train.ranks import Preempted, Stopped

NAME = "mnli-s1-0123456789ab"


class DistBackendError(RuntimeError):
    """Has the name of the error that torch raises for NCCL."""


@pytest.mark.parametrize(
    ("error", "status", "cause"),
    [
        (ValueError("bad data in line 7"), "failed", None),
        (RuntimeError("shape mismatch"), "failed", None),
        (StiltsError("no weights"), "failed", None),
        (MemoryError(), "failed", None),
        (SystemExit(3), "failed", None),
        (FileNotFoundError(errno.ENOENT, "no such file"), "failed", None),
        (Diverged("the loss is nan"), "diverged", None),
        (Preempted("preempted"), "preempted", None),
        (Stopped("stopped"), "stopped", None),
        (LeaseLost("taken"), "lost", "lease"),
        (Unreachable("away"), "lost", "store"),
        (OSError(errno.ENOSPC, "No space left on device"), "lost", "disk"),
        (OSError(errno.EFBIG, "File too large"), "lost", "disk"),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), "lost", "disk"),
        (DiskFull("the disk of the resume state is full"), "lost", "disk"),
        (NotWritable("creating s3://bucket/claims/1.json: these credentials may not do that"), "lost", "read-only"),
        (OSError(errno.EROFS, "Read-only file system"), "lost", "read-only"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "lost", "disk"),
        (RuntimeError("[enforce fail at inline_container.cc] . No space left on device"), "lost", "disk"),
        (DistBackendError("NCCL error in: ProcessGroupNCCL.cpp"), "lost", "network"),
        (RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer"), "lost", "network"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "lost", "gpu"),
    ],
)  # fmt: skip
def test_errors_have_a_status_and_what_another_attempt_can_mend_a_cause(
    error: BaseException, status: str, cause: str | None
) -> None:
    ended = describe(error)
    assert (ended["status"], ended.get("cause")) == (status, cause)


def test_the_cause_is_found_in_what_an_error_was_raised_from() -> None:
    error = StiltsError("cannot write the weights")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert describe(error)["cause"] == "disk"
    assert describe(error)["error"] == "cannot write the weights"


def fail(record: FailureRecord, error: BaseException) -> None:
    with pytest.raises(type(error)), record:
        raise error


def attempt(store: LocalStore, number: int, rank: int = 0) -> FailureRecord:
    """The record of an attempt that holds the lease; attempt 0 does not know its number yet."""
    if number:
        store.create(f"stages/{NAME}/claims/{number}.json", b"{}")
    record = FailureRecord(store, NAME, rank)
    record.attempt = number
    return record


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_a_failure_is_recorded_where_it_happens(local: LocalStore) -> None:
    fail(attempt(local, 3, rank=1), ValueError("bad data"))
    found = read_failure(local, NAME)
    assert found is not None
    assert (found["status"], found["error"], found["attempt"], found["rank"]) == (
        "failed", "ValueError: bad data", 3, 1,
    )  # fmt: skip
    assert "in fail" in found["traceback"]
    assert found["node"]
    assert found["pid"]
    assert abs(found["time"] - time.time()) < 60


def test_the_first_failure_of_an_attempt_stays_and_the_next_attempt_replaces_it(local: LocalStore) -> None:
    fail(attempt(local, 1, rank=1), ValueError("the root"))
    fail(attempt(local, 1, rank=0), RuntimeError("a consequence"))
    assert (read_failure(local, NAME) or {})["error"] == "ValueError: the root"
    fail(attempt(local, 2), Diverged("the loss is nan"))
    assert (read_failure(local, NAME) or {})["status"] == "diverged"


@pytest.mark.parametrize(
    "error", [Unreachable("away"), LeaseLost("taken"), Preempted("drained"), Stopped("stopped"), KeyboardInterrupt()]
)
def test_what_another_attempt_can_mend_is_left_to_the_driver(local: LocalStore, error: BaseException) -> None:
    fail(attempt(local, 1), error)
    assert read_ending(local, NAME) is None


def test_nothing_is_written_before_the_lease_is_held(local: LocalStore) -> None:
    fail(attempt(local, 0), ValueError("another driver's stage"))
    assert read_ending(local, NAME) is None


def test_the_inner_of_two_contexts_writes_once(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(ending, "write_failure", lambda *given: written.append(given))
    record = attempt(local, 1)
    with pytest.raises(ValueError, match="bad"), record, record:
        raise ValueError("bad")
    assert len(written) == 1


def test_a_store_that_does_not_answer_holds_nobody_up(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(ending, "WRITE_SECONDS", 0.1)
    monkeypatch.setattr(ending, "write_failure", lambda *given: answer.wait(30))
    fail(attempt(local, 1), ValueError("bad"))
    answer.set()


def test_what_a_lost_attempt_left_is_replaced_by_the_failure_of_the_next(local: LocalStore) -> None:
    write_failure(local, NAME, {"status": "lost", "error": "rank 0 was lost", "time": 1.0})
    assert read_failure(local, NAME) is None
    fail(attempt(local, 2), ValueError("bad"))
    assert (read_failure(local, NAME) or {})["status"] == "failed"


def test_an_attempt_that_was_taken_over_cannot_replace_the_failure_of_its_successor(local: LocalStore) -> None:
    paused = attempt(local, 1)
    fail(attempt(local, 2), Diverged("the loss is nan"))
    fail(paused, FileNotFoundError("its files are gone"))
    assert (read_failure(local, NAME) or {})["status"] == "diverged"
