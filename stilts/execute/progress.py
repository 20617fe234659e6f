"""What a person sees of a run: a live display on a terminal, one line an event in a pipe or a log file."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stilts.plan.agenda import Agenda, Status

ROWS = 20
SAY_SECONDS = 60.0
"""In a pipe, a long stage says this often where it is."""


@dataclass
class _Running:
    since: float
    said: float
    latest: dict[str, Any] = field(default_factory=dict)


class Progress(tune.Callback):
    """Follows the trials of one run and shows them on a console.

    Args:
        agenda: the run's stages; read only.
        console: where to write; a terminal gets the live display, anything else a line for each event.
        spent: what the run has used so far, in words.
    """

    def __init__(self, agenda: Agenda, console: Console | None = None, spent: Callable[[], str] = str) -> None:
        self._agenda, self._spent = agenda, spent
        self._console = console or Console(stderr=True)
        self._running: dict[str, _Running] = {}
        self._begin = time.monotonic()
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks, for a restore that never comes; a console cannot be.
        return {}

    def showing(self) -> AbstractContextManager[Any]:
        """The context in which the display is alive."""
        return self._live if self._console.is_terminal else nullcontext()

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
        running.latest = result
        if not self._console.is_terminal and time.monotonic() - running.said > SAY_SECONDS:
            running.said = time.monotonic()
            self._say("at", trial.config["stage"], ", ".join(filter(None, _facts(running))))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = trial.config["stage"]
        self._running.pop(name, None)
        outcome = self._agenda.outcomes[name]
        self._say(outcome.status, name, f"in {duration(outcome.seconds)}", outcome.message)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = trial.config["stage"]
        self._running.pop(name, None)
        outcome = self._agenda.outcomes[name]
        if outcome.status == "failed":
            self._say("failed", name, "", outcome.message)
            return
        event, detail = {
            "process": ("lost", f"again, retry {outcome.retries} of {self._agenda.max_retries}"),
            "node": ("lost", "with its node, again"),
            "store": ("lost", "the store, again"),
            "preemption": ("preempted", "goes on"),
            "stop": ("stopped", "goes on with the next run"),
        }[outcome.cause or "process"]
        self._say(event, name, detail, outcome.message)

    def tell(self, text: str) -> None:
        """Show a line that is not about one stage."""
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}", style="yellow"), soft_wrap=True)

    def _say(self, event: str, name: str, detail: str = "", reason: str = "") -> None:
        line = Text(f"{time.strftime('%H:%M:%S')} ")
        line.append(f"{event:<9} ", style=_STYLES.get(event, ""))
        line.append(f"{name} {detail}".rstrip())
        line.append(f"  [{self._summary()}]", style="dim")
        if reason:
            line.append(f"\n          {reason}")
        self._console.print(line, soft_wrap=True)

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("running", "step", "loss", "tokens/s", "left"):
            table.add_column(column, justify="left" if column == "running" else "right")
        shown = list(self._running.items())[:ROWS]
        for name, running in shown:
            table.add_row(*_row(name, running))
        rest = len(self._running) - len(shown)
        more = Text(f"and {rest} more" if rest else "", style="dim")
        left = remaining(self._agenda, len(self._running), self._elapsed())
        status = Text(f"{self._summary()}, {duration(time.monotonic() - self._begin)} so far")
        status.append(f", about {duration(left)} left" if left is not None else "")
        done = sum(outcome.status == "done" for outcome in self._agenda.outcomes.values())
        whole = Table.grid(padding=(0, 2))
        whole.add_row(ProgressBar(total=len(self._agenda.outcomes), completed=done, width=40), status)
        return Group(table, *([more] if rest else []), whole)

    def _summary(self) -> str:
        return "; ".join(filter(None, (summary(self._agenda), self._spent())))

    def _elapsed(self) -> dict[str, float]:
        now = time.monotonic()
        return {name: now - running.since for name, running in self._running.items()}


_STYLES = {
    "done": "green",
    **dict.fromkeys(("failed", "diverged"), "red"),
    **dict.fromkeys(("lost", "preempted", "stopped"), "yellow"),
}


def _row(name: str, running: _Running) -> list[str]:
    latest = running.latest
    step, steps = latest.get("step"), latest.get("steps")
    phase = latest.get("phase", "" if step is not None else "starting")
    count = "" if step is None else f"{step}/{steps}" if steps else str(step)
    loss, speed, eta = latest.get("loss"), latest.get("tokens_per_second"), latest.get("eta")
    return [
        name,
        f"{phase} {count}".strip(),
        "" if loss is None else f"{loss:.3f}",
        "" if speed is None else f"{speed:,.0f}",
        "" if eta is None else duration(eta),
    ]


def _facts(running: _Running) -> list[str]:
    """What the row says, in words: `step 120/400`, `loss 1.203`, `8,120 tokens/s`, `35.0 s left`."""
    _, where, loss, speed, eta = _row("", running)
    return [
        f"step {where}" if where[:1].isdigit() else where,
        loss and f"loss {loss}",
        speed and f"{speed} tokens/s",
        eta and f"{eta} left",
    ]


def summary(agenda: Agenda) -> str:
    """Counts by status: `3 of 12 done, 2 running, 2 waiting, 1 failed, 4 not run`."""
    counts = Counter(outcome.status for outcome in agenda.outcomes.values())
    parts = [f"{counts['done']} of {len(agenda.outcomes)} done"]
    others: tuple[Status, ...] = ("running", "waiting", "failed", "diverged", "not run")
    parts += [f"{counts[status]} {status}" for status in others if counts[status]]
    return ", ".join(parts)


def remaining(agenda: Agenda, at_once: int, elapsed: dict[str, float]) -> float | None:
    """Seconds to the end of the run: the larger of the work left over the trials at once, and the longest chain left.

    The estimates are scaled by what the finished stages really took; None before the first has finished, and where
    every stage has used up its estimate.

    Args:
        at_once: trials that run now.
        elapsed: seconds that each of them has run.
    """
    done = [name for name, outcome in agenda.outcomes.items() if outcome.status == "done"]
    expected = sum(agenda.seconds[name] for name in done)
    if not expected or not at_once:
        return None
    scale = sum(agenda.outcomes[name].seconds for name in done) / expected
    work, longest = 0.0, 0.0
    for name, outcome in agenda.outcomes.items():
        if outcome.status in ("waiting", "running"):
            spent = elapsed.get(name, 0.0)
            work += max(0.0, scale * agenda.seconds[name] - spent)
            longest = max(longest, scale * agenda.chain[name] - spent)
    return max(work / at_once, longest) or None


def duration(seconds: float) -> str:
    """`8.4 s`, `3 min 20 s`, `2 h 5 min` or `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
