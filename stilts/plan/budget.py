"""Budget: divides the steps or tokens of a regime among its stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stilts.data.batching import largest_remainders
from stilts.data.mixing import shares
from stilts.errors import StiltsError
from stilts.experiment.regimes import BudgetDecl, StageDecl
from stilts.identity.stage import Mixing, Part

_LENGTHS = ("epochs", "max_steps", "max_tokens")
"""Fields of a recipe that set the length of a stage."""


@dataclass(frozen=True)
class Allowance:
    """The length of a stage that a budget sets, in place of the length in its recipe. One of the fields is given."""

    steps: int | None = None
    tokens: int | None = None

    def fields(self) -> dict[str, Any]:
        """The recipe fields that this length replaces."""
        if self.steps is None and self.tokens is None:
            return {}
        return {"epochs": None, "max_steps": self.steps, "max_tokens": self.tokens}


FREE = Allowance()


def allot(budget: BudgetDecl, stages: Sequence[StageDecl], parts: Sequence[Sequence[Part]]) -> list[Allowance]:
    """Divide the budget of a regime among its stages. The shares add up to the whole budget.

    Args:
        parts: the tasks of each stage.

    Raises:
        StiltsError: the regime has no stage, a stage sets its own length, the number of examples of a task is not
            known, or the share of a stage is zero.
    """
    if not stages:
        raise StiltsError("budget: the regime has no stages to spend it on")
    for i, stage in enumerate(stages):
        for name in _LENGTHS:
            if name in stage.recipe.model_fields_set:
                raise StiltsError(f"stages.{i}.recipe.{name}: the budget sets how long each stage is; leave it out")
    weights = [1.0] if len(stages) == 1 else _weights(budget, parts)
    amounts = largest_remainders(np.array(weights), budget.steps or budget.tokens or 0).tolist()
    if 0 in amounts:
        raise StiltsError(f"budget: stage {amounts.index(0)} gets no share of it; raise the budget, or lower the cap")
    return [Allowance(steps=n) if budget.steps else Allowance(tokens=n) for n in amounts]


def _weights(budget: BudgetDecl, parts: Sequence[Sequence[Part]]) -> list[float]:
    """Weight of each stage: the sum of the shares that its tasks would have in a mixture of all tasks of the regime."""
    sizes: dict[str, int] = {}
    for i, own in enumerate(parts):
        for part in own:
            if not part.rows and budget.sampling != "uniform":
                raise StiltsError(f"budget: the size of {part.task} is not known; give each stage max_steps instead")
            sizes[f"{i} {part.task}"] = part.rows or 1
    found = iter(shares(sizes, Mixing(budget.sampling, budget.cap, float(budget.temperature))).values())
    return [sum(next(found) for _ in own) for own in parts]
