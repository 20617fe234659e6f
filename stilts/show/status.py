"""Displays the state of every stage, and what an experiment has spent."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stilts.experiment.experiment import Experiment
from stilts.ledger.status import currency_of, spending_of
from stilts.storage.protocol import Store

_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "diverged": "red", "waiting": "dim"}


def show_status(states: list[dict[str, Any]], console: Console) -> None:
    """Print the number of stages in each state, then a table with a row per stage."""
    counts = {state: sum(row["state"] == state for row in states) for state in _COLOURS}
    console.print("   ".join(f"[{_COLOURS[s]}]{s}[/] {n}" for s, n in counts.items() if n))
    table = Table("stage", "state", "detail", box=None, header_style="bold")
    for row in states:
        first_line = row["detail"].partition("\n")[0]
        table.add_row(row["name"], f"[{_COLOURS[row['state']]}]{row['state']}[/]", escape(first_line))
    console.print(table)


def spending_line(experiment: Experiment, store: Store) -> str:
    """What an experiment has spent, as `spent: 0.500 GPU-hours, 1.20 USD in 2 launches`; empty before any launch."""
    spent = spending_of(experiment, store)
    if not spent.launches:
        return ""
    currency = currency_of(experiment)
    cost = f", {spent.cost:,.2f} {currency}" if currency else ""
    launches = "1 launch" if spent.launches == 1 else f"{spent.launches} launches"
    return f"spent: {spent.gpu_hours:,.3f} GPU-hours{cost} in {launches}"
