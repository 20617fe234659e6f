"""Batches made ahead: the same as those made in time, also after the budget was halved."""

import threading

import numpy as np
import pytest
import torch

from stilts.experiment.recipe import Recipe
from stilts.train.batch import Batch, _laid_out
from stilts.train.feed import Feed, StepBatches
from stilts.train.step_schedule import StepSchedule
from tests.train.toys import load_model, make_features, one_part


@pytest.fixture
def feed(base, ranks):
    model = load_model(base, "tagging")
    recipe = Recipe(learning_rate=1e-3, max_steps=6, batch_size=8, max_length=32)
    made = Feed(
        model, StepSchedule(model, one_part(make_features("tagging"), "tagging", recipe), recipe, None), ranks, 128
    )
    yield made
    made.close()


def tensors(batches: StepBatches) -> list[torch.Tensor]:
    return [batch.buffer for batch, _ in batches.batches if batch.buffer is not None]


def equal(one: StepBatches, other: StepBatches) -> bool:
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_step_is_the_same_made_ahead_or_in_time(feed):
    ahead = [feed.step(step) for step in range(6)]
    assert all(equal(made, feed._make(step)) for step, made in enumerate(ahead))
    assert not equal(ahead[0], ahead[1])
    assert equal(feed.step(2), ahead[2])  # a step out of turn is made in time


def test_the_next_step_is_made_in_another_thread(feed, monkeypatch):
    threads, make = [], feed._make

    def noting(step):
        threads.append((step, threading.current_thread() is threading.main_thread()))
        return make(step)

    monkeypatch.setattr(feed, "_make", noting)
    for step in range(6):
        feed.step(step)
    assert threads == [(0, True), *((step, False) for step in range(1, 6))]


def test_half_a_budget_makes_more_batches_of_the_same_rows(feed):
    whole = feed.step(0)
    assert feed.smaller_budget(0) == 64
    feed.limit(64)
    half = feed.step(0)
    assert len(half.batches) > len(whole.batches)
    assert (half.units, half.examples, half.tokens) == (whole.units, whole.examples, whole.tokens)


def test_an_error_of_the_thread_is_raised_at_its_step(feed, monkeypatch):
    feed.step(0)
    feed.step(1)

    def broken(step):
        raise ZeroDivisionError(step)

    feed.limit(feed.budget // 2)
    monkeypatch.setattr(feed, "_make", broken)
    with pytest.raises(ZeroDivisionError, match="2"):
        feed.step(2)


def test_targets_keep_their_kind_in_the_one_buffer():
    arrays = {"label": np.array([1, -100]), "score": np.array([[0.1, -2.5]], dtype=np.float32), "end": np.array([7])}
    buffer, views = _laid_out(arrays, pin=False)
    made = Batch(
        input_ids=views["label"],
        segments=views["label"],
        positions=views["label"],
        bounds=views["label"],
        types=None,
        packed=False,
        full=True,
        units=views["end"],
        counts=[],
        order=[],
        targets={name: views[name] for name in ("score", "end")},
        buffer=buffer,
    ).to(torch.device("cpu"))
    assert made.targets["score"].dtype is torch.float32
    assert torch.equal(made.targets["score"], torch.tensor([[0.1, -2.5]]))
    assert made.targets["end"].tolist() == [7]
    assert made.input_ids.tolist() == [1, -100]
