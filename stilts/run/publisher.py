"""Publisher: writes the progress of a run to the store, where `stilts status --watch` reads it."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from stilts.errors import StiltsError
from stilts.ledger.progress import rest_seconds, write_progress, write_seconds
from stilts.schedule.progress import RunProgress
from stilts.storage.protocol import Store

MAX_FRACTION = 0.01
"""Largest fraction of the driver's time spent on computing the progress, which takes long for a large grid."""


class Publisher:
    """Callable that writes the progress when it is due. Use it as the context of the run.

    It writes in a thread, because the store may be slow or out of reach and Tune's loop must not wait for it. While no
    stage runs, it writes only what has changed, and rarely: the lease of the run shows that the driver is alive.

    Args:
        run: folder of the run in the store.
    """

    def __init__(self, store: Store, run: str) -> None:
        self._store, self._run = store, run
        self._due = self._rest_due = 0.0
        self._written: RunProgress | None = None
        self._writer: threading.Thread | None = None

    def __call__(self, progress: Callable[[], RunProgress]) -> None:
        begin = time.monotonic()
        if begin < self._due or (self._writer is not None and self._writer.is_alive()):
            return
        now = progress()
        self._due = begin + max(write_seconds(self._store), (time.monotonic() - begin) / MAX_FRACTION)
        if not now.running and (begin < self._rest_due or _same(now, self._written)):
            return
        self._rest_due = begin + rest_seconds(self._store)
        self._writer = threading.Thread(target=self._write, args=(now,), daemon=True, name="progress")
        self._writer.start()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for the last write."""
        if self._writer is not None:
            self._writer.join()

    def _write(self, progress: RunProgress) -> None:
        # Nothing depends on it, and it will be written again.
        with contextlib.suppress(StiltsError, OSError):
            write_progress(self._store, self._run, progress)
            self._written = progress


def _same(one: RunProgress, other: RunProgress | None) -> bool:
    """Whether two reports of a run differ only in the time that has passed."""
    return other is not None and replace(one, seconds=0.0, left=None) == replace(other, seconds=0.0, left=None)
