"""Displays the report of `stilts clean` in a terminal or as JSON."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stilts.errors import counted, sized
from stilts.ledger.garbage import GarbageReport, Item
from stilts.ledger.needs import Needs

_ROWS = 40
"""Largest number of items listed in a terminal, the largest items first; `--json` lists all."""


def show_findings(found: GarbageReport, console: Console) -> None:
    """Print the experiments of a store, the files that may be removed, and those that are kept although no experiment
    needs them.
    """
    console.print(_experiments(found))
    for declaration in found.forgotten:
        console.print(f"[yellow]to be forgotten: {escape(declaration.id)}[/]")
    console.print(_items(found) if found.items else "[green]nothing that no experiment needs[/]")
    for path, who in found.held.items():
        console.print(f"[cyan]{escape(path)}: no experiment names it, but {escape(who)} works on it[/]")
    for path in found.unknown:
        console.print(f"[yellow]{escape(path)}: not written by stilts; it stays[/]")
    if found.unlisted:
        names = ", ".join(declaration.id for declaration in found.unlisted)
        console.print(
            f"[yellow]An older stilts wrote {escape(names)}: what is needed there is not listed, so nothing goes that "
            "it could be. `stilts plan` of the same experiment writes the list; --forget drops one.[/]"
        )


def _experiments(found: GarbageReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("experiment", no_wrap=True)
    for column in ("declared", "cells", "stages", "size"):
        table.add_column(column, justify="right")
    table.add_column("")
    trials: dict[str, list[Needs]] = defaultdict(list)
    for declaration, size in found.declarations:
        if declaration.is_trial and declaration.needs is not None:
            trials[declaration.name].append(declaration.needs)
            continue
        who = found.running.get(declaration.name)
        state = f"[cyan]running: {escape(who)}[/]" if who else ""
        needs = declaration.needs
        if needs is None:
            table.add_row(declaration.id, "-", "-", "-", "-", f"[yellow]needs not listed[/] {state}")
        else:
            figures = (_age(needs.written), f"{needs.cells}", f"{len(needs.stages)}", sized(size))
            table.add_row(declaration.id, *figures, state)
    for name, needs_of_trials in trials.items():
        stages = {key for needs in needs_of_trials for key in needs.stages}
        declared = _age(max(needs.written for needs in needs_of_trials))
        table.add_row(f"{name}: {counted(len(needs_of_trials), 'trial')}", declared, "", f"{len(stages)}", "", "")
    return table


def _items(found: GarbageReport) -> Table:
    items = sorted(found.items, key=lambda item: (-item.bytes, item.path))
    more = f", {len(items) - _ROWS} of them not shown (--json lists all)" if len(items) > _ROWS else ""
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True)
    table.add_column("may go", f"{len(items)} in all{more}", overflow="fold")
    table.add_column("size", sized(found.bytes), justify="right", no_wrap=True)
    table.add_column("why")
    for item in items[:_ROWS]:
        table.add_row(escape(item.path), sized(item.bytes), item.why)
    return table


def _age(written: float) -> str:
    seconds = max(0.0, time.time() - written)
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"


def to_json(found: GarbageReport, removed: Sequence[Item] | None) -> dict[str, Any]:
    """Convert the report to plain JSON types.

    Args:
        removed: the items that were removed; None if `stilts clean` only listed them.
    """
    return {
        "experiments": [
            {
                "name": declaration.name,
                "digest": declaration.digest,
                "declared": None if declaration.needs is None else declaration.needs.written,
                "cells": None if declaration.needs is None else declaration.needs.cells,
                "stages": None if declaration.needs is None else len(declaration.needs.stages),
                "bytes": size,
                "running": found.running.get(declaration.name),
            }
            for declaration, size in found.declarations
        ],
        "forgotten": [declaration.id for declaration in found.forgotten],
        "unlisted": [declaration.id for declaration in found.unlisted],
        "items": [{"path": item.path, "why": item.why, "bytes": item.bytes} for item in found.items],
        "bytes": found.bytes,
        "held": found.held,
        "unknown": found.unknown,
        "removed": None if removed is None else [item.path for item in removed],
    }
