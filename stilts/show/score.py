"""Show scores of a prediction folder on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show_scores(scores: Mapping[str, Any], console: Console) -> None:
    """A block for each task, the averages in bold and the languages below; then the groups and `all_task`."""
    groups = {name: value for name, value in scores.items() if not isinstance(value, Mapping)}
    for task, found in scores.items():
        if isinstance(found, Mapping):
            console.print(_task_table(task, found))
    summary = Table("average", "score", box=None, header_style="bold", title_justify="left")
    for name, value in groups.items():
        summary.add_row(name, f"{value:.2f}")
    if groups:
        console.print(summary)


def _task_table(task: str, found: Mapping[str, Any]) -> Table:
    metrics = [name.removeprefix("avg_") for name in found if name.startswith("avg_")]
    table = Table(box=None, header_style="bold", title=task, title_justify="left", title_style="bold cyan")
    table.add_column("language")
    for metric in metrics:
        table.add_column(metric, justify="right")
    table.add_row("average", *(f"{found[f'avg_{metric}']:.2f}" for metric in metrics), style="bold")
    for language, values in found["languages"].items():
        table.add_row(language, *(f"{values[m]:.2f}" if m in values else "" for m in metrics))
    return table
