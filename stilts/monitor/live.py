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
from stilts.show.status import show_progress, spending_line, whole_line
from stilts.storage.lease import holder
from stilts.storage.protocol import Store
from stilts.waiting import become_patient

LATE = 5
"""A driver is reported as late if its progress is older than LATE times the usual interval between writes."""
SETTLE_SECONDS = 1.0
"""Time within which a run that has ended removes its folder after releasing its lease. A folder that remains longer
belongs to a run whose driver died."""


@dataclass(frozen=True)
class LiveRun:
    """The state of one run, as read from the store.

    Attributes:
        driver: the driver that holds the run's lease, as `host (process N)`; None if the driver is dead.
        report: the last progress that the driver wrote; None if it has not written any yet.
    """

    driver: str | None
    report: RunReport | None

    @property
    def age(self) -> float | None:
        """Seconds since the driver last wrote its progress; None if it has not written any."""
        return None if self.report is None else max(0.0, time.time() - self.report.time)

    def to_json(self) -> dict[str, Any]:
        report = self.report
        driver = self.driver or (report and report.driver)
        progress = None if report is None else asdict(report.progress)
        return {"driver": driver, "alive": self.driver is not None, "age": self.age, "progress": progress}


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
    printed: dict[str | None, float] = {}
    screen = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else nullcontext()
    with screen as live:
        while runs := [run for run in live_runs(store, experiment.name) if run.driver]:
            spent = spending_line(experiment, store)
            if live is not None:
                live.update(Group(*(_display(run, every) for run in runs), Text(spent, style="dim")), refresh=True)
            for run in runs:
                if live is None and run.report is not None and printed.get(run.driver) != run.report.time:
                    printed[run.driver] = run.report.time
                    console.print(Text(_line(run.report, spent)), soft_wrap=True)
            become_patient()  # whoever watches for hours does not want to lose the display by an outage
            time.sleep(every)
    time.sleep(SETTLE_SECONDS)
    for run in live_runs(store, experiment.name):
        if run.driver is None:
            console.print(f"[yellow]{_dead_driver(run)}[/]", soft_wrap=True, highlight=False)


def _display(run: LiveRun, every: float) -> RenderableType:
    if run.report is None or run.age is None:
        return Text(f"{run.driver} prepares: nothing is trained yet")
    late = run.age > LATE * every
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
