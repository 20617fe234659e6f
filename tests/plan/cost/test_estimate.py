"""The cost model against measured and published figures, and against small plans counted by hand."""

from dataclasses import replace
from typing import Any

import pytest

from stilts.encoders.sizes import shape_of
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.cost.estimate import CPU_FLOPS, GPU_FLOPS, Speed, speed, stage_costs
from stilts.plan.expand import Expansion
from stilts.plan.summary import make_plan
from stilts.plan.todo import missing_jobs
from tests.plan.conftest import BEST, Expand

LARGE = BaseSpec({"hub": "FacebookAI/xlm-roberta-large", "revision": "x"})


@pytest.mark.parametrize(("length", "giga"), [(128, 1.85), (384, 1.93), (512, 1.96)])
def test_operations_of_a_token_equal_what_a_counter_measured(length: int, giga: float) -> None:
    size = shape_of(LARGE)
    assert size is not None
    assert size.flops_per_token(length, training=True) / 1e9 == pytest.approx(giga, abs=0.006)
    assert size.flops_per_token(length, training=False) * 3 == size.flops_per_token(length, training=True)


def _costs(expansion: Expansion, **runtime: Any) -> list[Any]:
    jobs = missing_jobs(expansion.graph, {}, "/store", Runtime(**runtime))
    return list(stage_costs(expansion.graph, jobs).values())


def test_a_stages_cost_by_hand(expanded: Expand) -> None:
    base, stage = _costs(expanded(languages=["en", "sw"], recipe={"epochs": 2}))
    size = shape_of(LARGE)
    assert (base.examples, base.tokens, base.resume_bytes) == (0, 0, 0)
    assert base.weight_bytes == 4 * size.parameters
    assert (stage.examples, stage.tokens) == (2000, 40_000)
    evaluated = 3000  # en, sw, and English dev
    assert stage.flops == 40_000 * size.flops_per_token(20, training=True) + evaluated * 20 * size.flops_per_token(
        20, training=False
    )
    assert stage.weight_bytes == 0
    assert stage.resume_bytes == 16 * size.parameters
    assert stage.prediction_bytes == 40 * evaluated


def test_candidates_are_encoded_once_for_all_languages(expanded: Expand) -> None:
    stage = _costs(expanded(targets=["lareqa"], languages=["en", "de", "th"], recipe={"epochs": 1}))[1]
    size = shape_of(LARGE)
    evaluated = 4000 + 1000  # three languages and English dev, and one pool
    forward = size.flops_per_token(20, training=False)
    assert stage.flops == 1000 * 20 * size.flops_per_token(20, training=True) + evaluated * 20 * forward
    assert stage.prediction_bytes == 40 * 4000


@pytest.mark.parametrize(
    ("recipe", "examples", "tokens"),
    [
        ({"epochs": 0.5}, 500, 10_000),
        ({"max_steps": 10, "batch_size": 8}, 80, 1_600),
        ({"max_examples": 100, "epochs": 1}, 100, 2_000),
        ({"max_length": 10, "epochs": 1}, 1_000, 10_000),
    ],
)
def test_lengths_of_training(expanded: Expand, recipe: dict, examples: int, tokens: int) -> None:
    stage = _costs(expanded(recipe=recipe))[1]
    assert (stage.examples, stage.tokens) == (examples, tokens)


def test_a_mixtures_tasks_cost_what_each_is(expanded: Expand) -> None:
    """1000 examples of 20 tokens of SQuAD, cut to 10 of MNLI, and 2000 sentences of text, whose vocabulary counts."""
    tasks = {"mlm": {}, "mnli": {"recipe": {"max_length": 10}}, "squad": {}}
    regime = [{"mix": {"tasks": tasks}, "recipe": {"max_steps": 400, "batch_size": 10}}]
    _, stage, *_ = _costs(expanded(intermediates={"r": regime}))
    size = shape_of(LARGE)
    assert (stage.examples, stage.tokens) == (4000, 2000 * 20 + 1000 * 10 + 1000 * 20)
    text = 40_000 * (size.flops_per_token(20, training=True) + 6 * 0.15 * size.embedding_parameters)
    rest = 10_000 * size.flops_per_token(10, training=True) + 20_000 * size.flops_per_token(20, training=True)
    assert stage.flops == pytest.approx(text + rest)


