"""Summaries of plans: a small grid counted by hand, and what is said about data of the hub."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stilts.data.prepare import Catalog
from stilts.experiment.data import DataDecl, TaskSource
from stilts.identity.stage import SHORT
from stilts.plan.expand import expand
from stilts.plan.summary import make_plan, stage_rows, summarize
from stilts.plan.todo import Artifact
from tests.plan.conftest import Expand, declare


def test_what_is_not_known_is_said(expanded: Expand, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = type(data).ref
    monkeypatch.setattr(type(data), "ref", lambda *a: replace(ref(*a), rows=None, tokens=None))
    expansion = expanded(models={"m": {"hub": "a/unheard-of", "revision": "b"}})
    assert summarize(make_plan(expansion, {}, "/store", []))["unknown"] == [
        "the size of the base model",
        "the size of xnli train",
    ]


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
    hours = sum(plan.seconds.values()) / 3600
    assert hours > 0
    assert summarize(plan)["gpu_hours"] == pytest.approx(hours, abs=1e-4)
    assert sum(row["gpu_hours"] for row in stage_rows(plan)) == pytest.approx(hours, abs=1e-3)


# --- explain -------------------------------------------------------------------------------------------------


# --- what planning does not load -------------------------------------------------------------------------------


def test_planning_imports_neither_torch_nor_ray() -> None:
    modules = "stilts.session, stilts.plan.summary, stilts.show.plan, stilts.ledger.explain, stilts.show.status"
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
