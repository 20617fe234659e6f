"""Uploader: a thread that writes to the store while the stage continues to train and evaluate.

Writes run one at a time in the order of their submission, so that the files that a record names exist before the
record. Before each write the lease is checked. After a failed write, all later writes are dropped, and the next call
raises the error.

If the store is unreachable, the uploader retries: the files are on this node, and training itself needs no store. The
lease is checked again before each retry.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from stilts.storage.protocol import Unreachable
from stilts.train.ranks import Preempted

PATIENCE_SECONDS = 1800.0
"""Seconds of retries after which the attempt fails; the next attempt resumes from the last state in the store."""
RETRY_SECONDS = 5.0
"""Seconds between two retries."""

Write = Callable[[], object]


class Uploader:
    """Context manager. On a normal exit or a preemption it flushes the queue; on any other exception it discards the
    writes that have not started.

    Args:
        check: raises if this attempt has lost its lease. It is called before each write, and between the steps of a
            write that has several.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check
        self._changed = threading.Condition()
        self._queue: deque[Write] = deque()
        self._writing = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="uploader")
        self._thread.start()

    def __enter__(self) -> "Uploader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None or isinstance(error, Preempted):
                self.flush()
        finally:
            with self._changed:
                self._closed = True
                self._queue.clear()
                self._changed.notify_all()
            self._thread.join()

    def submit(self, write: Write) -> None:
        """Append a write to the queue.

        A write is retried and must therefore be idempotent. It waits in memory, so it must not hold more than a few
        megabytes.

        Raises:
            Exception: the error of an earlier write.
        """
        with self._changed:
            self._raise()
            self._queue.append(write)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until the queue is empty.

        Raises:
            Exception: the error of the first write that failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or not (self._queue or self._writing))
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                write = self._queue.popleft()
                self._writing = True
            error = self._tried(write)
            with self._changed:
                self._writing = False
                if error is not None:
                    self._error = error
                    self._queue.clear()
                self._changed.notify_all()

    def _tried(self, write: Write) -> BaseException | None:
        """Run one write, with retries while the store is unreachable. Returns its error, or None."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.check()
                write()
                return None
            except Unreachable as error:
                if self._gave_up(until):
                    return error
            except BaseException as error:
                return error

    def _gave_up(self, until: float) -> bool:
        """Wait before the next retry. Return True if there is none: `until` has passed or the uploader was closed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout=RETRY_SECONDS) or time.monotonic() > until