def test_a_budget_in_tokens_is_what_a_mixture_costs(expanded: Expand) -> None:
    regime = {"stages": [{"mix": {"tasks": {"mnli": {}, "mlm": {"probability": 0.5}}}}], "budget": {"tokens": 30_000}}
    _, stage, *_ = _costs(expanded(intermediates={"r": regime}))
    assert (stage.examples, stage.tokens) == (1500, 30_000)


def test_text_beside_a_task_need_not_be_counted(expanded: Expand, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch is the task's: 1000 examples of MNLI, and as many sentences. Of two to be counted, one is not enough."""
    ref, bare = type(data).ref, {"rows": None, "tokens": None}

    def uncounted(self: Any, task: Any, *rest: str) -> Any:
        return replace(ref(self, task, *rest), **(bare if task.name == "mlm" else {}))

    def examples(text: dict[str, float]) -> int:
        mixture = {"mix": {"tasks": {"mnli": {}, "mlm": text}}, "recipe": {"epochs": 1}}
        return _costs(expanded(intermediates={"r": [mixture]}))[1].examples

    monkeypatch.setattr(type(data), "ref", uncounted)
    assert (examples({}), examples({"probability": 0.5})) == (0, 2000)


def test_choices_and_windows_are_not_cut_but_spread(expanded: Expand) -> None:
    short = {"max_length": 10, "epochs": 1}
    cut, spread = (
        _costs(expanded(targets=[target], recipe=short, recipes={"tydiqa": {"stride": 5}}))[1].tokens
        for target in ("xnli", "tydiqa")
    )
    assert (cut, spread) == (10_000, 20_000)


def test_speed_is_measured_where_it_was_and_assumed_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {"train": {"parts": {"squad": {}}}}
    records = [{"speed": {"kind": "gpu", "flops": f}, **tasks} for f in (1e14, 3e14, 2e14)] + [
        {"speed": {"kind": "cpu", "flops": 1}, **tasks},
        {},
    ]
    found = speed(Runtime(accelerator="gpu"), records)
    assert found == Speed(2e14, "measured on 3 stages of this store", {("squad",): 2e14})
    assert speed(Runtime(accelerator="gpu"), []).flops == GPU_FLOPS
    assert speed(Runtime(accelerator="cpu"), records[:3]).flops == CPU_FLOPS
    monkeypatch.setenv("RAY_ADDRESS", "x")
    assert speed(Runtime(), []).flops == GPU_FLOPS


def test_a_task_is_timed_by_stages_on_it(expanded: Expand) -> None:
    """XNLI was measured at half the speed of QQP: at the speed of all, their mean, it takes what it took."""
    measured = {"xnli": 1e14, "qqp": 2e14}
    records = [{"speed": {"kind": "gpu", "flops": f}, "train": {"parts": {t: {}}}} for t, f in measured.items()]
    expansion = expanded(targets=["xnli", "pawsx"], runtime={"accelerator": "gpu"})
    plan = make_plan(expansion, {}, "/store", records)
    raw = stage_costs(expansion.graph, plan.jobs)
    seconds = {expansion.graph.nodes[key].slug.rsplit("-", 2)[-2]: (key, took) for key, took in plan.seconds().items()}
    assert seconds["xnli"][1] == pytest.approx(raw[seconds["xnli"][0]].flops / 1e14)
    assert seconds["pawsx"][1] == pytest.approx(raw[seconds["pawsx"][0]].flops / 1.5e14)


def test_curves_are_part_of_the_cost(expanded: Expand) -> None:
    def flops(**fields: Any) -> float:
        expansion = expanded(languages=["en"], recipe={**BEST, "evaluate_every": 3}, **fields)
        jobs = missing_jobs(expansion.graph, {}, "/store", Runtime())
        return stage_costs(expansion.graph, jobs)[next(node.key for node in expansion.graph.stages())].flops

    # 20 steps, with an evaluation after 3, 6, .. 18 and 20, of 1000 rows of 20 tokens in each language.
    one = flops(splits=["test"]) - flops(splits=["dev"])  # test and English dev, against English dev alone
    everything = flops(splits=["test"], curves={"languages": ["de", "zh"]})
    assert everything - flops(splits=["test"]) == pytest.approx(7 * 2 * one)
    part = flops(splits=["test"], curves={"languages": ["de", "zh"], "examples": 100})
    assert part - flops(splits=["test"]) == pytest.approx(7 * 2 * one / 10)
    assert one > 0
