"""Costs of stages against measured and published figures, and against small plans counted by hand."""

from dataclasses import replace
from typing import Any

import pytest

from stilts.encoders.sizes import shape_of
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import BaseSpec
from stilts.plan.cost.estimate import stage_costs
from stilts.plan.expand import Expansion
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
    recipe = {"epochs": 2, "batch_size": 20, "max_length": 128}
    base, stage = _costs(expanded(languages=["en", "sw"], recipe=recipe))
    size = shape_of(LARGE)
    assert (base.examples, base.tokens, base.resume_bytes) == (0, 0, 0)
    assert base.weight_bytes == 4 * size.parameters
    assert (stage.examples, stage.tokens) == (2000, 40_000)
    evaluated = 3000  # en, sw, and English dev
    work = stage.work
    # 20 sequences of 20 tokens a step share 4 rows of 128 tokens, as 400 / 0.93 do not fit 3.
    assert work.training.flops == pytest.approx(100 * 512 * size.flops_per_token(128, training=True))
    assert work.evaluation.flops == pytest.approx(evaluated * 20 * size.flops_per_token(20, training=False))
    assert work.predictions == evaluated
    dev = 2 * 20_000  # tokens of English dev, after each epoch
    assert work.watching.flops == pytest.approx(dev * size.flops_per_token(20, training=False))
    assert work.moved == 4 * size.parameters + stage.staged_bytes
    assert stage.weight_bytes == 0
    assert stage.resume_bytes == 16 * size.parameters
    assert stage.prediction_bytes == 40 * evaluated


def test_candidates_are_encoded_once_for_all_languages(expanded: Expand) -> None:
    stage = _costs(expanded(targets=["lareqa"], languages=["en", "de", "th"], recipe={"epochs": 1}))[1]
    size = shape_of(LARGE)
    evaluated = 4000 + 1000  # three languages and English dev, and one pool
    forward = size.flops_per_token(20, training=False)
    assert stage.work.evaluation.flops == pytest.approx(evaluated * 20 * forward)
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
    recipe = {"max_steps": 400, "batch_size": 10, "max_length": 256}
    regime = [{"mix": {"tasks": tasks}, "recipe": recipe}]
    _, stage, *_ = _costs(expanded(intermediates={"r": regime}))
    size = shape_of(LARGE)
    assert (stage.examples, stage.tokens) == (4000, 2000 * 20 + 1000 * 10 + 1000 * 20)
    # A batch of 10 sequences of 20 tokens is in one row as long as the batch, of 10 tokens in 11 rows of 10.
    rows = [(200, 200, 200), (100, 110, 10), (100, 200, 200)]
    shared = sum(steps * padded * size.flops_per_token(width, training=True) for steps, padded, width in rows)
    text = 40_000 * 6 * 0.15 * size.embedding_parameters
    assert stage.work.training.flops == pytest.approx(shared + text)


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


def test_curves_are_part_of_the_cost(expanded: Expand) -> None:
    def work(**fields: Any) -> Any:
        expansion = expanded(languages=["en"], recipe={**BEST, "evaluate_every": 3}, **fields)
        jobs = missing_jobs(expansion.graph, {}, "/store", Runtime())
        return stage_costs(expansion.graph, jobs)[next(node.key for node in expansion.graph.stages())].work

    # 20 steps, with an evaluation after 3, 6, .. 18 and 20, of 1000 rows of 20 tokens in each language.
    dev = work(splits=["test"]).watching.flops
    assert dev == pytest.approx(7 * 20_000 * shape_of(LARGE).flops_per_token(20, training=False))
    everything = work(splits=["test"], curves={"languages": ["de", "zh"]})
    assert everything.watching.flops == pytest.approx(3 * dev)
    assert everything.watched == 7 * 3000
    part = work(splits=["test"], curves={"languages": ["de", "zh"], "examples": 100})
    assert part.watching.flops == pytest.approx(1.2 * dev)
