"""Shows the progress of an experiment's runs while they are under way.

Everything is read from the store, so that this works from any machine: drivers write their progress to the store every
few seconds (see `stilts.ledger.progress`), and the lease of a run tells whether its driver is alive. Each update makes
a few requests to the store per run.
"""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from stilts.experiment.experiment import Experiment
from stilts.ledger.needs import all_runs
from stilts.ledger.progress import RunReport, read_progress, write_seconds
from stilts.schedule.progress import duration, facts
from stilts.show.progress import show_progress, whole_line
from stilts.show.status import spending_line
from stilts.storage.lease import holder
from stilts.storage.protocol import Store

LATE = 5
"""A driver is reported as late if its progress is older than LATE times the usual interval between writes."""
SETTLE_SECONDS = 1.0
"""Time within which a run that has ended removes its folder after releasing its lease. A folder that remains longer
belongs to a run whose driver died."""


@dataclass(frozen=True)
class LiveRun:
    """The state of one run, as read from the store.

    Attributes:
        who: the driver that holds the run's lease, as `host (process N)`; None if the driver is dead.
        told: the last progress that the driver wrote; None if it has not written any yet.
    """

    who: str | None
    told: RunReport | None

    @property
    def age(self) -> float | None:
        """Seconds since the driver last wrote its progress; None if it has not written any."""
        return None if self.told is None else max(0.0, time.time() - self.told.time)

    def to_json(self) -> dict[str, Any]:
        told = self.told
        driver = self.who or (told and told.driver)
        progress = None if told is None else asdict(told.progress)
        return {"driver": driver, "alive": self.who is not None, "age": self.age, "progress": progress}


def live_runs(store: Store, experiment: str) -> list[LiveRun]:
    """The runs of an experiment that are under way, and those whose driver died."""
    return [LiveRun(holder(store, path), read_progress(store, path)) for path in all_runs(store, experiment)]


def watch(experiment: Experiment, store: Store, console: Console) -> None:
    """Show the runs of an experiment until none is under way, then report those whose driver died.

    A terminal shows the same display as the driver's. If the output is not a terminal, a line is printed for every
    progress that a driver writes.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    every = write_seconds(store)
    said: dict[str | None, float] = {}
    screen = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else nullcontext()
    with screen as live:
        while runs := [run for run in live_runs(store, experiment.name) if run.who]:
            spent = spending_line(experiment, store)
            if live is not None:
                live.update(Group(*(_display(run, every) for run in runs), Text(spent, style="dim")), refresh=True)
            for run in runs:
                if live is None and run.told is not None and said.get(run.who) != run.told.time:
                    said[run.who] = run.told.time
                    console.print(Text(_line(run.told, spent)), soft_wrap=True)
            time.sleep(every)
    time.sleep(SETTLE_SECONDS)
    for run in live_runs(store, experiment.name):
        if run.who is None:
            console.print(f"[yellow]{_death(run)}[/]", soft_wrap=True, highlight=False)


def _display(run: LiveRun, every: float) -> RenderableType:
    if run.told is None or run.age is None:
        return Text(f"{run.who} prepares: nothing is trained yet")
    late = run.age > LATE * every
    said = Text(f"{run.who}" + (f", of which nothing was heard for {duration(run.age)}" if late else ""), style="dim")
    return Group(said, show_progress(run.told.progress))


def _line(told: RunReport, spent: str) -> str:
    """The progress of the run, then of each stage: `12:30:05 3 of 12 done, ...; spent: ... | NAME step 12/40 | ...`."""
    whole = "; ".join(filter(None, (whole_line(told.progress), spent)))
    stages = [f"{stage.name} {', '.join(facts(stage.latest))}" for stage in told.progress.running]
    return " | ".join([f"{time.strftime('%H:%M:%S', time.localtime(told.time))} {whole}", *stages])


def _death(run: LiveRun) -> str:
    who = f"the driver {run.told.driver}" if run.told is not None else "a driver"
    when = f" {duration(run.age)} ago" if run.age is not None else ""
    return f"{who} died{when}: the same `stilts run` goes on from there"
