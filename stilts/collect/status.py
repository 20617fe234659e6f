"""Status: the state of every stage, read from the store alone, so that it can be asked from anywhere."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stilts.experiment.experiment import Experiment
from stilts.ledger.record import read_failure, stage_path
from stilts.ledger.spending import Spending, read_spending
from stilts.plan.graph import Node
from stilts.plan.summary import Plan
from stilts.plan.todo import artifact_name
from stilts.storage.lease import holder
from stilts.storage.parallel import ask_many
from stilts.storage.protocol import Store

_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "diverged": "red", "waiting": "dim"}


def stage_states(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """`{"name", "state", "detail"}` per stage, parents first; state is done, running, failed, diverged or waiting."""

    def state(node: Node) -> dict[str, Any]:
        name = artifact_name(node, plan.inventory)
        ended = {"state": "done", "detail": ""} if node.key not in plan.jobs else _unfinished(store, name)
        return {"name": name, **ended}

    return list(ask_many(store, state, plan.expansion.graph))


def _unfinished(store: Store, name: str) -> dict[str, str]:
    holding = holder(store, stage_path(name))
    if holding is not None:
        return {"state": "running", "detail": holding}
    failure = read_failure(store, name)
    if failure is not None:
        return {"state": failure["status"], "detail": failure["error"]}
    return {"state": "waiting", "detail": ""}


def show_status(states: list[dict[str, Any]], console: Console) -> None:
    """Counts, then a line for each stage."""
    counts = {state: sum(row["state"] == state for row in states) for state in _COLOURS}
    console.print("   ".join(f"[{_COLOURS[s]}]{s}[/] {n}" for s, n in counts.items() if n))
    table = Table("stage", "state", "detail", box=None, header_style="bold")
    for row in states:
        first_line = row["detail"].partition("\n")[0]
        table.add_row(row["name"], f"[{_COLOURS[row['state']]}]{row['state']}[/]", escape(first_line))
    console.print(table)


def spending_of(experiment: Experiment, store: Store) -> Spending:
    """What all launches have used so far."""
    return read_spending(store, experiment.name, _currency(experiment))


def spending_line(experiment: Experiment, store: Store) -> str:
    """The same in words; empty where there was no launch."""
    spent = spending_of(experiment, store)
    if not spent.launches:
        return ""
    currency = _currency(experiment)
    cost = f", {spent.cost:,.2f} {currency}" if currency else ""
    launches = "1 launch" if spent.launches == 1 else f"{spent.launches} launches"
    return f"spent: {spent.gpu_hours:,.3f} GPU-hours{cost} in {launches}"


def _currency(experiment: Experiment) -> str:
    return experiment.cluster.currency if experiment.cluster is not None else ""
