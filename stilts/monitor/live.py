"""Shows the progress of an experiment's runs while they are under way.

Everything is read from the store, so that this works from any machine: drivers write their progress to the store every
few seconds (see `stilts.ledger.progress`), and the lease of a run tells whether its driver is alive.

Requests to a bucket cost money. An update there makes one request for each run, another one if the driver has written
nothing new, and now and then those that list the runs and read what was spent. Updates are so far apart that all of
this together is less than 120 requests an hour.
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from stilts.experiment.experiment import Experiment
from stilts.ledger.needs import all_runs
from stilts.ledger.progress import RunReport, read_progress, write_seconds
from stilts.ledger.status import spending_of
from stilts.schedule.progress import duration, facts
from stilts.show.status import show_progress, spending_words, whole_line
from stilts.storage.lease import LeaseWatch, Sighting, sighting
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store
from stilts.waiting import become_patient

LATE = 5
"""A driver is reported as late if its progress is older than LATE times the usual interval between writes."""
UPDATE_SECONDS = 60.0
"""Least seconds between two updates from a bucket."""
REQUEST_SECONDS = 40.0
"""Seconds that each request of an update from a bucket delays the next update."""
LIST_UPDATES = 10
"""How many updates from a bucket pass before the runs are listed again."""
SPENT_SECONDS = 160.0
"""Seconds that each request for what was spent delays the next such request to a bucket."""
SETTLE_SECONDS = 1.0
"""Time within which a run that has ended removes its folder after releasing its lease. A folder that remains longer
belongs to a run whose driver died."""


@dataclass(frozen=True)
class LiveRun:
    """The state of one run, as read from the store.

    Attributes:
        driver: the driver that holds the run's lease, as `host (process N)`; None if the driver is dead.
        report: the last progress that the driver wrote; None if it has not written any yet.
        silent: for how many seconds a driver has not been heard of that may be dead; None if it is alive.
    """

    driver: str | None
    report: RunReport | None
    silent: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the driver last wrote its progress; None if it has not written any."""
        return None if self.report is None else max(0.0, time.time() - self.report.time)

    def to_json(self) -> dict[str, Any]:
        report = self.report
        driver = self.driver or (report and report.driver)
        progress = None if report is None else asdict(report.progress)
        alive = self.driver is not None and self.silent is None
        return {"driver": driver, "alive": alive, "silent": self.silent, "age": self.age, "progress": progress}


def live_runs(store: Store, experiment: str) -> list[LiveRun]:
    """The runs of an experiment that are under way, and those whose driver died."""
    return [_seen(sighting(store, path), read_progress(store, path)) for path in all_runs(store, experiment)]


def _seen(seen: Sighting | None, report: RunReport | None) -> LiveRun:
    if seen is None:
        return LiveRun(None, report)
    return LiveRun(seen.who, report, seen.age if seen.silent else None)


def remarks(runs: Sequence[LiveRun]) -> list[str]:
    """A line for each run whose driver has died, or may have."""
    dead = [_dead_driver(run) for run in runs if run.driver is None]
    silent = [
        f"the driver {run.driver} was last heard of {duration(run.silent)} ago; if it is dead, the same "
        "command continues"
        for run in runs
        if run.driver is not None and run.silent is not None
    ]
    return [*silent, *dead]


