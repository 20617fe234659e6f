"""The engine: its gradients, its parameter groups, and its whole state."""

from unittest.mock import patch

import pytest
import torch

from stilts.evaluate.predict import forward
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.checkpoint import ResumeStore
from stilts.train.engine_choice import make_engine
from stilts.train.feed import Feed
from stilts.train.loop import train
from stilts.train.model import Model
from stilts.train.optimizer import MOMENTS, HeadAdamW
from stilts.train.precision import set_precision
from tests.train.toys import load_model, make_base, make_features, one_part

SIZES = {
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "dropout": 0.0},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 2, "dropout": 0.0},
}


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_weight_decay_splits_the_groups_and_every_state_is_still_there(base, ranks, tmp_path, zero_stage):
    recipe = Recipe(learning_rate=1e-3, max_steps=3, batch_size=8, max_length=32, weight_decay=0.01, precision="fp32")
    runtime = Runtime(engine="deepspeed", zero_stage=zero_stage, checkpoint_seconds=1e-9)
    model = load_model(base, "span_qa")
    parts = one_part(make_features("span_qa"), "span_qa", recipe)
    train(model, parts, recipe, runtime, ranks, resume=ResumeStore(tmp_path / "resume"))


def test_moments_of_both_groups_are_not_zero(base, ranks):
    model = load_model(base, "classification", 2)
    engine = make_engine(model, Recipe(weight_decay=0.01, precision="fp32"), Runtime(engine="deepspeed"), ranks)
    loss = sum((p.float() ** 2).sum() for p in model.parameters())
    engine.backward(loss)
    engine.step(0.0, {"classification"})
    state = {name: value.clone() for name, value in engine.state()}
    engine.destroy()
    names = [name for name, _ in model.named_parameters()]
    assert set(state) == {f"{key}.{name}" for name in names for key in ("weight", *MOMENTS)}
    assert all(torch.count_nonzero(state[f"exp_avg.{name}"]) for name, p in model.named_parameters() if p.norm())


def gradients_at_the_step(base, ranks, engine: str, zero_stage: int, budget: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All gradients as AdamW is given them in a step of many micro-batches, and as autograd's sums give them.

    Both are sorted, since ZeRO lays parameters out in an order of its own.
    """
    recipe = Recipe(learning_rate=1e-3, max_steps=1, batch_size=16, max_length=32, selection="last", max_grad_norm=1e9)
    runtime = Runtime(engine=engine, zero_stage=zero_stage, tokens_per_micro_batch=budget)
    seen: list[torch.Tensor] = []
    step = HeadAdamW.step

    def watch(self, closure=None):
        seen.extend(p.grad.flatten().clone() for g in self.param_groups for p in g["params"] if p.grad is not None)
        return step(self, closure)

    made, make = [], Feed.step

    def keep(self, number):
        made.append(make(self, number))
        return made[-1]

    model = load_model(base, "tagging")
    parts = one_part(make_features("tagging", 16), "tagging", recipe)
    with patch.object(HeadAdamW, "step", watch), patch.object(Feed, "step", keep):
        train(model, parts, recipe, runtime, ranks)

    plain = load_model(base, "tagging").bfloat16()
    totals = {name: torch.zeros(p.shape) for name, p in plain.named_parameters()}
    assert len(made[0].batches) > 3
    for batch, _ in made[0].batches:
        (plain(batch) / made[0].units).backward()
        for name, p in plain.named_parameters():
            totals[name] += p.grad.float()
            p.grad = None
    return torch.cat(seen), torch.cat([value.flatten() for value in totals.values()])


@pytest.mark.parametrize(("engine", "zero_stage"), [("torch", 1), *(("deepspeed", stage) for stage in (1, 2, 3))])
def test_gradients_accumulate_and_reduce_in_fp32(base, ranks, engine, zero_stage):
    found, expected = gradients_at_the_step(base, ranks, engine, zero_stage, budget=64)
    assert found.dtype is torch.float32
    rounded = (found == found.bfloat16().float())[found != 0].float().mean().item()
    assert rounded < 0.4  # what one micro-batch alone reads, such as an embedding, is as backward passes give it
    assert found.norm().item() == pytest.approx(expected.norm().item(), rel=5e-6)
    # Engines pad their flat buffers with zeros; the plain sum has zeros for the embedding's rows that are not read.
    size = max(len(found), len(expected))
    found, expected = (torch.cat([part, torch.zeros(size - len(part))]) for part in (found, expected))
    # ZeRO 3 has linear layers of its own, whose backward pass rounds to bf16 elsewhere.
    atol = 1e-3 if zero_stage == 3 else 1e-8
    assert torch.allclose(found.sort().values, expected.sort().values, rtol=1e-5, atol=atol)


def test_an_embedding_that_is_never_read_does_not_decay(text_file, tmp_path, ranks):
    base = make_base(tmp_path, text_file, plain=True, model_type="xlnet", **SIZES["xlnet"])
    recipe = Recipe(learning_rate=1e-2, max_steps=3, batch_size=8, max_length=32, weight_decay=0.5, selection="last")
    model = load_model(base, "classification")
    before = model.encoder.mask_emb.detach().clone()
    train(model, one_part(make_features("classification"), "classification", recipe), recipe, Runtime(), ranks)
    assert torch.equal(model.encoder.mask_emb.float(), before.float())


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_master_weights_begin_and_leave_unrounded(base, ranks, zero_stage):
    """A stage in bf16 starts from the very fp32 weights that the stage before it ended with."""
    recipe = Recipe(learning_rate=1e-30, max_steps=2, batch_size=8, max_length=32, selection="last")
    model = load_model(base, "classification")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    parts = one_part(make_features("classification"), "classification", recipe)
    train(model, parts, recipe, Runtime(engine="deepspeed", zero_stage=zero_stage), ranks)
    assert all(torch.allclose(p, before[name], rtol=0, atol=1e-25) for name, p in model.named_parameters())
    assert not all(torch.equal(p, p.bfloat16().float()) for p in model.parameters())


def test_frequencies_stay_in_fp32(text_file, tmp_path, ranks):
    """A rotary encoder computes after training, in bf16, as it does loaded anew."""
    recipe = Recipe(learning_rate=1e-3, max_steps=2, batch_size=8, max_length=32, selection="last")
    model = load_model(make_base(tmp_path / "base", text_file, model_type="modernbert"), "classification")
    before = {name: value.clone() for name, value in model.named_buffers()}
    assert any(value.is_floating_point() for value in before.values())
    parts = one_part(make_features("classification"), "classification", recipe)
    train(model, parts, recipe, Runtime(), ranks)
    set_precision(model, "bf16")
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    model.save(tmp_path / "out")
    again = Model.reload(tmp_path / "out")
    features = make_features("classification", 8)
    pairs = zip(forward(model, features, {}, ranks), forward(again, features, {}, ranks), strict=True)
    assert all((one == two).all() for one, two in pairs)
