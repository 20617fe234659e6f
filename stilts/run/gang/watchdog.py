"""Watchdog: notices a gang that makes no progress.

The leader counts heartbeats: micro-batches of training and of evaluations, and collective operations. A rank that hangs
stops the leader at its next collective operation. A rank that is frozen does not answer, and counts as no progress,
too.

While a stage counts steps, the default limit is `MEDIANS` times the median time of a step, and at least
`FLOOR_SECONDS`. Phases that do not count steps (fetching weights, tokenizing, uploading) have heartbeats only at their
ends, and their limit is `PHASES` times as long. A gang that waits for another driver's lease has heartbeats.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

FLOOR_SECONDS = 600.0
MEDIANS = 30
PHASES = 12
KEPT = 101
"""Number of the latest step times from which the median is computed."""


class Watchdog:
    """Watches one stage on one gang.

    Args:
        limit: seconds without progress in a phase that counts steps; None for the automatic limit.
        clock: returns seconds.
    """

    def __init__(self, limit: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._moved = self._stepped = clock()
        self._beats: int | None = None
        self._step = 0
        self._latest: Mapping[str, Any] = {}
        self._seconds: deque[float] = deque(maxlen=KEPT)

    def see(self, report: Mapping[str, Any]) -> str | None:
        """Take a report of the gang; return what is wrong if it has stalled.

        Args:
            report: the leader's latest report with its `beats`; without them if a rank did not answer.
        """
        now = self._clock()
        answered = "beats" in report
        if answered:
            self._latest = report
            self._count_step(report.get("step") or 0, now)
            if report["beats"] != self._beats:
                self._beats, self._moved = report["beats"], now
        silent = now - self._moved
        if silent <= self.limit(answered):
            return None
        what = "no progress" if answered else "a rank does not answer"
        return f"{what} for {silent:.0f} s, last {_where(self._latest)}"

    def limit(self, answered: bool = True) -> float:
        """Seconds without progress after which the gang counts as stalled."""
        automatic = max(FLOOR_SECONDS, MEDIANS * median(self._seconds)) if self._seconds else FLOOR_SECONDS
        limit = automatic if self._limit is None else self._limit
        # A rank that does not answer is frozen in whatever phase it is: all others answer.
        return limit if not answered or "step" in self._latest else PHASES * limit

    def _count_step(self, step: int, now: float) -> None:
        if step > self._step:
            self._seconds.append((now - self._stepped) / (step - self._step))
        if step != self._step:
            self._step, self._stepped = step, now


def _where(latest: Mapping[str, Any]) -> str:
    step, steps, phase = latest.get("step"), latest.get("steps"), latest.get("phase")
    if step is None:
        return f"in the phase {phase!r}" if phase else "at the start of the stage"
    return f"at step {step} of {steps}" + (f" ({phase})" if phase else "")
