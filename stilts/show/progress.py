"""Displays the progress of a run in a terminal. `stilts run` and `stilts status --watch` use the same display."""

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stilts.schedule.progress import RunProgress, duration, numbers, position, summary

ROWS = 20
"""Largest number of running stages shown."""


def show_progress(progress: RunProgress, spent: str = "") -> Group:
    """A table of the running stages, with a progress bar of the run below it.

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
    return Group(table, *more, whole)


def whole_line(progress: RunProgress, spent: str = "") -> str:
    """`3 of 12 done, 2 running; 0.50 GPU-hours, 2 min 5 s so far, about 8 min 0 s left`."""
    counted = "; ".join(filter(None, (summary(progress.counts), spent)))
    left = "" if progress.left is None else f", about {duration(progress.left)} left"
    return f"{counted}, {duration(progress.seconds)} so far{left}"
