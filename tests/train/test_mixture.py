"""Several tasks in one stage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from stilts.errors import StiltsError
from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import Mixing
from stilts.train.checkpoint import ResumeStore
from stilts.train.loop import learning_rate, train
from stilts.train.model import Model
from stilts.train.ranks import Ranks
from stilts.train.result import TrainResult
from stilts.train.step_schedule import StepSchedule, TrainPart
from tests.train.toys import collate, head_spec, make_features, one_part

EQUAL = Mixing(sampling="uniform")
FOUR = ("classification", "mlm", "span_qa", "tagging")
TWO = ("classification", "tagging")


def recipe(**fields) -> Recipe:
    settings = {"learning_rate": 3e-3, "epochs": 1, "batch_size": 8, "max_length": 64, "precision": "fp32"}
    return Recipe(**{**settings, "selection": "last", **fields})


def parts_of(families: tuple[str, ...], count: int = 40, **fields) -> list[TrainPart]:
    return [part for name in families for part in one_part(make_features(name, count), name, recipe(**fields))]


def model_of(base: Path, families: tuple[str, ...]) -> Model:
    return Model.load(base, [head_spec(family) for family in families])


def run(
    base: Path, ranks: Ranks, families: tuple[str, ...] = TWO, mixing: Mixing = EQUAL, **options
) -> tuple[TrainResult, Model]:
    model = model_of(base, families)
    runtime, parts = options.pop("runtime", Runtime()), options.pop("parts", None)
    keywords = {name: options.pop(name) for name in ("dev_score", "report", "resume") if name in options}
    parts = parts_of(families) if parts is None else parts
    return train(model, parts, recipe(**options), runtime, ranks, mixing=mixing, **keywords), model


def curriculum(base: Path, families: tuple[str, ...] = TWO, mixing: Mixing = EQUAL, **fields) -> StepSchedule:
    return StepSchedule(model_of(base, families), parts_of(families), recipe(**fields), mixing)


def curve(result: TrainResult) -> np.ndarray:
    return np.array([loss for _, loss in result.losses])


def test_every_task_of_a_mixture_learns(base: Path, ranks: Ranks):
    families = (*FOUR, "multiple_choice", "parsing", "srl", "dual_encoder")
    result, model = run(base, ranks, families, max_steps=40 * len(families))
    order = StepSchedule(model, parts_of(families), recipe(max_steps=40 * len(families)), EQUAL).order
    for index, family in enumerate(families):
        own = curve(result)[order == index]
        assert len(own) == result.parts[family].steps == 40
        assert result.parts[family].losses == own[-10:].tolist()
        assert own[-8:].mean() < (0.99 if family == "mlm" else 0.8) * own[:8].mean(), family


def test_counts_are_told_by_task(base: Path, ranks: Ranks):
    result, _ = run(base, ranks, epochs=1)
    lengths = {family: sum(map(len, make_features(family)["input_ids"].to_pylist())) for family in TWO}
    assert result.steps == 10
    assert {task: (part.steps, part.examples, part.tokens) for task, part in result.parts.items()} == {
        family: (5, 40, lengths[family]) for family in TWO
    }
    assert (result.examples, result.tokens) == (80, sum(lengths.values()))


def test_a_step_takes_the_next_batch_of_one_task(base: Path):
    """Of every task the same batches as if it were trained alone, masking included."""
    mixed = curriculum(base, FOUR, Mixing(probabilities={"mlm": 0.4}), max_steps=50)
    alone = {family: StepSchedule(model_of(base, (family,)), parts_of((family,)), recipe(), None) for family in FOUR}
    seen = dict.fromkeys(FOUR, 0)
    for step in range(mixed.steps):
        source, rows = mixed.step(step)
        expected = alone[source.task].sources[0].rows(seen[source.task])
        assert rows.family == source.task
        assert np.array_equal(rows.ids.values, expected.ids.values)
        assert ("labels" not in rows.columns) == (source.task not in ("mlm", "tagging"))
        seen[source.task] += 1
    assert seen == {"classification": 10, "mlm": 20, "span_qa": 10, "tagging": 10}


def test_another_seed_is_another_order(base: Path):
    orders = [curriculum(base, max_steps=30, seed=seed).order.tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(("probability", "steps"), [(0.25, 10), (0.5, 20), (0.1, 4)])
def test_interleaved_language_modelling_has_its_share_of_the_steps(base: Path, probability: float, steps: int):
    order = curriculum(base, ("mlm", "tagging"), Mixing(probabilities={"mlm": probability}), max_steps=40).order
    assert np.bincount(order).tolist() == [steps, 40 - steps]


def test_the_epoch_of_a_mixture(base: Path):
    assert curriculum(base, epochs=2).steps == 20
    assert curriculum(base, mixing=Mixing(cap=20), epochs=2).steps == 10
    assert curriculum(base, ("mlm", "tagging"), Mixing(probabilities={"mlm": 0.5})).steps == 10


def test_windows_count_in_the_epoch_and_examples_in_the_share(base: Path):
    """As in plans, where a question has no windows yet: a budget is parted alike for joint and sequential training."""
    windows = make_features("span_qa", 40)
    twenty = windows.set_column(1, "example", pa.array([row // 2 for row in range(40)], pa.int32()))
    parts = [*one_part(twenty, "span_qa", recipe()), *parts_of(("tagging",))]
    found = StepSchedule(model_of(base, ("span_qa", "tagging")), parts, recipe(), Mixing())
    assert found.shares == pytest.approx({"span_qa": 1 / 3, "tagging": 2 / 3})
    assert found.steps_per_epoch == 10


def test_joint_and_sequential_training_of_one_budget_see_the_same_examples(base: Path, ranks: Ranks):
    mixing = Mixing(probabilities={"classification": 0.3, "tagging": 0.7})
    joint, _ = run(base, ranks, mixing=mixing, max_steps=20)
    for family, steps in (("classification", 6), ("tagging", 14)):
        settings = recipe(max_steps=steps)
        model = model_of(base, (family,))
        alone = train(model, one_part(make_features(family), family, settings), settings, Runtime(), ranks)
        assert (alone.examples, alone.tokens) == (joint.parts[family].examples, joint.parts[family].tokens)


@pytest.mark.parametrize("families", [("classification",), TWO, ("mlm", "tagging")])
def test_a_budget_of_tokens(base: Path, ranks: Ranks, families: tuple[str, ...]):
    mixing = EQUAL if len(families) > 1 else None
    result, _ = run(base, ranks, families, mixing, max_tokens=4000)
    mean = result.tokens / result.steps
    assert abs(result.tokens - 4000) < 2 * mean
    assert sum(part.tokens for part in result.parts.values()) == result.tokens


def test_a_budget_of_few_tokens_is_one_step(base: Path, ranks: Ranks):
    assert run(base, ranks, ("mlm",), None, max_tokens=1)[0].steps == 1


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_an_unused_head_stays_as_it_is(base: Path, ranks: Ranks, stage: int):
    """Against a plain loop: torch's AdamW, which skips parameters without a gradient."""
    settings = {"weight_decay": 0.1, "warmup": 2, "max_steps": 12, "max_grad_norm": 0.5}
    result, model = run(base, ranks, runtime=Runtime(zero_stage=stage), **settings)

    plain, steps = model_of(base, TWO), curriculum(base, **settings)
    groups = [
        {"params": [p], "weight_decay": 0.1 if p.ndim > 1 else 0.0}
        for module in (plain.encoder, *plain.heads.values())
        for p in module.parameters()
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0)
    losses = []
    for step in range(steps.steps):
        source, rows = steps.step(step)
        batch = collate(rows, [[i] for i in range(len(rows))], 1, torch.device("cpu"), False, head=source.head.name)
        loss = plain(batch) / rows.units
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe(**settings), step, 12)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert curve(result) == pytest.approx(np.array(losses), rel=1e-5)
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert (ours - theirs).abs().mean() < 3e-5, name