class _Watched:
    """The runs of an experiment, as they are looked at again and again.

    Attributes:
        pause: seconds until the next update.
        spent: what all launches have spent, in words.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self._experiment, self._store = experiment, store
        self._cheap = isinstance(store, LocalStore)
        self._watches: dict[str, LeaseWatch] = {}
        self._reports: dict[str, RunReport | None] = {}
        self._drivers: dict[str, str | None] = {}
        self._updates = 0
        self._spent_due = 0.0
        self.pause = 0.0
        self.spent = ""

    def look(self) -> list[LiveRun]:
        """The runs that are under way."""
        requests = 0
        if self._cheap or self._updates % LIST_UPDATES == 0 or not any(self._drivers.values()):
            paths, requests = all_runs(self._store, self._experiment.name), 1
            self._watches = {path: self._watches.get(path) or LeaseWatch(self._store, path) for path in paths}
        self._updates += 1
        for path, watch in self._watches.items():
            report, before = read_progress(self._store, path), self._reports.get(path)
            requests += 1
            if report is None or before is None or report.time == before.time or not self._drivers.get(path):
                self._drivers[path] = watch.holder()
                requests += 1
            self._reports[path] = report
        if self._cheap or time.monotonic() >= self._spent_due:
            spent = spending_of(self._experiment, self._store)
            self.spent = spending_words(self._experiment, spent)
            self._spent_due = time.monotonic() + SPENT_SECONDS * (2 + spent.launches)
        self.pause = write_seconds(self._store) if self._cheap else max(UPDATE_SECONDS, REQUEST_SECONDS * requests)
        return [LiveRun(driver, self._reports[path]) for path, driver in self._of_runs() if driver]

    def dead(self) -> list[LiveRun]:
        """The runs whose driver has died; call it when none is under way."""
        self.look()
        return [LiveRun(None, self._reports[path]) for path, driver in self._of_runs() if driver is None]

    def _of_runs(self) -> list[tuple[str, str | None]]:
        return [(path, self._drivers.get(path)) for path in self._watches]


def watch(experiment: Experiment, store: Store, console: Console) -> None:
    """Show the runs of an experiment until none is under way, then report those whose driver died.

    A terminal shows the same display as the driver's. If the output is not a terminal, a line is printed for every
    progress that a driver writes.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    every, watched = write_seconds(store), _Watched(experiment, store)
    printed: dict[str | None, float] = {}
    screen = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else nullcontext()
    with screen as live:
        while runs := watched.look():
            spent = watched.spent
            if live is not None:
                live.update(Group(*(_display(run, every) for run in runs), Text(spent, style="dim")), refresh=True)
            for run in runs:
                if live is None and run.report is not None and printed.get(run.driver) != run.report.time:
                    printed[run.driver] = run.report.time
                    console.print(Text(_line(run.report, spent)), soft_wrap=True)
            become_patient()  # whoever watches for hours does not want to lose the display by an outage
            time.sleep(watched.pause)
    time.sleep(SETTLE_SECONDS)
    for run in watched.dead():
        console.print(f"[yellow]{_dead_driver(run)}[/]", soft_wrap=True, highlight=False)


def _display(run: LiveRun, every: float) -> RenderableType:
    if run.report is None or run.age is None:
        return Text(f"{run.driver} prepares: nothing is trained yet")
    # While nothing runs, a driver writes nothing; that it is alive is seen by its lease.
    late = run.age > LATE * every and bool(run.report.progress.running)
    silence = f", of which nothing was heard for {duration(run.age)}" if late else ""
    header = Text(f"{run.driver}{silence}", style="dim")
    return Group(header, show_progress(run.report.progress))


def _line(report: RunReport, spent: str) -> str:
    """The progress of the run, then of each stage: `12:30:05 3 of 12 done, ...; spent: ... | NAME step 12/40 | ...`."""
    whole = "; ".join(filter(None, (whole_line(report.progress), spent)))
    stages = [f"{stage.name} {', '.join(facts(stage.latest))}" for stage in report.progress.running]
    failures = [f"{name} {reason}" for name, reason in report.progress.failures.items()]
    return " | ".join([f"{time.strftime('%H:%M:%S', time.localtime(report.time))} {whole}", *stages, *failures])


def _dead_driver(run: LiveRun) -> str:
    driver = f"the driver {run.report.driver}" if run.report is not None else "a driver"
    when = f" {duration(run.age)} ago" if run.age is not None else ""
    return f"{driver} died{when}: the same `stilts run` continues from there"
