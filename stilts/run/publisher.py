"""Publisher: writes how far a run is where others can watch it (`stilts status --watch`)."""

import contextlib
import threading
import time
from collections.abc import Callable

from stilts.errors import StiltsError
from stilts.ledger.progress import write_progress, write_seconds
from stilts.schedule.progress import RunProgress
from stilts.storage.protocol import Store

SHARE = 0.01
"""Of the driver's time, at most, goes into telling: the agenda of a large grid is long."""


class Publisher:
    """Takes the progress that it is offered when the time has come, and writes it in a thread: the store may be slow,
    or out of reach for a while, and Tune's loop must go on. The context of the run.

    Args:
        run: folder of the run in the store.
    """

    def __init__(self, store: Store, run: str) -> None:
        self._store, self._run = store, run
        self._due = 0.0
        self._writer: threading.Thread | None = None

    def __call__(self, progress: Callable[[], RunProgress]) -> None:
        begin = time.monotonic()
        if begin < self._due or (self._writer is not None and self._writer.is_alive()):
            return
        now = progress()
        self._due = begin + max(write_seconds(self._store), (time.monotonic() - begin) / SHARE)
        self._writer = threading.Thread(target=self._write, args=(now,), daemon=True, name="progress")
        self._writer.start()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is written after the run."""
        if self._writer is not None:
            self._writer.join()

    def _write(self, progress: RunProgress) -> None:
        # Nothing depends on it, and the next time will do.
        with contextlib.suppress(StiltsError, OSError):
            write_progress(self._store, self._run, progress)
