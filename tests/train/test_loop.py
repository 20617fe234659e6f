"""The training loop on one rank."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
import torch

from stilts.data.batching import epoch_order
from stilts.errors import StiltsError
from stilts.evaluate.predict import forward
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.train.checkpoint import ResumeStore
from stilts.train.features import Features
from stilts.train.loop import Diverged, learning_rate, train
from stilts.train.model import Model
from stilts.train.ranks import Preempted, Ranks
from stilts.train.result import TrainResult
from tests.train.toys import CONFIG, NO_DROPOUT, collate, load_model, make_base, make_features, one_part


def recipe(**fields) -> Recipe:
    settings = {"learning_rate": 3e-3, "epochs": 1, "batch_size": 8, "max_length": 64, "precision": "fp32"}
    return Recipe(**{**settings, "selection": "last", **fields})


def run(base: Path, ranks: Ranks, family: str = "classification", **options) -> tuple[TrainResult, Model]:
    model = load_model(base, family, 2, seed=0)
    features = options.pop("features", None)
    features = make_features(family) if features is None else features
    keywords = {name: options.pop(name) for name in ("dev_score", "report") if name in options}
    runtime = options.pop("runtime", Runtime())
    settings = recipe(**options)
    return train(model, one_part(features, family, settings), settings, runtime, ranks, **keywords), model


def curve(result: TrainResult) -> list[float]:
    return [loss for _, loss in result.losses]


@pytest.mark.parametrize(
    ("family", "fraction"),
    [("classification", 0.6), ("multiple_choice", 0.6), ("tagging", 0.4), ("span_qa", 0.6), ("mlm", 0.99)],
)
def test_every_family_learns(base: Path, ranks: Ranks, family: str, fraction: float):
    result, _ = run(base, ranks, family, epochs=10)
    losses = curve(result)
    assert len(losses) == result.steps == 50
    assert sum(losses[-5:]) < fraction * sum(losses[:5])


def test_counts(base: Path, ranks: Ranks):
    features = make_features("multiple_choice", 10)
    result, _ = run(base, ranks, "multiple_choice", epochs=2, features=features)
    assert result.steps == 4
    assert result.examples == 20
    assert result.tokens == 2 * sum(len(ids) for ids in features["input_ids"].to_pylist())


def test_golden_losses(base: Path, ranks: Ranks):
    """Measured with torch 2.13, transformers 5.23 and DeepSpeed 0.19.8 on a CPU."""
    moved = (
        "Losses of {} are {}: other weights than those that stores hold. If this change is meant, raise "
        "TRAINING_VERSION in stilts/identity/canonical.py (or `version` of a task, if it concerns one task alone), so "
        "that stages are trained again; write the new losses here, and add a line to CHANGELOG.md."
    )
    golden = {
        "classification": [0.69329, 0.67735, 0.69498],
        "multiple_choice": [1.14109, 1.19175, 1.05437],
        "tagging": [0.76139, 0.66868, 0.69969],
        "span_qa": [2.45121, 3.09297, 2.78207],
        "mlm": [5.33727, 5.31734, 5.27903],
        "parsing": [3.23153, 2.89571, 3.04198],
        "srl": [0.69344, 0.68919, 0.69943],
    }
    found = {family: curve(run(base, ranks, family, max_steps=3)[0]) for family in golden}
    for family, losses in golden.items():
        assert found[family] == pytest.approx(losses, rel=2e-4), moved.format(family, found[family])


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_it_is_plain_adamw_on_the_mean_of_each_batch(base: Path, ranks: Ranks, stage: int):
    """Against a loop in ten lines without DeepSpeed: padded batches, a mean loss, torch's clipping."""
    table = make_features("tagging", 20)
    settings = {"weight_decay": 0.1, "warmup": 2, "epochs": 2, "max_grad_norm": 0.5}
    result, model = run(base, ranks, "tagging", features=table, runtime=Runtime(zero_stage=stage), **settings)

    plain, features = load_model(base, "tagging", 2, seed=0), Features.of(table, "tagging")
    groups = [
        {"params": [p for p in plain.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in plain.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0)
    losses = []
    for step in range(6):
        part = features.take(epoch_order(20, 0, step // 3)[step % 3 * 8 : step % 3 * 8 + 8])
        batch = collate(part, [[i] for i in range(len(part))], 1, torch.device("cpu"), False)
        loss = plain(batch) / part.units
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe(**settings), step, 6)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert curve(result) == pytest.approx(losses, rel=1e-5)
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        # Where a gradient is nearly zero, Adam's step is the sign of rounding errors.
        assert (ours - theirs).abs().mean() < 2e-5, name


def test_micro_batches_do_not_change_the_result(base: Path, ranks: Ranks):
    whole, _ = run(base, ranks, "tagging", epochs=2)
    split, _ = run(base, ranks, "tagging", epochs=2, runtime=Runtime(tokens_per_micro_batch=64))
    assert curve(split) == pytest.approx(curve(whole), rel=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_run_gives_the_same_bits(dropping_base: Path, ranks: Ranks, precision: str):
    first, one = run(dropping_base, ranks, precision=precision)
    second, two = run(dropping_base, ranks, precision=precision)
    assert curve(first) == curve(second)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_another_seed_gives_another_run(base: Path, ranks: Ranks):
    assert curve(run(base, ranks)[0]) != curve(run(base, ranks, seed=1)[0])


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_bf16_follows_fp32(base: Path, ranks: Ranks, stage: int):
    exact, _ = run(base, ranks, epochs=2)
    rough, model = run(base, ranks, epochs=2, precision="bf16", runtime=Runtime(zero_stage=stage))
    assert curve(rough) == pytest.approx(curve(exact), rel=0.05)
    assert model.dtype is torch.float32


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("deberta-v2", {**CONFIG, **NO_DROPOUT}),
        ("xlnet", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "dropout": 0.0}),
    ],
)
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_models_that_are_padded_train_too(
    tmp_path: Path, text_file: Path, ranks: Ranks, kind: str, config: dict, stage: int
):
    padded = make_base(tmp_path, text_file, plain=True, model_type=kind, **config)
    result, _ = run(padded, ranks, epochs=6, runtime=Runtime(zero_stage=stage, tokens_per_micro_batch=100))
    losses = curve(result)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_gradient_checkpointing_changes_nothing(dropping_base: Path, ranks: Ranks):
    plain, _ = run(dropping_base, ranks, epochs=2)
    saving, _ = run(dropping_base, ranks, epochs=2, runtime=Runtime(gradient_checkpointing=True))
    assert curve(saving) == pytest.approx(curve(plain), rel=1e-5)


@pytest.mark.parametrize("stage", [1, 3])
def test_the_best_dev_weights_leave_the_stage(base: Path, ranks: Ranks, stage: int):
    model = load_model(base, "classification", 2, seed=0)
    table, seen, scores = make_features("classification"), [], iter([1.0, 3.0, 3.0, 2.0])

    def dev_score() -> dict[str, float]:
        seen.append(forward(model, table, {}, ranks))
        return {"classification": next(scores)}

    fields = {"epochs": 1, "evaluate_every": 2, "selection": "best-dev"}
    # 7 steps: evaluations after 2, 4, 6 and, since it is the last, 7.
    table = make_features("classification", 56)
    parts = one_part(table, "classification", recipe(**fields))
    result = train(model, parts, recipe(**fields), Runtime(zero_stage=stage), ranks, dev_score=dev_score)
    assert result.dev == [(2, 1.0), (4, 3.0), (6, 3.0), (7, 2.0)]
    assert result.best_step == 4
    left = forward(model, table, {}, ranks)
    assert all((a == b).all() for a, b in zip(left, seen[1], strict=True))
    assert any((a != b).any() for a, b in zip(left, seen[2], strict=True))


class Asked(ResumeStore):
    """Notes at which steps a state was saved."""

    steps: ClassVar[list[int]] = []

    def save(self, engine: Any, meta: dict[str, Any], *rest: Any) -> None:
        super().save(engine, meta, *rest)
        self.steps.append(meta["step"])


@pytest.mark.parametrize("ask_at", [3, 4, 7])
def test_a_stage_drains_after_its_step_and_continues_with_the_same_bits(
    dropping_base: Path, ranks: Ranks, tmp_path: Path, ask_at: int
):
    """Asked at a step in the middle, at one whose dev evaluation is due, and at the last: that is done afterwards."""
    fields = {"epochs": 1, "evaluate_every": 2, "selection": "best-dev"}
    table = make_features("classification", 56)
    parts = one_part(table, "classification", recipe(**fields))

    def stage(folder: Path, ask: bool) -> tuple[TrainResult, Model]:
        model = load_model(dropping_base, "classification", 2, seed=0)

        def score() -> dict[str, float]:
            return {"classification": float(forward(model, table, {}, ranks)[0].sum())}

        def report(progress: dict[str, Any]) -> None:
            if ask and progress["step"] == ask_at - 1:
                ranks.drain.set()

        def watch() -> list[float]:
            return [float(forward(model, table, {}, ranks)[1].sum())]

        with patch("stilts.train.loop.REPORT_SECONDS", 0.0):
            options = {"dev_score": score, "watch": watch, "report": report, "resume": Asked(folder)}
            return train(model, parts, recipe(**fields), Runtime(), ranks, **options), model

    whole, one = stage(tmp_path / "whole", ask=False)
    Asked.steps.clear()
    try:
        with pytest.raises(Preempted, match=f"preempted after step {ask_at} of 7"):
            stage(tmp_path / "resume", ask=True)
    finally:
        ranks.drain.clear()
    assert Asked.steps == [ask_at]
    again, two = stage(tmp_path / "resume", ask=False)
    assert curve(again) == curve(whole)
    assert (again.dev, again.best_step) == (whole.dev, whole.best_step)
    assert again.watched == whole.watched
    assert [step for step, _ in whole.watched] == [2, 4, 6, 7]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_what_is_watched_changes_nothing(dropping_base: Path, ranks: Ranks):
    """Whatever it does with the model and with random numbers; and it decides nothing."""
    fields = {"evaluate_every": 2, "selection": "best-dev"}
    table = make_features("classification")

    def stage(watched: bool) -> tuple[TrainResult, Model]:
        model = load_model(dropping_base, "classification", 2, seed=0)
        scores = iter([1.0, 3.0, 2.0])

        def watch() -> list[float]:
            torch.manual_seed(7)
            return [float(forward(model, table, {}, ranks)[0].sum()), float(torch.rand(1))]

        options = {"dev_score": lambda: {"a": next(scores)}, "watch": watch if watched else None}
        parts = one_part(table, "classification", recipe(**fields))
        return train(model, parts, recipe(**fields), Runtime(), ranks, **options), model

    (plain, one), (found, two) = stage(False), stage(True)
    assert curve(found) == curve(plain)
    assert (found.dev, found.best_step) == (plain.dev, plain.best_step) == ([(2, 1.0), (4, 3.0), (5, 2.0)], 4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert plain.watched == []
    assert [(step, len(scores)) for step, scores in found.watched] == [(2, 2), (4, 2), (5, 2)]


def test_a_resume_state_from_before_there_was_anything_to_watch_is_read():
    older = {name: value for name, value in asdict(TrainResult(steps=3)).items() if name != "watched"}
    assert TrainResult.from_json(older) == TrainResult(steps=3)


def test_dev_is_scored_once_an_epoch_by_default(base: Path, ranks: Ranks):
    result, _ = run(base, ranks, epochs=2.5, selection="best-dev", dev_score=lambda: {"a": 1.0})
    assert [step for step, _ in result.dev] == [5, 10, 13]
    assert result.best_step == 5


def test_a_loss_that_is_not_a_number_ends_the_stage(base: Path, ranks: Ranks):
    model = load_model(base, "classification", 2)
    with torch.no_grad():
        model.heads["classification"].output.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="the loss is nan at step 1 of 5"):
        train(model, one_part(make_features("classification"), "classification", recipe()), recipe(), Runtime(), ranks)
    run(base, ranks)


def test_progress_is_reported(base: Path, ranks: Ranks):
    reports: list[dict] = []
    result, _ = run(base, ranks, report=reports.append)
    last = reports[-1]
    assert last["step"] == last["steps"] == 5
    assert last["loss"] == result.losses[-1][1]
    assert last["examples"] == 40
    assert last["tokens_per_second"] > 0
    assert last["eta"] == 0


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        ({}, [1.0, 0.75, 0.5, 0.25]),
        ({"warmup": 2}, [0.0, 0.5, 1.0, 0.5]),
        ({"warmup": 0.5}, [0.0, 0.5, 1.0, 0.5]),
        ({"warmup": 2, "schedule": "constant"}, [0.0, 0.5, 1.0, 1.0]),
    ],
)
def test_learning_rate(fields: dict, rates: list[float]):
    assert [learning_rate(recipe(learning_rate=1.0, **fields), step, 4) for step in range(4)] == rates