RATE = 1e-5


def moves_per_own_step(base: Path, ranks: Ranks, share: float, **options: Any) -> float:
    """How far a head moves at each step of its task, in units of the learning rate.

    Every batch of the task is the same, so that AdamW moves each weight by the learning rate at each step that it
    takes part in, and by more or less where its moments see anything but its own gradients.
    """
    families = ("classification", "tagging")
    parts = [*parts_of(("tagging",)), *one_part(make_features("classification", 8), "classification", recipe())]
    steps = max(20, round(4 / share))
    settings = {"learning_rate": RATE, "schedule": "constant", "max_grad_norm": 0, "max_steps": steps, **options}
    mixing = Mixing(probabilities={"classification": share})
    before = model_of(base, families).heads["classification"].output.weight.detach().clone()
    result, model = run(base, ranks, families, mixing, parts=parts, **settings)
    moved = (model.heads["classification"].output.weight.float() - before).abs().mean().item()
    return moved / RATE / result.parts["classification"].steps


@pytest.mark.parametrize("share", [1 / 2, 1 / 4, 1 / 9, 1 / 30])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_a_head_trains_as_fast_per_own_step_as_alone(base: Path, ranks: Ranks, stage: int, share: float):
    assert moves_per_own_step(base, ranks, share, runtime=Runtime(zero_stage=stage)) == pytest.approx(1, abs=0.02)


