"""Settler: drops the weights of stages that end during a run, so that they do not pile up until its end.

It works in a thread, because it waits for a lease and for the store, and Tune's loop must not wait. It takes several
stages at a time, because each call of `settle` reads the needs of all declarations. Nothing depends on it: the run
calls `settle` again at its end, and so does the next run at its start.
"""

import contextlib
import queue
import threading
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT
from stilts.ledger.settle import settle
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store

_JOIN_SECONDS = 10.0


class Settler(tune.Callback):
    """Tune callback; use it as the context of the run.

    Attributes:
        dropped: names of the stages whose weights it has dropped.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seconds = 2.0 if isinstance(store, LocalStore) else 15.0
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="settler")
        self.dropped: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore them later, which stilts never does.
        return {}

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.add(trial.config["stage"])

    def add(self, *stages: str) -> None:
        """Look at these stages soon, given by their names."""
        for stage in stages:
            self._ended.put(stage[-SHORT:])

    def __enter__(self) -> "Settler":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop after the stages that are being looked at. A store that does not answer does not hold up the end."""
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        waiting: set[str] = set()
        while not self._stop.wait(self._seconds):
            while not self._ended.empty():
                waiting.add(self._ended.get())
            # A store that is away for a moment, or a lease that is not free: the stages wait for the next time.
            with contextlib.suppress(StiltsError, OSError):
                settled = settle(self._store, stages=waiting, wait=False) if waiting else None
                if settled is not None:
                    self.dropped += settled.dropped
                    waiting = set()
