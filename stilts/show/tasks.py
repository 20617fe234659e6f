"""Tables of tasks and families, and the description of one task."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stilts.data.own import CheckedTask
from stilts.tasks.base import Task
from stilts.tasks.families import all_families
from stilts.tasks.metrics import metrics_of
from stilts.tasks.metrics.base import LOSS

SHOWN = 12
"""Labels and languages that a table shows; the others are counted."""


def listed(task: Task) -> dict[str, Any]:
    """What the list of tasks says of one."""
    return {
        "task": task.name,
        "family": task.family,
        "metric": task.metric,
        "languages": len(task.all_languages),
        "labels": len(task.labels),
        "trains on": task.train_on or "-",
        "from": "library" if task.origin is None else "own file",
    }


def families() -> list[dict[str, Any]]:
    """What a declaration may say for each family: metrics, columns and the usual format of files."""
    return [
        {
            "family": name,
            "metrics": ", ".join(sorted(metrics_of(family.scored_as)) or [LOSS]),
            "columns": ", ".join((*family.columns, *(f"[{column}]" for column in family.optional_columns))) or "-",
            "format": family.usual_format or "-",
            "labels": "none" if not family.takes_labels else "listed or read" if family.label_column else "listed",
        }
        for name, family in sorted(all_families().items())
    ]


def described(task: Task) -> dict[str, Any]:
    """Everything that a declaration of the task would say, and where its data lies."""
    hub = task.hub
    return {
        "name": task.name,
        "family": task.family,
        "version": task.version,
        "languages": list(task.all_languages),
        "labels": list(task.labels),
        "metric": task.metric,
        "metrics": list(task.metrics),
        "train_on": task.train_on,
        "head": task.head_name,
        "splits": list(task.splits),
        "format": task.files,
        "columns": dict(task.columns or (hub.columns if hub else {})),
        "hub": None if hub is None else {"id": hub.id, "revision": hub.revision, "config": hub.config},
        "recipe": dict(task.recipe),
        "settings": dict(task.settings),
        "origin": task.origin or "library",
    }


def show_rows(console: Console, rows: Iterable[dict[str, Any]]) -> None:
    """Print rows with the same keys as a table."""
    rows = list(rows)
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)


def show_task(console: Console, task: Task) -> None:
    """Print the description of a task, one line per field."""
    for name, value in described(task).items():
        console.print(f"[bold]{name}[/]: {escape(_in_a_line(value))}", highlight=False)


def _in_a_line(value: Any) -> str:
    if isinstance(value, list):
        return _some(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items()) or "-"
    return "-" if value is None else str(value)


def checked_json(checked: CheckedTask) -> dict[str, Any]:
    """The result of a check in plain JSON types."""
    rows = [
        {"split": split, "language": language, "rows": ref.rows, "labelled": ref.labelled}
        for (split, language), ref in checked.found.items()
    ]
    return {**described(checked.task), "labels": list(checked.labels), "data": rows}


def show_checked(console: Console, checked: CheckedTask) -> None:
    """Print what a file defines, and the number of examples of each split and language."""
    task = checked.task
    labels = f", {len(checked.labels)} labels: {_some(checked.labels)}" if checked.labels else ""
    console.print(f"[bold]{escape(task.name)}[/]: {task.family}, {task.metric}{escape(labels)}", highlight=False)
    by_split: dict[str, list[str]] = {}
    for (split, language), ref in checked.found.items():
        by_split.setdefault(split, []).append(f"{language} {ref.rows:,}{'' if ref.labelled else ' (no gold)'}")
    for split, parts in by_split.items():
        console.print(f"  {split}: {escape(_some(parts))}", highlight=False)
    if task.hub is not None:
        console.print(f"  on the hub: {escape(task.hub.id)} at {task.hub.revision}; not downloaded", highlight=False)
    elif not checked.found:
        console.print("  no files: give them in the experiment, as data.tasks", highlight=False)


def _some(values: Iterable[Any]) -> str:
    values = [str(value) for value in values]
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more if values else "-"
