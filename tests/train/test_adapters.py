"""X-MOD's language adapters: one that a step does not use keeps its weights, its moments and its step count."""

from unittest.mock import patch

import pyarrow as pa
import pytest
import torch

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train import loop
from stilts.train.checkpoint import ResumeStore
from stilts.train.feed import Feed
from stilts.train.loop import learning_rate, train
from stilts.train.model import adapter_of
from stilts.train.ranks import Preempted, Ranks
from stilts.train.step_schedule import StepSchedule, TrainPart
from tests.train.toys import NO_DROPOUT, load_model, make_base, make_features

RECIPE = Recipe(
    learning_rate=1e-2, max_steps=6, batch_size=2, max_length=32, selection="last", weight_decay=0.1, precision="fp32",
    adam_epsilon=1e-3, warmup=0,
)  # fmt: skip
LANGUAGES = ["en", "de", "en", "en", "en", "de", "en", "en", "en", "en", "en", "en"]


@pytest.fixture(scope="module")
def xmod(tmp_path_factory, text_file):
    languages = ["en_XX", "de_DE", "fr_XX"]
    return make_base(tmp_path_factory.mktemp("xmod"), text_file, model_type="xmod", languages=languages, **NO_DROPOUT)


def parts() -> list[TrainPart]:
    table = make_features("mlm", len(LANGUAGES)).append_column("language", pa.array(LANGUAGES))
    return [TrainPart("mlm", "mlm", table, RECIPE)]


def plainly_trained(base) -> dict[str, torch.Tensor]:
    """With torch's AdamW, which skips parameters without a gradient."""
    model = load_model(base, "mlm")
    schedule = StepSchedule(model, parts(), RECIPE, None)
    feed = Feed(model, schedule, Ranks(0, 1, torch.device("cpu")), 8192)
    groups = [
        {"params": [p for p in model.parameters() if (p.ndim > 1) == decayed], "weight_decay": 0.1 * decayed}
        for decayed in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, eps=RECIPE.adam_epsilon)
    for step in range(schedule.steps):
        made = feed.step(step)
        optimizer.zero_grad(set_to_none=True)
        for batch, _ in made.batches:
            (model(batch) / made.units).backward()
        for parameter in model.parameters():
            # transformers calls every adapter in every step, some with no rows: their gradient is 0.
            if parameter.grad is not None and not parameter.grad.any():
                parameter.grad = None
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(RECIPE, step, schedule.steps)
        optimizer.step()
    feed.close()
    return model.state_dict()


@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_an_adapter_is_updated_in_the_steps_that_use_it(xmod, ranks, engine):
    fresh, model = load_model(xmod, "mlm"), load_model(xmod, "mlm")
    schedule = StepSchedule(model, parts(), RECIPE, None)
    used = [sum("de_DE" in part for part in schedule.parts(step)) for step in range(schedule.steps)]
    assert 0 < sum(used) < schedule.steps
    assert schedule.part_steps(schedule.steps)[adapter_of("x.adapter_modules.de_DE.dense1.weight")] == sum(used)
    train(model, parts(), RECIPE, Runtime(engine=engine), ranks)
    plain, before = plainly_trained(xmod), fresh.state_dict()
    for name, value in model.state_dict().items():
        assert (value - plain[name]).abs().max() <= 5e-6, name
        if "fr_XX" in name:
            assert torch.equal(value, before[name])
        elif "de_DE" in name:
            assert not torch.equal(value, before[name])


def test_a_resumed_stage_knows_the_steps_of_each_adapter(xmod, ranks, tmp_path):
    whole = load_model(xmod, "mlm")
    train(whole, parts(), RECIPE, Runtime(), ranks)

    def stop(progress) -> None:
        if progress["step"] == 4:
            ranks.drain.set()

    model = load_model(xmod, "mlm")
    try:
        with pytest.raises(Preempted), patch.object(loop, "REPORT_SECONDS", 0):
            train(model, parts(), RECIPE, Runtime(), ranks, report=stop, resume=ResumeStore(tmp_path))
    finally:
        ranks.drain.clear()
    resumed = load_model(xmod, "mlm")
    train(resumed, parts(), RECIPE, Runtime(), ranks, resume=ResumeStore(tmp_path))
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in resumed.state_dict().items())


def test_only_adapters_have_names():
    assert adapter_of("encoder.layer.0.output.adapter_modules.en_XX.dense1.weight") == "language adapter en_XX"
    assert adapter_of("encoder.layer.0.output.dense.weight") is None
