"""Uploader: one thread that writes to the store while the stage trains and evaluates on.

Writes happen one at a time, in the order in which they were given: what a record names is there before the record. Each
happens only while the lease is held. The first one that fails ends them all: those behind it are dropped, and its error
is raised by the next call.

A store that cannot be reached is waited for: what is to be written lies on this machine, and the training that goes on
needs no store. Whether the lease is still held is asked again when the store is back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from stilts.storage.protocol import Unreachable
from stilts.train.ranks import Preempted

PATIENCE_SECONDS = 1800.0
"""A store that is out of reach for longer ends the attempt; it starts again from what was stored."""
RETRY_SECONDS = 5.0

Write = Callable[[], object]


class Uploader:
    """Context manager. Left in peace, or to give way, it flushes; left by an error, it drops what has not begun.

    Args:
        check: raises where this attempt must not write any more. Called before each write, and by a write of several
            steps between them.
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
        """Have something written after all that was submitted before.

        A write may be tried several times, and must not hold more than a few megabytes: it waits in memory.

        Raises:
            Exception: what an earlier write failed with.
        """
        with self._changed:
            self._raise()
            self._queue.append(write)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything is written.

        Raises:
            Exception: what the first write that failed did so with.
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
        """Do one write; the error that it ended in."""
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
        """Wait a little for the store to come back; True where that lasts too long, or nobody waits any more."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout=RETRY_SECONDS) or time.monotonic() > until
