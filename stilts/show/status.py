"""Displays the state of stages, the progress of a run, and what an experiment has spent.

`stilts run` and `stilts status --watch` use the same display of the progress.
"""

from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stilts.experiment.experiment import Experiment
from stilts.ledger.logs import DEFAULT_STORE, log_command
from stilts.ledger.spending import Spending
from stilts.ledger.status import currency_of, spending_of
from stilts.plan.cost.estimate import hours_unit
from stilts.schedule.progress import RunProgress, duration, numbers, position, summary, trained_by
from stilts.storage.protocol import Store

ROWS = 20
"""Largest number of running stages shown."""

_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "diverged": "red", "waiting": "dim"}


def show_status(states: list[dict[str, Any]], console: Console, store: str = DEFAULT_STORE) -> None:
    """Print the number of stages in each state, then a table with a row per stage.

    Args:
        store: URI of the store, for the command that shows why a stage failed.
    """
    counts = {state: sum(row["state"] == state for row in states) for state in _COLOURS}
    console.print("   ".join(f"[{_COLOURS[s]}]{s}[/] {n}" for s, n in counts.items() if n))
    table = Table("stage", "state", "detail", box=None, header_style="bold")
    for row in states:
        first_line = row["detail"].partition("\n")[0]
        table.add_row(row["name"], f"[{_COLOURS[row['state']]}]{row['state']}[/]", escape(first_line))
        if row["state"] in ("failed", "diverged"):
            table.add_row("", "", Text(log_command(row["name"], store), style="dim"))
    console.print(table)


def spending_line(experiment: Experiment, store: Store) -> str:
    """What an experiment has spent, as the store says (see `spending_words`)."""
    return spending_words(experiment, spending_of(experiment, store))


def spending_words(experiment: Experiment, spent: Spending) -> str:
    """What an experiment has spent, as `spent: 0.500 GPU-hours, 1.20 USD in 2 launches`; empty before any launch."""
    if not spent.launches:
        return ""
    currency = currency_of(experiment)
    cost = f", {spent.cost:,.2f} {currency}" if currency else ""
    unit = hours_unit(experiment.runtime, experiment.cluster)
    launches = "1 launch" if spent.launches == 1 else f"{spent.launches} launches"
    return f"spent: {spent.gpu_hours:,.3f} {unit}{cost} in {launches}"


def show_progress(progress: RunProgress, spent: str = "") -> Group:
    """A table of the running stages, with the failed ones and a progress bar of the run below it.

    Args:
        spent: text about what the run has spent so far.
    """
    shown = progress.running[:ROWS]
    rows = {stage.name: numbers(stage.latest) for stage in shown}
    # The columns GPU and memory are left out if no stage reports them.
    columns = [name for name in numbers({}) if name not in ("GPU", "memory") or any(row[name] for row in rows.values())]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("running")
    for column in ("step", *columns):
        table.add_column(column, justify="right")
    for stage in shown:
        table.add_row(stage.name, position(stage.latest), *(rows[stage.name][column] for column in columns))
    rest = len(progress.running) - len(shown)
    more = [Text(f"and {rest} more", style="dim")] if rest else []
    whole = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(1, progress.stages), completed=progress.counts["done"], width=40)
    whole.add_row(bar, Text(whole_line(progress, spent)))
    failures = [
        Text(f"{name} {reason}", style="red", no_wrap=True, overflow="ellipsis")
        for name, reason in progress.failures.items()
    ]
    others = [Text(trained_by(progress.elsewhere), style="dim")] if progress.elsewhere else []
    return Group(table, *more, *failures, *others, whole)


def whole_line(progress: RunProgress, spent: str = "") -> str:
    """`3 of 12 done, 2 running; 0.50 GPU-hours, 2 min 5 s so far, about 8 min 0 s left`."""
    counted = "; ".join(filter(None, (summary(progress.counts), spent)))
    left = "" if progress.left is None else f", about {duration(progress.left)} left"
    return f"{counted}, {duration(progress.seconds)} so far{left}"
