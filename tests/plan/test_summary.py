"""A plan in figures: the cost model against measured and published numbers, and a small grid counted by hand."""

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stilts.data.prepare import Catalog
from stilts.encoders.sizes import shape_of
from stilts.experiment.data import DataDecl, TaskSource
from stilts.experiment.runtime import Runtime
from stilts.identity.stage import SHORT, BaseSpec
from stilts.plan.cost.estimate import CPU_FLOPS, GPU_FLOPS, Speed, gpu_hours, peak_bytes, speed, stage_costs
from stilts.plan.expand import Expansion, expand
from stilts.plan.explain import Difference, differences, nearest_stage
from stilts.plan.summary import make_plan, stage_rows, summarize
from stilts.plan.todo import Artifact, missing_jobs
from stilts.show.plan import gigabytes, show_plan
from tests.plan.conftest import declare

Expand = Callable[..., Expansion]

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


def test_what_is_not_known_is_said(expanded: Expand, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = type(data).ref
    monkeypatch.setattr(type(data), "ref", lambda *a: replace(ref(*a), rows=None, tokens=None))
    expansion = expanded(models={"m": {"hub": "a/unheard-of", "revision": "b"}})
    assert summarize(make_plan(expansion, {}, "/store", []))["unknown"] == [
        "the size of the base model",
        "the size of xnli train",
    ]


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


def test_bytes_at_the_peak(expanded: Expand) -> None:
    expansion = expanded(targets=["xnli", "pawsx"], languages=["en"])
    costs = stage_costs(expansion.graph, missing_jobs(expansion.graph, {}, "/store", Runtime()))
    parameters = shape_of(LARGE).parameters
    end = 4 * parameters + 40 * 4000
    assert peak_bytes(costs, 1) == (end + 16 * parameters, end)
    assert peak_bytes(costs, 2) == (end + 32 * parameters, end)


# --- figures -------------------------------------------------------------------------------------------------


def test_figures_of_a_small_grid(expanded: Expand) -> None:
    """Two seeds x {none, mnli} x {xnli, tatoeba}: a seed trains mnli, for two cells, xnli, and xnli after mnli."""
    expansion = expanded(intermediates=["none", "mnli"], targets=["xnli", "tatoeba"], seeds=[1, 2], languages=["sw"])
    figures = summarize(make_plan(expansion, {}, "/store", []))
    wanted = {"cells": 8, "stages": 6, "shared": 2, "unshared": 8, "done": 0, "to_train": 6, "to_evaluate": 1}
    assert {name: figures[name] for name in wanted} == wanted, "to evaluate: the base model, on Tatoeba"
    assert figures["evaluations"] == figures["evaluations_missing"]

    inventory = {}
    for node in expansion.graph:
        paths = list(node.evaluations)
        inventory[node.key[:SHORT]] = Artifact(f"their-{node.key[:SHORT]}", True, True, frozenset(paths))
    full = summarize(make_plan(expansion, inventory, "/store", []))
    assert (full["done"], full["to_train"], full["to_evaluate"], full["evaluations_missing"]) == (6, 0, 0, 0)
    assert (full["gpu_hours"], full["bytes"]["peak"]) == (0, 0)

    leaf = next(node for node in expansion.graph if not node.children)
    inventory[leaf.key[:SHORT]] = Artifact("x", True, True, frozenset())
    plan = make_plan(expansion, inventory, "/store", [])
    assert (summarize(plan)["done"], summarize(plan)["to_train"], summarize(plan)["to_evaluate"]) == (5, 0, 1)
    states = {row["name"]: row["state"] for row in stage_rows(plan)}
    assert states["x"] == "evaluate"
    assert sorted(states.values()) == ["done"] * 6 + ["evaluate"]


def test_hours_add_up(expanded: Expand) -> None:
    plan = make_plan(expanded(intermediates=["none", "mnli"], seeds=[1, 2]), {}, "/store", [])
    hours = sum(gpu_hours(cost, plan.speed) for cost in plan.costs.values())
    assert summarize(plan)["gpu_hours"] == pytest.approx(hours, abs=1e-4)
    assert sum(plan.seconds().values()) == pytest.approx(3600 * hours)
    assert sum(row["gpu_hours"] for row in stage_rows(plan)) == pytest.approx(hours, abs=1e-3)


def test_a_plan_is_shown(expanded: Expand) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    show_plan(make_plan(expanded(seeds=list(range(50))), {}, "/store", []), console)
    text = console.export_text()
    assert "50 cells, 50 stages (0 shared; 50 trainings without sharing)" in text
    assert "... and 11 more (--json lists all)" in text
    assert [gigabytes(n) for n in (0, 999, 1000, 2.2e9, 5e13)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "2.2 GB",
        "50.0 TB",
    ]


# --- explain -------------------------------------------------------------------------------------------------


def test_differences_name_the_fields() -> None:
    wanted = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": [1]}
    stored = {"a": {"b": 2, "c": [1, 3]}, "d": None, "e": [1, 2], "f": 0}
    assert differences(wanted, stored) == [
        Difference("a.b", 1, 2),
        Difference("a.c.1", 2, 3),
        Difference("e", [1], [1, 2]),
        Difference("f", None, 0),
    ]
    assert differences(wanted, wanted) == []


def test_the_nearest_stage_is_of_the_same_task(expanded: Expand) -> None:
    def payload(**fields: Any) -> dict:
        return expanded(**fields).graph.stages()[0].spec.payload()

    stored = {
        "far": payload(recipe={"epochs": 1, "batch_size": 4}),
        "near": payload(recipe={"batch_size": 4}),
        "other": payload(targets=["pawsx"]),
    }
    found = nearest_stage(payload(), stored)
    assert found == ("near", [Difference("recipe.batch_size", 32, 4)])
    assert nearest_stage(payload(targets=["panx"]), stored) is None


# --- what planning does not load -------------------------------------------------------------------------------


def test_planning_imports_neither_torch_nor_ray() -> None:
    modules = "stilts.session, stilts.plan.summary, stilts.show.plan, stilts.plan.explain, stilts.show.status"
    code = (
        f"import {modules}, sys; print([m for m in ('torch', 'ray', 'transformers', 'datasets') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"


def test_a_plan_says_what_of_the_hub_is_not_the_benchmarks_or_not_known_to_load(tmp_path: Path) -> None:
    """UD-POS of the hub holds other languages in five of its files."""
    fields: dict[str, Any] = {"targets": ["udpos"], "languages": ["en", "el", "de", "fi"]}
    figures = summarize(make_plan(expand(declare(**fields), Catalog(DataDecl(), tmp_path)), {}, "/store", []))
    assert [(odd["task"], odd["language"]) for odd in figures["unlike"]] == [("udpos", "el"), ("udpos", "de")]
    assert "Ancient Greek" in figures["unlike"][0]["why"]
    assert [(pin["id"], pin["known"]) for pin in figures["pins"]] == [("google/xtreme", True)]
    source = TaskSource(hub="me/xnli", revision="abc")
    data = DataDecl(tasks={"xnli": source})
    other = declare(targets=["xnli"], languages=["en"], data=data.model_dump())
    figures = summarize(make_plan(expand(other, Catalog(data, tmp_path)), {}, "/store", []))
    assert figures["pins"] == [{"id": "me/xnli", "revision": "abc", "known": False}]
