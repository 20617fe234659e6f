"""Budgets of regimes: how many steps or tokens each stage gets."""

from typing import Any

from tests.plan.conftest import Expand, mistake, stage_of


def test_a_budget_is_shared_to_the_last_step(expanded: Expand, data: Any) -> None:
    """1000 rows of each task: MNLI and SQuAD alike, whatever the order; the joint stage has the whole."""
    sequence = expanded(intermediates={"r": {"stages": ["mnli", "squad"], "budget": {"steps": 301}}})
    assert [stage_of(sequence, position=i).recipe.max_steps for i in (0, 1)] == [151, 150]
    joint = {"r": {"stages": [{"mix": {"tasks": ["mnli", "squad"]}}], "budget": {"steps": 301}}}
    assert stage_of(expanded(intermediates=joint)).recipe.max_steps == 301


def test_a_budget_follows_the_rule_of_the_mixture(expanded: Expand) -> None:
    """2000 sentences of MLM (two languages) to 1000 of MNLI; a cap of 1000 makes them equal, uniform too."""

    def steps(**rule: Any) -> list[int | None]:
        regime = {"stages": ["mlm", "mnli"], "budget": {"steps": 300, **rule}}
        expansion = expanded(intermediates={"r": regime})
        return [stage_of(expansion, position=i).recipe.max_steps for i in (0, 1)]

    assert steps() == [200, 100]
    assert steps(cap=1000) == steps(sampling="uniform") == [150, 150]
    assert steps(sampling="temperature", temperature=2) == [176, 124]  # sqrt 2 to 1


def test_a_budget_in_tokens(expanded: Expand) -> None:
    spec = stage_of(expanded(intermediates={"r": {"stages": ["mnli"], "budget": {"tokens": 5000}}}))
    assert (spec.recipe.max_tokens, spec.recipe.epochs, spec.recipe.max_steps) == (5000, None, None)


def test_a_budget_needs_stages_without_lengths_of_their_own(expanded: Expand) -> None:
    none = {"r": {"stages": [], "budget": {"steps": 5}}}
    assert mistake(expanded, intermediates=none) == "intermediates.r: budget: the regime has no stages to spend it on"
    own = {"r": {"stages": ["squad", {"task": "mnli", "recipe": {"max_steps": 7}}], "budget": {"steps": 5}}}
    assert mistake(expanded, intermediates=own) == (
        "intermediates.r: stages.1.recipe.max_steps: the budget sets how long each stage is; leave it out"
    )
