"""How an attempt at a stage ended on one rank, as plain data, and its record in the store if the stage failed.

The exceptions of torch, DeepSpeed and the training loop are recognised by the names of their classes, because only the
stage function imports the modules that define them.
"""

import errno
import os
import platform
import re
import threading
import time
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any

from stilts.advice import in_one_line
from stilts.errors import StiltsError, chain
from stilts.experiment.secrets import redact
from stilts.ledger.record import read_ending, stage_path, write_failure
from stilts.os_errors import is_full
from stilts.schedule.causes import Cause
from stilts.storage.lease import is_newest
from stilts.storage.protocol import Store

DONE, FAILED, DIVERGED, PREEMPTED, STOPPED, LOST = "done", "failed", "diverged", "preempted", "stopped", "lost"
LEASED = "leased"
"""Statuses with which a stage can end on a rank. A `lost` one has a cause and is retried. A `leased` one is trained by
another driver, and has done nothing."""

WRITE_SECONDS = 30.0
"""How long the end of a failed attempt waits for the store. The write goes on in the background, and the driver writes
the same record when it learns of the failure."""

_STATUS = {"Diverged": DIVERGED, "Preempted": PREEMPTED, "Stopped": STOPPED, "Leased": LEASED}
_LOST: dict[str, Cause] = {
    "LeaseLost": "lease",
    "Unreachable": "store",
    "DiskFull": "disk",
    "NotWritable": "read-only",
    **dict.fromkeys(("DistBackendError", "DistNetworkError", "DistStoreError"), "network"),
}
_TEXTS: tuple[tuple[str, Cause], ...] = (
    (r"Connection (closed|reset) by peer|gloo/transport|NCCL (error|communicator)|\[c10d\]", "network"),
    (r"uncorrectable ECC|GPU (has fallen off the bus|is lost)|CUDA error: unspecified launch failure", "gpu"),
)
"""Texts of library errors that have no exception class of their own."""


def describe(error: BaseException) -> dict[str, Any]:
    """Return how a stage ended that raised an exception: `status`, `error` and `traceback`, without secrets.

    If the status is `lost`, there is a `cause`, too.
    """
    cause = _cause(error)
    return {
        "status": _STATUS.get(type(error).__name__, FAILED) if cause is None else LOST,
        "error": redact(str(error) if isinstance(error, StiltsError) else in_one_line(error)),
        "traceback": redact("".join(traceback.format_exception(error))),
        **({} if cause is None else {"cause": cause}),
    }


def _cause(error: BaseException) -> Cause | None:
    """Why the attempt was lost; None if the error is one of the program, or says that the stage diverged or drained."""
    if type(error).__name__ in _STATUS:
        return None
    for found in chain(error):
        if type(found).__name__ in _LOST:
            return _LOST[type(found).__name__]
        if is_full(found):
            return "disk"
        if isinstance(found, OSError) and found.errno == errno.EROFS:
            return "read-only"
        if isinstance(found, OSError | RuntimeError):
            for text, cause in _TEXTS:
                if re.search(text, str(found)):
                    return cause
    return None


class FailureRecord:
    """Context manager that writes to the store why a stage failed or diverged, on the rank that sees it, at once.

    It can be entered within itself. The innermost context writes, before outer contexts wait for anything. Errors that
    another attempt can mend are not written: the driver counts them.

    Every rank may write, because the leader may be waiting for a rank that failed. The first record of an attempt
    stays: later errors of the other ranks are consequences of the first.

    Attributes:
        attempt: number of the attempt, from the stage's lease; nothing is written before it is known.
    """

    def __init__(self, store: Store, name: str, rank: int) -> None:
        self._store, self._name, self._rank = store, name, rank
        self._seen: BaseException | None = None
        self.attempt = 0

    def __enter__(self) -> "FailureRecord":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is self._seen or not self.attempt or not isinstance(error, Exception | SystemExit):
            return
        self._seen = error
        ended = describe(error)
        if ended["status"] not in (FAILED, DIVERGED):
            return
        record = {
            **ended,
            "attempt": self.attempt,
            "rank": self._rank,
            "node": platform.node(),
            "pid": os.getpid(),
            "time": time.time(),
        }
        writer = threading.Thread(target=self._write, args=(record,), daemon=True, name="failure")
        writer.start()
        writer.join(WRITE_SECONDS)

    def _write(self, record: dict[str, Any]) -> None:
        with suppress(StiltsError, OSError):  # the failure of the stage matters more, and the driver writes it again
            if not is_newest(self._store, stage_path(self._name), self.attempt):
                return  # another attempt is at work, whose files this one may have found missing
            before = read_ending(self._store, self._name)
            if before is None or before.get("attempt") != self.attempt or before["status"] == LOST:
                write_failure(self._store, self._name, record)
