"""Explanations of why a stage is not reused: the fields that differ, and the nearest stored stage."""

from typing import Any

from stilts.ledger.explain import Difference, differences, nearest_stage
from stilts.plan.expand import expand
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
