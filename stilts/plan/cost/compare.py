"""Compare: hours and prices of a plan beside those of the same experiment with other machines or another runtime."""

from collections.abc import Mapping
from typing import Any

from stilts.plan.cost.price import priced
from stilts.plan.cost.simulate import simulation
from stilts.plan.summary import Plan


def compared(plans: Mapping[str, Plan], *, simulate: bool) -> list[dict[str, Any]]:
    """One row per plan, in plain JSON types.

    Each has `name`, `ranks`, `zero_stage`, `gpu_hours` and `longest_stage_hours`. Where the plan has a cluster, it also
    has `currency`, `cost` and `hours_at_least`, and with `simulate` the means `simulated_hours` and `simulated_cost`.
    """
    return [_row(name, plan, simulate) for name, plan in plans.items()]


def _row(name: str, plan: Plan, simulate: bool) -> dict[str, Any]:
    experiment = plan.expansion.experiment
    row: dict[str, Any] = {
        "name": name,
        "ranks": experiment.runtime.ranks,
        "zero_stage": experiment.runtime.zero_stage,
        "gpu_hours": round(plan.gpu_hours, 4),
        "longest_stage_hours": round(max(plan.seconds.values(), default=0.0) / 3600, 4),
    }
    price = priced(plan)
    if price is not None:
        row |= {field: price[field] for field in ("currency", "cost", "hours_at_least")}
    if price is not None and simulate:
        found = simulation(plan)
        row |= {"simulated_hours": found["hours"]["mean"], "simulated_cost": found["cost"]["mean"]}
    return row