def test_what_cannot_be_trained_is_refused(base: Path, ranks: Ranks):
    with pytest.raises(StiltsError, match="no training examples"):
        run(base, ranks, features=make_features("classification").slice(0, 0))
    with pytest.raises(StiltsError, match="512 positions"):
        run(base, ranks, max_length=600)


def test_languages_are_mixed_by_the_exponent(base: Path, ranks: Ranks):
    import pyarrow as pa

    table = make_features("mlm", 40)
    table = table.append_column("language", pa.array(["aa"] * 36 + ["bb"] * 4))
    result, _ = run(base, ranks, "mlm", features=table, language_exponent=0.3, max_steps=2)
    assert all(math.isfinite(loss) for loss in curve(result))


def test_a_step_that_runs_out_of_memory_is_repeated_in_halves(base, ranks, monkeypatch):
    """The result is that of the small batches; without dropout also that of the large ones."""
    recipe = Recipe(learning_rate=1e-3, max_steps=4, batch_size=8, max_length=32, precision="fp32", selection="last")
    parts = one_part(make_features("classification"), "classification", recipe)
    weights = []
    for limit in (10**9, 100):
        model = load_model(base, "classification")
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.config.attention_probs_dropout_prob = 0.0
        for module in model.modules():
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = 0.0
        forward, refused = model.forward, []

        def scarce(batch, *args, forward=forward, limit=limit, refused=refused):
            if batch.input_ids.numel() > limit:
                refused.append(batch.input_ids.numel())
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(batch, *args)

        monkeypatch.setattr(model, "forward", scarce)
        train(model, parts, recipe, Runtime(tokens_per_micro_batch=256), ranks)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        assert bool(refused) == (limit == 100)
    assert torch.allclose(*weights, atol=1e-4)


def test_an_item_that_does_not_fit_alone_is_an_error(base, ranks, monkeypatch):
    recipe = Recipe(learning_rate=1e-3, max_steps=4, batch_size=8, max_length=32, selection="last")
    model = load_model(base, "classification")

    def never(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "forward", never)
    with pytest.raises(torch.OutOfMemoryError):
        train(model, one_part(make_features("classification"), "classification", recipe), recipe, Runtime(), ranks)
