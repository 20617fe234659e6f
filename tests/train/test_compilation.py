"""Compiled layers: the numbers of the layers' own code, one compilation for each shape, and a fallback."""

import logging

import pytest
import torch
from torch._dynamo.utils import counters

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.compilation import Compilation
from stilts.train.feed import Feed
from stilts.train.loop import train
from stilts.train.step_schedule import StepSchedule
from tests.train.toys import load_model, make_features, one_part

RECIPE = Recipe(
    learning_rate=1e-3, max_steps=6, batch_size=6, max_length=32, selection="last", adam_epsilon=1e-3, precision="fp32"
)


def trained(base, ranks, runtime: Runtime):
    model = load_model(base, "tagging")
    return model, train(model, one_part(make_features("tagging"), "tagging", RECIPE), RECIPE, runtime, ranks)


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


@pytest.mark.slow
def test_compiled_layers_give_the_same_gradients_under_dropout(dropping_base, ranks):
    """One compilation of a layer serves all layers, and none is made after the first batch of a shape."""
    model = load_model(dropping_base, "tagging").train()
    schedule = StepSchedule(model, one_part(make_features("tagging"), "tagging", RECIPE), RECIPE, None)
    feed, compilation = Feed(model, schedule, ranks, 8192), Compilation(model)

    def gradients(batch) -> tuple[float, dict[str, torch.Tensor]]:
        torch.manual_seed(3)
        model.zero_grad()
        loss = model(batch)
        loss.backward()
        return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    compilation.start()
    compilation.warm_up([feed.example(shape) for shape in feed.shapes.planned], ranks)
    assert all(parameter.grad is None for parameter in model.parameters())
    made = graphs()
    assert made <= len(feed.shapes.planned) <= 4
    for step in range(RECIPE.max_steps):
        ((batch, _),) = feed.step(step).batches
        compilation.start()
        loss, ours = gradients(batch)
        compilation.stop()
        own_loss, own = gradients(batch)
        assert loss == pytest.approx(own_loss, rel=1e-6)
        assert all((ours[name] - value).abs().max() <= 2e-6 for name, value in own.items())
    assert graphs() == made
    feed.close()


@pytest.mark.slow
def test_a_stage_is_trained_with_compiled_layers(base, ranks):
    plain, before = trained(base, ranks, Runtime(compile="off"))
    made = graphs()
    compiled, after = trained(base, ranks, Runtime(compile="on"))
    assert made < graphs() <= made + 4
    assert (before.how["compile"], after.how["compile"]) == ("off", "on")
    assert [loss for _, loss in after.losses] == pytest.approx([loss for _, loss in before.losses], rel=1e-5)
    again = graphs()
    trained(base, ranks, Runtime(compile="on"))
    assert graphs() == again  # another stage of the process runs the code that there is
    assert all("forward" not in vars(module) for module in compiled.modules())
    others = plain.state_dict()
    assert all((value - others[name]).abs().max() < 1e-5 for name, value in compiled.state_dict().items())


def test_a_compiler_that_fails_is_one_line_in_the_log(base, ranks, monkeypatch, caplog):
    def broken(own, **options):
        def call(*args, **kwargs):
            raise RuntimeError("no compiler\nlong explanation")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.WARNING, "stilts"):
        model, result = trained(base, ranks, Runtime(compile="on"))
    assert result.how["compile"] == "off"
    (line,) = [record.getMessage() for record in caplog.records if "compiled" in record.getMessage()]
    assert line == "layers are not compiled, and run as they are: no compiler"
    plain, other = trained(base, ranks, Runtime(compile="off"))
    assert result.losses == other.losses
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in model.state_dict().items())


def test_zero_3_is_not_compiled(base, ranks, caplog):
    with caplog.at_level(logging.WARNING, "stilts"):
        _, result = trained(base, ranks, Runtime(compile="on", zero_stage=3))
    assert result.how == {"engine": "deepspeed", "attention": "masks", "compile": "off"}
    assert "ZeRO 3" in caplog.text


def test_nothing_is_compiled_on_a_cpu_unless_asked(base, ranks):
    before = graphs()
    _, result = trained(base, ranks, Runtime())
    assert result.how["compile"] == "off"
    assert graphs() == before
