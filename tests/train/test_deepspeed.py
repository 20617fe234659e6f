"""The engine's state, whole."""

import pytest
import torch

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.checkpoint import ResumeStore
from stilts.train.deepspeed import MOMENTS, make_engine, optimizer_state
from stilts.train.loop import train
from tests.train.toys import load_model, make_features, one_part


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_weight_decay_splits_the_groups_and_every_state_is_still_there(base, ranks, tmp_path, zero_stage):
    recipe = Recipe(learning_rate=1e-3, max_steps=3, batch_size=8, max_length=32, weight_decay=0.01, precision="fp32")
    runtime = Runtime(zero_stage=zero_stage, checkpoint_seconds=1e-9)
    model = load_model(base, "span_qa")
    parts = one_part(make_features("span_qa"), "span_qa", recipe)
    train(model, parts, recipe, runtime, ranks, resume=ResumeStore(tmp_path / "resume"))


def test_moments_of_both_groups_are_not_zero(base, ranks):
    model = load_model(base, "classification", 2)
    engine = make_engine(model, Recipe(weight_decay=0.01, precision="fp32"), Runtime(), ranks)
    loss = sum((p.float() ** 2).sum() for p in model.parameters())
    engine.backward(loss, scale_wrt_gas=False)
    engine.step()
    state = dict(optimizer_state(engine, keep=True))
    engine.destroy()
    names = [name for name, _ in model.named_parameters()]
    assert set(state) == {f"{key}.{name}" for name in names for key in ("weight", *MOMENTS)}
    assert all(torch.count_nonzero(state[f"exp_avg.{name}"]) for name, p in model.named_parameters() if p.norm())
