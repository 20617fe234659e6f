"""The display of a run: a live view on a terminal, one line per event in a pipe or a log file."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from stilts.ledger.logs import DEFAULT_STORE, log_command
from stilts.schedule.agenda import Agenda
from stilts.schedule.causes import CAUSES, again
from stilts.schedule.progress import (
    REPORTED,
    RunProgress,
    StageProgress,
    counts_of,
    duration,
    elsewhere,
    facts,
    progress_of,
    summary,
    trained_by,
)
from stilts.show.status import show_progress

Publish = Callable[[Callable[[], RunProgress]], None]
"""Called very often with a function that returns the progress; decides when to take it."""

SAY_SECONDS = 60.0
"""In a pipe, the seconds between two lines about a running stage."""
WAITING_SECONDS = 600.0
"""In a pipe, the seconds between two lines that say for whom the run waits."""


@dataclass
class _Running:
    since: float
    said: float
    latest: dict[str, Any] = field(default_factory=dict)
    dev: float | None = None
    """Best dev score so far."""


class Display(tune.Callback):
    """Tune callback that follows the trials of one run and shows them on a console.

    Args:
        agenda: the run's stages; read only.
        console: where to write. A terminal gets the live view, anything else one line per event.
        spent: returns what the run has used so far, in words.
        publish: publishes the progress for other processes.
        store: URI of the store, for the command that shows the log of a stage.
    """

    def __init__(
        self,
        agenda: Agenda,
        console: Console | None = None,
        spent: Callable[[], str] = str,
        publish: Publish | None = None,
        store: str = DEFAULT_STORE,
    ) -> None:
        self._agenda, self._spent, self._publish, self._store = agenda, spent, publish, store
        self._console = console or Console(stderr=True)
        self._running: dict[str, _Running] = {}
        self._begin = time.monotonic()
        self._waited = float("-inf")
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore them later, which stilts never does; a console cannot be pickled.
        return {}

    def showing(self) -> AbstractContextManager[Any]:
        """The context in which the live view is shown."""
        return self._live if self._console.is_terminal else nullcontext()

    @property
    def now(self) -> RunProgress:
        """The progress of the run."""
        now = time.monotonic()
        running = []
        for name, stage in list(self._running.items()):
            reported = {fact: stage.latest[fact] for fact in REPORTED if fact in stage.latest}
            running.append(StageProgress(name, now - stage.since, reported))
        return progress_of(self._agenda, now - self._begin, tuple(running))

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._publish is not None:
            self._publish(lambda: self.now)
        if not self._console.is_terminal and not self._agenda.running and self._agenda.leased:
            self._say_waiting()

    def _say_waiting(self) -> None:
        """Say now and then for whom the run waits, while nothing runs here and another driver trains what is ready."""
        waits = trained_by(elsewhere(self._agenda))
        if waits and time.monotonic() - self._waited > WAITING_SECONDS:
            self._waited = time.monotonic()
            self.note(f"{waits}; this run waits")

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = trial.config["stage"]
        now = time.monotonic()
        self._running[name] = _Running(now, now)
        if not self._console.is_terminal:
            self._say("start", name)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        running = self._running.get(trial.config["stage"])
        if running is None:
            return
        if "step" in result or "phase" in result or not running.latest:
            running.latest = result  # a rank that is too busy to answer in time leaves a result without a position
        if result.get("curve"):
            running.dev = max(score for _, score in result["curve"])
        if not self._console.is_terminal and time.monotonic() - running.said > SAY_SECONDS:
            running.said = time.monotonic()
            self._say("at", trial.config["stage"], ", ".join(facts(running.latest)))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = trial.config["stage"]
        ended = self._running.pop(name, None)
        outcome = self._agenda.outcomes[name]
        if outcome.status == "waiting":
            self._say("passed", name, f"trained by {trial.last_result['error']}")
            return
        dev = "" if ended is None or ended.dev is None else f", dev {ended.dev:.1f}"
        self._say(outcome.status, name, f"in {duration(outcome.seconds)}{dev}", outcome.message)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = trial.config["stage"]
        self._running.pop(name, None)
        outcome = self._agenda.outcomes[name]
        if outcome.status == "failed":
            self._say("failed", name, "", outcome.message)
            return
        cause = outcome.cause or "process"
        detail = again(cause, outcome.lost[cause], self._agenda.max_retries)
        self._say(CAUSES[cause].event, name, detail, outcome.message)

    def note(self, text: str) -> None:
        """Show a line that is not about one stage."""
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}", style="yellow"), soft_wrap=True)

    def fail(self, text: str) -> None:
        """Leave the live view and show an error, because the process is about to end without leaving its contexts."""
        self._live.stop()
        self._console.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True, highlight=False)

    def _say(self, event: str, name: str, detail: str = "", reason: str = "") -> None:
        line = Text(f"{time.strftime('%H:%M:%S')} ")
        line.append(f"{event:<9} ", style=_STYLES.get(event, ""))
        line.append(f"{name} {detail}".rstrip())
        line.append(f"  [{self._summary()}]", style="dim")
        if reason:
            line.append(f"\n          {reason}")
        if event not in ("start", "at", "done", "stopped", "passed", CAUSES["stop"].event, CAUSES["preemption"].event):
            line.append(f"\n          {log_command(name, self._store)}", style="dim")
        self._console.print(line, soft_wrap=True)

    def _render(self) -> Group:
        return show_progress(self.now, self._spent())

    def _summary(self) -> str:
        return "; ".join(filter(None, (summary(counts_of(self._agenda)), self._spent())))


_STYLES = {
    "done": "green",
    **dict.fromkeys(("failed", "diverged"), "red"),
    **{rule.event: "yellow" for rule in CAUSES.values()},
}