def test_a_head_trains_as_fast_in_bf16(base: Path, ranks: Ranks):
    assert moves_per_own_step(base, ranks, 1 / 9, precision="bf16") == pytest.approx(1, abs=0.02)


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("stage", "precision"), [(0, "fp32"), (1, "fp32"), (2, "fp32"), (3, "fp32"), (1, "bf16"), (2, "bf16"), (3, "bf16")]
)
def test_a_mixture_resumes_bitwise(dropping_base: Path, ranks: Ranks, tmp_path: Path, stage: int, precision: str):
    saved: list[Path] = []

    def kill(path: Path) -> None:
        saved.append(path)
        if len(saved) == 5:
            raise Killed

    def score() -> dict[str, float]:
        return {"classification": next(scores), "tagging": 1.0}

    fields = {"max_steps": 10, "weight_decay": 0.1, "precision": precision, "evaluate_every": 3}
    options = {**fields, "selection": "best-dev", "dev_score": score}
    scores = iter([1.0, 3.0, 2.0, 0.0])
    whole, weights = run(dropping_base, ranks, runtime=Runtime(zero_stage=stage), **options)
    scores = iter([1.0, 3.0])
    often = Runtime(zero_stage=stage, checkpoint_seconds=1e-6)
    with pytest.raises(Killed):
        run(dropping_base, ranks, runtime=often, resume=ResumeStore(tmp_path / "resume", kill), **options)
    assert json.loads((tmp_path / "resume" / "state.json").read_text())["step"] == 5
    scores = iter([3.0, 2.0, 0.0])
    again, resumed = run(
        dropping_base, ranks, runtime=Runtime(zero_stage=stage), resume=ResumeStore(tmp_path / "resume"), **options
    )
    again.seconds, again.evaluation_seconds = whole.seconds, whole.evaluation_seconds
    assert again == whole
    assert whole.dev == [(3, 1.0), (6, 2.0), (9, 1.5), (10, 0.5)]
    assert whole.dev_parts[1] == {"classification": 3.0, "tagging": 1.0}
    assert whole.best_step == 6
    assert all(torch.equal(a, b) for a, b in zip(weights.parameters(), resumed.parameters(), strict=True))


def test_a_state_of_other_shares_or_parts_is_not_used(base: Path):
    one = curriculum(base, max_steps=10).fingerprint()
    assert one == curriculum(base, max_steps=10).fingerprint()
    assert one != curriculum(base, mixing=Mixing(probabilities={"tagging": 0.6}), max_steps=10).fingerprint()
    assert one != curriculum(base, ("classification", "span_qa"), max_steps=10).fingerprint()
    masked = parts_of(TWO, max_length=32)
    assert one != StepSchedule(model_of(base, TWO), masked, recipe(max_steps=10), EQUAL).fingerprint()


def test_dev_is_scored_once_an_epoch_of_the_mixture(base: Path, ranks: Ranks):
    result, _ = run(base, ranks, epochs=2.5, selection="best-dev", dev_score=lambda: {"tagging": 1.0})
    assert [step for step, _ in result.dev] == [10, 20, 25]


def test_progress_names_the_steps_task(base: Path, ranks: Ranks):
    reports: list[dict] = []
    run(base, ranks, max_steps=4, report=reports.append)
    assert reports[-1]["phase"] in TWO
    assert (reports[-1]["step"], reports[-1]["steps"]) == (4, 4)


def test_tasks_share_a_head_by_its_name(base: Path, ranks: Ranks):
    settings = recipe(max_steps=12)
    tables = {"mnli": make_features("classification", seed=1), "snli": make_features("classification", seed=2)}
    parts = [TrainPart(task, "nli", table, settings) for task, table in tables.items()]
    model = Model.load(base, [head_spec("classification", name="nli")])
    result = train(model, parts, settings, Runtime(), ranks, mixing=EQUAL)
    assert list(model.heads) == ["nli"]
    assert {task: part.steps for task, part in result.parts.items()} == {"mnli": 6, "snli": 6}


def test_what_cannot_be_mixed_is_refused(base: Path, ranks: Ranks):
    with pytest.raises(StiltsError, match="tagging gets none of 3 steps"):
        run(base, ranks, mixing=Mixing(probabilities={"tagging": 0.01}), max_steps=3)
    empty = [*parts_of(("classification",)), *one_part(make_features("tagging").slice(0, 0), "tagging", recipe())]
    with pytest.raises(StiltsError, match="tagging: there are no training examples"):
        run(base, ranks, parts=empty)
    with pytest.raises(StiltsError, match="classification: max_length 600 is more than"):
        run(base, ranks, parts=parts_of(TWO, max_length=600))
