"""The token budget `auto`: from the free memory, corrected by the first steps, and without effect on the result."""

import pytest

from stilts.encoders.sizes import shape
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import MOST_TOKENS, Runtime
from stilts.plan.cost.memory import LEAST_TOKENS, activation_bytes
from stilts.train import loop, token_budget
from stilts.train.loop import train
from stilts.train.token_budget import TokenBudget
from tests.train.toys import load_model, make_features, one_part

ONE = Runtime(memory_per_rank=1)


def rank_with(free: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a rank have so many bytes that are free."""
    monkeypatch.setattr(TokenBudget, "_free_bytes", lambda self: free)


def test_it_follows_the_free_memory(base, ranks, monkeypatch):
    model = load_model(base, "tagging")
    token = activation_bytes(shape(model.config.to_dict()), ONE)
    for free, budget in ((1e12, MOST_TOKENS["cpu"]), (3000 * token, 2048), (1.0, LEAST_TOKENS), (-1e9, LEAST_TOKENS)):
        rank_with(free, monkeypatch)
        assert TokenBudget(model, Runtime(), ranks, "fp32").estimate(None) == budget
    declared = TokenBudget(model, Runtime(tokens_per_micro_batch=100), ranks, "fp32")
    assert declared.estimate(None) == declared.corrected(100, 100) == 100


def test_a_resumed_stage_keeps_its_budget_where_it_fits(base, ranks, monkeypatch):
    model = load_model(base, "tagging")
    token = activation_bytes(shape(model.config.to_dict()), ONE)
    rank_with(1100 * token, monkeypatch)
    assert TokenBudget(model, Runtime(), ranks, "fp32").estimate(512) == 512
    assert TokenBudget(model, Runtime(), ranks, "fp32").estimate(4096) == 1024


def test_the_first_steps_correct_it(base, ranks, monkeypatch):
    rank_with(2e9, monkeypatch)
    budget = TokenBudget(load_model(base, "tagging"), Runtime(), ranks, "fp32")
    monkeypatch.setattr(token_budget, "_peak", lambda device: budget._before + 2e9)
    assert budget.corrected(8192, 2048) == 2048  # 2048 tokens have taken all that is free
    assert budget.corrected(8192, 1000) == 8192  # too few to tell


def test_it_does_not_change_the_result(base, ranks, monkeypatch):
    recipe = Recipe(learning_rate=1e-3, max_steps=5, batch_size=16, max_length=64, precision="fp32", selection="last")
    parts = one_part(make_features("tagging", 40), "tagging", recipe)
    curves, budgets = [], []
    real = loop.Feed
    for free in (1e12, 1.0):
        rank_with(free, monkeypatch)
        monkeypatch.setattr(loop, "Feed", lambda *args: (budgets.append(args[3]), real(*args))[1])
        curves.append(train(load_model(base, "tagging"), parts, recipe, Runtime(), ranks).losses)
    assert budgets == [MOST_TOKENS["cpu"], LEAST_TOKENS]
    assert [loss for _, loss in curves[0]] == pytest.approx([loss for _, loss in curves[1]], rel=1e-5)
