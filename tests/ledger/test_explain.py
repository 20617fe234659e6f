"""Explanations of why a stage is not reused: the fields that differ, and the nearest stored stage."""

from pathlib import Path
from typing import Any

import pytest

from stilts.errors import StiltsError
from stilts.identity.stage import SHORT
from stilts.ledger.explain import Difference, differences, explain_stage, nearest_stage
from stilts.ledger.record import take_inventory, write_stage
from stilts.plan.expand import expand
from stilts.plan.todo import Artifact
from stilts.storage.local import LocalStore
from tests.plan.conftest import FakeData, declare


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


def test_the_nearest_stage_is_of_the_same_task() -> None:
    def payload(**fields: Any) -> dict:
        return expand(declare(**fields), FakeData()).graph.stages()[0].spec.payload()

    stored = {
        "far": payload(recipe={"epochs": 1, "batch_size": 4}),
        "near": payload(recipe={"batch_size": 4}),
        "other": payload(targets=["pawsx"]),
    }
    found = nearest_stage(payload(), stored)
    assert found == ("near", [Difference("recipe.batch_size", 32, 4)])
    assert nearest_stage(payload(targets=["panx"]), stored) is None


def test_a_stage_is_explained_by_the_most_similar_one_in_the_store(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    stored = expand(declare(recipe={"batch_size": 4}), FakeData()).graph.stages()[0]
    write_stage(store, stored.name, {"key": stored.key, "payload": stored.spec.payload(), "weights": {}})
    expansion = expand(declare(), FakeData())
    wanted = expansion.graph.stages()[0]
    found = explain_stage(expansion, take_inventory(store), store, wanted.key[:6])
    assert (found["stage"], found["verdict"], found["nearest"]) == (wanted.name, "not in the store", stored.name)
    assert found["differences"] == [{"field": "recipe.batch_size", "wanted": 32, "stored": 4}]
    with pytest.raises(StiltsError, match="no stage 'nothing'"):
        explain_stage(expansion, take_inventory(store), store, "nothing")


def test_the_verdict_says_what_happens_to_a_stored_stage(tmp_path: Path) -> None:
    expansion = expand(declare(languages=["en"]), FakeData())
    node = expansion.graph.stages()[0]
    paths = frozenset(node.evaluations)
    verdicts = {
        "done: it is reused": Artifact(node.name, True, False, paths),
        "so it is only evaluated": Artifact(node.name, True, True, frozenset()),
        "so it trains again": Artifact(node.name, True, False, frozenset()),
    }
    for verdict, artifact in verdicts.items():
        found = explain_stage(expansion, {node.key[:12]: artifact}, LocalStore(tmp_path), node.name)
        assert verdict in found["verdict"]
        assert found["differences"] == []


def test_a_stage_is_found_by_its_name_with_or_without_its_key(tmp_path: Path) -> None:
    expansion, store = expand(declare(seeds=[1, 2]), FakeData()), LocalStore(tmp_path)
    node = expansion.graph.stages()[0]
    for wanted in (node.name, node.name[: -SHORT - 1], node.key[:SHORT]):
        assert explain_stage(expansion, {}, store, wanted)["stage"] == node.name
    with pytest.raises(StiltsError, match="no stage 'nothing'; valid: "):
        explain_stage(expansion, {}, store, "nothing")
    with pytest.raises(StiltsError, match="no stage ''"):
        explain_stage(expansion, {}, store, "")


def test_the_verdict_for_keep_all_is_that_of_the_plan(tmp_path: Path) -> None:
    expansion = expand(declare(runtime={"keep": "all"}), FakeData())
    node = expansion.graph.stages()[0]
    dropped = Artifact(node.name, True, False, frozenset(node.evaluations))
    found = explain_stage(expansion, {node.key[:SHORT]: dropped}, LocalStore(tmp_path), node.name)
    assert found["verdict"] == "trained, but its weights were not kept, so it trains again for runtime.keep: all"
