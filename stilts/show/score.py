"""Displays the scores of a folder of predictions in a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def show_scores(scores: Mapping[str, Any], console: Console) -> None:
    """Print one table per task, with the mean over languages in its first row, then the averages over tasks.

    Args:
        scores: the result of `stilts.evaluate.score.score_folder`.
    """
    for task, found in scores.items():
        if isinstance(found, Mapping) and "languages" in found:
            console.print(_task_table(task, found, scores["partial"].get(task)))
    averages = {name: value for name, value in scores.items() if isinstance(value, float)}
    summary = Table("average", "score", box=None, header_style="bold", title_justify="left")
    for name, value in averages.items():
        summary.add_row(name, f"{value:.2f}")
    if averages:
        console.print(summary)
    for line in _lacking(scores):
        console.print(f"[bold yellow]{line}[/]")


def _task_table(task: str, found: Mapping[str, Any], partial: str | None) -> Table:
    metrics = [name.removeprefix("avg_") for name in found if name.startswith("avg_")]
    table = Table(box=None, header_style="bold", title=task, title_justify="left", title_style="bold cyan")
    table.add_column("language")
    for metric in metrics:
        table.add_column(metric, justify="right")
    means = (f"{found[f'avg_{metric}']:.2f}" for metric in metrics)
    table.add_row("average" if partial is None else f"mean of {partial}", *means, style="bold")
    for language, values in found["languages"].items():
        table.add_row(language, *(f"{values[m]:.2f}" if m in values else "" for m in metrics))
    return table


def _lacking(scores: Mapping[str, Any]) -> Iterator[str]:
    if not scores["complete"]:
        yield "PARTIAL: averages over tasks are left out where a task or a language is missing"
    for task, count in scores["partial"].items():
        yield f"  {task}: {count}"
    if scores["missing_tasks"]:
        yield f"  not scored: {', '.join(scores['missing_tasks'])}"
