"""Leases of other drivers: which stages they train, so that this driver starts others, and how these stages end there.

A thread asks the store, because it may be slow or out of reach and Tune's loop must not wait for it. The searcher reads
the latest answers. A stage is offered only if its lease was found to be free a moment ago. If two drivers take a stage
at the same moment, one gets the lease, and the trial of the other ends at once and passes over to another stage.

Leased stages are looked at in turn, in the order of the longest chain. When the lease of one is over, the store tells
whether it is done, failed or diverged. If none of that, it may start here. A lease whose heartbeat stands still ends
after the length of the lease on this machine's clock (see `LeaseWatch`).

At rest, when nothing runs here and all that is ready is leased, these looks must be cheap in a bucket. There a
driver makes 30 requests an hour for each lease that it holds, and 36 for one look every 100 seconds, however many are
leased. While stages run here, the looks are more frequent.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stilts.errors import StiltsError
from stilts.ledger.lacking import lacking
from stilts.ledger.record import read_ending, stage_path
from stilts.plan.job import StageJob
from stilts.run.store_thread import StoreThread
from stilts.schedule.agenda import Status
from stilts.storage.lease import LeaseWatch
from stilts.storage.local import LocalStore
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store

log = logging.getLogger(__name__)

LOOK_AHEAD = 32
"""Largest number of stages that are looked at before they can start."""
ANSWER_SECONDS = 0.05
"""How long Tune's loop waits for the answer of a store that is quick."""
RETRY_SECONDS = 5.0
CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class Pace:
    """How often leased stages are looked at.

    Attributes:
        rest: seconds between two looks while no stage runs here.
        busy: seconds between two looks while stages run here.
        at_once: how many leased stages one look takes in.
        fresh: for how many seconds a lease that was found free counts as free.
    """

    rest: float
    busy: float
    at_once: int
    fresh: float

    @classmethod
    def of(cls, store: Store) -> "Pace":
        """The times for a store on a file system, or in a bucket."""
        return cls(1.0, 1.0, 64, 2.0) if isinstance(store, LocalStore) else cls(100.0, 10.0, 1, 30.0)


@dataclass(frozen=True)
class End:
    """How another driver ended a stage: `done`, `failed` or `diverged`, and why."""

    name: str
    status: Status
    message: str = ""


class Leases(StoreThread):
    """What is known of the leases of stages. Use it as the context of the run.

    Attributes:
        who: who trains a stage, as `host (process N)`, by the name of the stage. It is replaced, never changed.
    """

    def __init__(self, store: Store, jobs: Iterable[StageJob] = ()) -> None:
        super().__init__("leases", CLOSE_SECONDS)
        self._store = store
        self._jobs = {job.name: job for job in jobs}
        self._pace = Pace.of(store)
        self._watches: dict[str, LeaseWatch] = {}
        self._endings: dict[str, dict[str, Any] | None] = {}
        self._free: dict[str, float] = {}
        self._asked: list[str] = []
        self._turns: deque[str] = deque()
        self._ends: list[End] = []
        self._due = 0.0
        self._busy = False
        self.who: dict[str, str] = {}

    # --- called in Tune's loop ---------------------------------------------------------------------------

    def look(self, ready: Sequence[str], places: int, *, busy: bool) -> None:
        """Have those of the ready stages looked at that may start now and are not known to be free.

        Args:
            ready: in the order in which they shall start.
            places: how many may start.
            busy: whether stages run here.
        """
        with self._changed:
            self._busy = busy
            first = [name for name in ready if name not in self.who][: min(2 * places, LOOK_AHEAD)]
            self._asked = [name for name in first if not self._is_free(name)]
            if self._asked:
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._asked or self._closed, ANSWER_SECONDS)

    def is_free(self, name: str) -> bool:
        """Whether nobody held the lease of a stage a moment ago."""
        with self._changed:
            return self._is_free(name)

    def _is_free(self, name: str) -> bool:
        return time.monotonic() - self._free.get(name, float("-inf")) < self._pace.fresh

    def unknown(self, ready: Iterable[str]) -> bool:
        """Whether the store has not answered yet for one of these stages."""
        with self._changed:
            return any(name not in self.who and not self._is_free(name) for name in ready)

    def take(self, name: str) -> None:
        """Note that a trial of this driver takes a stage."""
        with self._changed:
            self._free.pop(name, None)

    def add(self, job: StageJob) -> None:
        """Add a stage that was not known when the run began."""
        with self._changed:
            self._jobs[job.name] = job

    def ends(self) -> list[End]:
        """The stages that another driver has ended since the last call."""
        with self._changed:
            ends, self._ends = self._ends, []
            return ends

    # --- in the thread -----------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._closed, self._wait())
                if self._closed:
                    return
                names = list(self._asked) or self._next_turn()
            try:
                list(parallel_map(self._store, self._look, names))
                pause = 0.0
            except (StiltsError, OSError):
                pause = RETRY_SECONDS
            except Exception:  # an error in this module must not leave the run waiting for ever
                log.exception("the leases of other drivers could not be read; stilts tries again")
                pause = RETRY_SECONDS
            with self._changed:
                self._asked = [name for name in self._asked if name not in names]
                self._changed.notify_all()
                if self._changed.wait_for(lambda: self._closed, pause):
                    return

    def _wait(self) -> float | None:
        """Seconds until the next look at leased stages; None if there are none."""
        return max(0.0, self._due - time.monotonic()) if self._turns else None

    def _next_turn(self) -> list[str]:
        """The leased stages whose turn it is."""
        if not self._turns or time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + (self._pace.busy if self._busy else self._pace.rest)
        names = [self._turns.popleft() for _ in range(min(self._pace.at_once, len(self._turns)))]
        self._turns.extend(names)
        return names

    def _look(self, name: str) -> None:
        watch = self._watches.setdefault(name, LeaseWatch(self._store, stage_path(name)))
        who = watch.holder()
        if who is not None:
            if name not in self._endings:
                self._endings[name] = read_ending(self._store, name)  # of an earlier attempt
            self._note_leased(name, who)
            return
        watch.end_expired()
        # Only what another driver was seen at: a stage that this run has planned although it has a record is damaged.
        end = self._end(name) if name in self._endings else None
        with self._changed:
            self.who = {other: holder for other, holder in self.who.items() if other != name}
            if name in self._turns:
                self._turns.remove(name)
            if end is None:
                self._free[name] = time.monotonic()
            else:
                self._ends.append(end)

    def _note_leased(self, name: str, who: str) -> None:
        with self._changed:
            if name not in self.who:
                self._turns.append(name)
                self._due = max(self._due, time.monotonic() + self._pace.busy)
            self.who = {**self.who, name: who}
            self._free.pop(name, None)

    def _end(self, name: str) -> End | None:
        """How another driver ended a stage; None if it has not."""
        if lacking(self._store, self._jobs[name], verify=False) is None:
            return End(name, "done")
        ending = read_ending(self._store, name)
        if ending is None or ending == self._endings[name] or ending["status"] not in ("failed", "diverged"):
            return None
        return End(name, ending["status"], ending["error"])
