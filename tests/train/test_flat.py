"""The engine of one rank: the same weights as torch's plain AdamW and as DeepSpeed, in one flat buffer."""

import math

import pytest
import torch

from stilts.data.batching import split_packed
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import Mixing
from stilts.train.engine_choice import make_engine
from stilts.train.flat import FlatEngine
from stilts.train.loop import learning_rate, train
from stilts.train.model import Model
from stilts.train.optimizer import parameter_groups
from stilts.train.step_schedule import StepSchedule, TrainPart
from tests.train.toys import NO_DROPOUT, collate, head_spec, load_model, make_base, make_features, one_part

FAMILIES = ["classification", "multiple_choice", "tagging", "span_qa", "mlm", "dual_encoder", "srl", "parsing"]
STEPS = 50


@pytest.fixture(scope="module")
def still(tmp_path_factory, text_file):
    """A base model without dropout."""
    return make_base(tmp_path_factory.mktemp("still"), text_file, **NO_DROPOUT)


def recipe_of(**changes) -> Recipe:
    values = {"learning_rate": 2e-4, "max_steps": STEPS, "batch_size": 8, "max_length": 32, "weight_decay": 0.1}
    # A bias that shifts all scores of a softmax has a gradient of 0, whose rounding a small epsilon would magnify.
    return Recipe(
        **{**values, "precision": "fp32", "selection": "last", "warmup": 0.1, "adam_epsilon": 1e-5, **changes}
    )


def by_plain_torch(model: Model, parts: list[TrainPart], recipe: Recipe, budget: int, mixing: Mixing | None = None):
    """Weights after training with `torch.optim.AdamW` on the parameters themselves and `clip_grad_norm_`."""
    groups = parameter_groups(model, recipe.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=0.0, eps=recipe.adam_epsilon, fused=False, foreach=False)
    schedule = StepSchedule(model, parts, recipe, mixing)
    model.train()
    for step in range(schedule.steps):
        source, rows = schedule.step(step)
        lengths, items = rows.ids.lengths.tolist(), rows.together.tolist()
        for rows_of_batch in split_packed(lengths, items, source.recipe.max_length, budget, 1)[0]:
            batch = collate(rows, rows_of_batch, 1, torch.device("cpu"), True, head=source.head.name)
            (model(batch) / rows.units).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, schedule.steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def largest_difference(one, other) -> float:
    assert set(one) == set(other)
    return max((one[name].float() - other[name].float()).abs().max().item() for name in one)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_after_fifty_steps_are_plain_adamws(still, ranks, family):
    recipe, runtime = recipe_of(), Runtime(tokens_per_micro_batch=128)
    parts = one_part(make_features(family), family, recipe)
    expected = by_plain_torch(load_model(still, family), parts, recipe, 128)
    model = load_model(still, family)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    train(model, parts, recipe, runtime, ranks)
    found = dict(model.named_parameters())
    # Rounding grows with the steps, and faster where cosines are multiplied by 100 or a leaky ReLU has its kink.
    assert largest_difference(found, expected) < (5e-4 if family in ("dual_encoder", "parsing") else 2e-5)
    assert largest_difference(found, start) > 1e-3


def mixture(still, recipe: Recipe) -> tuple[Model, list[TrainPart], Mixing]:
    model = Model.load(still, [head_spec("classification"), head_spec("tagging")], 0)
    parts = [TrainPart(family, family, make_features(family), recipe) for family in model.specs]
    return model, parts, Mixing(sampling="uniform")


def test_heads_of_a_mixture_rest_as_in_plain_adamw(still, ranks):
    recipe = recipe_of()
    model, parts, mixing = mixture(still, recipe)
    expected = by_plain_torch(model, parts, recipe, 128, mixing)
    model, parts, mixing = mixture(still, recipe)
    train(model, parts, recipe, Runtime(tokens_per_micro_batch=128), ranks, mixing=mixing)
    assert largest_difference(dict(model.named_parameters()), expected) < 2e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_deepspeed_and_torch_give_the_same_weights(still, ranks, precision):
    recipe = recipe_of(precision=precision, max_steps=10)
    found = []
    for engine in ("torch", "deepspeed"):
        model = load_model(still, "span_qa")
        runtime = Runtime(engine=engine, tokens_per_micro_batch=128)
        train(model, one_part(make_features("span_qa"), "span_qa", recipe), recipe, runtime, ranks)
        found.append(dict(model.named_parameters()))
    # In bf16, a weight that rounds to another neighbour changes the next gradients.
    assert largest_difference(*found) < (1e-5 if precision == "fp32" else 1e-3)


def test_the_norm_is_measured_before_clipping(still, ranks):
    model = load_model(still, "classification")
    engine = make_engine(model, recipe_of(max_grad_norm=0.5), Runtime(), ranks)
    assert isinstance(engine, FlatEngine)
    loss = sum((p.float() ** 2).sum() for p in model.parameters())
    engine.backward(loss)
    engine.step(0.0, {"classification"})
    expected = 2 * math.sqrt(sum((p.double() ** 2).sum().item() for p in model.parameters()))
    assert engine.gradient_norm is not None
    assert engine.gradient_norm.item() == pytest.approx(expected, rel=1e-5)


def test_a_state_passes_from_one_engine_to_the_other(still, ranks):
    """What DeepSpeed saves, torch continues, and the other way round; names and values are the same."""
    recipe = recipe_of()
    states = []
    for engine in ("torch", "deepspeed"):
        model = load_model(still, "tagging")
        made = make_engine(model, recipe, Runtime(engine=engine), ranks)
        for _ in range(3):
            made.backward(sum((p.float() ** 2).sum() for p in model.parameters()))
            made.step(1e-3, {"tagging"})
        states.append({name: value.clone() for name, value in made.state()})
        made.destroy()
    one, other = states
    assert largest_difference(one, other) < 1e-6
    model = load_model(still, "tagging")
    made = make_engine(model, recipe, Runtime(), ranks)
    made.restore(lambda name, shape: other[name].reshape(shape), {None: 3, "tagging": 3})
    assert largest_difference({name: value.clone() for name, value in made.state()}, other) == 0.0
    assert largest_difference(dict(model.named_parameters()), made.weights()) == 0.0
    made.release(made.weights())
    assert all(parameter.grad is None for parameter in model.parameters())
