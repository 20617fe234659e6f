"""Recorder: the driver's part of the record of failures.

A rank that sees its stage fail writes why itself (`stage/ending.py`). The driver writes what no rank can tell: that an
attempt was lost and is repeated, and that a stage failed because it was lost too often. It writes at once, not at the
end of the run, so that the reasons are in the store however the driver ends.
"""

import time
from typing import Any

from stilts.errors import StiltsError
from stilts.ledger.record import read_ending, write_failure
from stilts.run.store_thread import StoreThread
from stilts.schedule.agenda import StageOutcome
from stilts.schedule.causes import again
from stilts.storage.protocol import Store

CLOSE_SECONDS = 30.0
"""How long the end of a run waits for records that are not in the store yet."""
RETRY_SECONDS = 5.0


class Recorder(StoreThread):
    """Callable that records how the last attempt at a stage ended. Use it as the context of the run.

    Args:
        max_retries: as `Runtime.max_retries`.
    """

    def __init__(self, store: Store, max_retries: int) -> None:
        super().__init__("failures", CLOSE_SECONDS)
        self._store, self._max_retries = store, max_retries
        self._waiting: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, outcome: StageOutcome) -> None:
        """Queue the record of an attempt that was lost or whose stage failed; nothing for other outcomes."""
        ending = self._ending(outcome)
        with self._changed:
            self._waiting.pop(name, None)
            if ending is not None:
                self._waiting[name] = ending
                self._changed.notify_all()

    def _ending(self, outcome: StageOutcome) -> dict[str, Any] | None:
        if outcome.status in ("failed", "diverged"):
            ending: dict[str, Any] = {"status": outcome.status, "traceback": outcome.traceback}
        elif outcome.status == "waiting" and outcome.cause not in (None, "stop", "lease"):
            assert outcome.cause is not None
            ending = {"status": "lost", "again": again(outcome.cause, outcome.lost[outcome.cause], self._max_retries)}
        else:
            return None
        return {**ending, "error": outcome.message, "cause": outcome.cause, "time": time.time()}

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                name = next(iter(self._waiting))
                ending = self._waiting.pop(name)
            try:
                self._write(name, ending)
            except (StiltsError, OSError):
                with self._changed:
                    self._waiting.setdefault(name, ending)
                    if self._changed.wait_for(lambda: self._closed, RETRY_SECONDS):
                        return

    def _write(self, name: str, ending: dict[str, Any]) -> None:
        before = read_ending(self._store, name)
        if before is not None:
            ended = ending["status"], ending["error"]
            if (before["status"], before["error"]) == ended:
                return  # written by the rank, which knows more
            if before["status"] == "diverged":
                return  # by another driver, which took the stage over
        write_failure(self._store, name, ending)
