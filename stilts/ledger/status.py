"""Status: the state of every stage of a plan, as the store shows it."""

from typing import Any

from stilts.experiment.experiment import Experiment
from stilts.ledger.record import read_ending, stage_path
from stilts.ledger.spending import Spending, read_spending
from stilts.plan.graph import Node
from stilts.plan.summary import Plan
from stilts.plan.todo import artifact_name
from stilts.schedule.progress import duration
from stilts.storage.lease import sighting
from stilts.storage.parallel import parallel_map
from stilts.storage.protocol import Store


def stage_states(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """Return `{"name", "state", "detail"}` of each stage, parents first.

    The state is done, running, failed, diverged or waiting. The detail says who runs the stage, or ran it and has not
    been heard of for long, or why the last attempt ended.
    """

    def state(node: Node) -> dict[str, Any]:
        name = artifact_name(node, plan.inventory)
        ended = {"state": "done", "detail": ""} if node.key not in plan.jobs else _unfinished(store, name)
        return {"name": name, **ended}

    return list(parallel_map(store, state, plan.expansion.graph))


def _unfinished(store: Store, name: str) -> dict[str, str]:
    seen = sighting(store, stage_path(name))
    if seen is not None and not seen.silent:
        last = f", last heartbeat {duration(seen.age)} ago" if seen.late else ""
        return {"state": "running", "detail": f"{seen.who}{last}"}
    if seen is not None:
        return {"state": "waiting", "detail": f"{seen.who} was last heard of {duration(seen.age)} ago"}
    ending = read_ending(store, name)
    if ending is None:
        return {"state": "waiting", "detail": ""}
    if ending["status"] in ("failed", "diverged"):
        return {"state": ending["status"], "detail": ending["error"]}
    return {"state": "waiting", "detail": f"{ending.get('again', 'continues')}: {ending['error']}"}


def spending_of(experiment: Experiment, store: Store) -> Spending:
    """Return the GPU-hours and the cost that all runs of an experiment have used so far."""
    return read_spending(store, experiment.name, currency_of(experiment))


def currency_of(experiment: Experiment) -> str:
    return experiment.cluster.currency if experiment.cluster is not None else ""
