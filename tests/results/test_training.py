"""What the training of stages came to, from their records: losses, dev scores against chance, warm-up, notes."""

import math
from pathlib import Path
from typing import Any

import pytest

from stilts.ledger.record import write_stage
from stilts.plan.expand import Expansion, expand
from stilts.results.training import TRAINING, training_table
from stilts.storage.local import LocalStore
from tests.plan.conftest import FakeData, declare


@pytest.fixture
def expansion() -> Expansion:
    return expand(declare(intermediates=["none", "mnli"], recipe={"warmup": 50, "long_warmup": "keep"}), FakeData())


def write(store: LocalStore, expansion: Expansion, slug: str, steps: int = 100, **dev: Any) -> None:
    """Write the record of the stage whose slug ends with `slug`; its loss falls from 1.0 to 0.4."""
    [node] = [node for node in expansion.graph if node.slug.endswith(slug)]
    [task] = [part.task for part in node.spec.parts]  # type: ignore[union-attr]
    part = {"steps": steps, "first": [1.1, 0.9], "losses": [0.5, 0.3]}
    scores = {"parts": {task: dev["score"]} if "score" in dev else {}}
    scores |= {"chance": {task: dev["chance"]}} if "chance" in dev else {}
    write_stage(store, node.name, {"weights": None, "train": {"steps": steps, "parts": {task: part}}, "dev": scores})


def row(expansion: Expansion, store: LocalStore) -> dict[str, Any]:
    table = training_table(expansion, store)
    assert table.schema == TRAINING
    [found] = table.to_pylist()
    return found


def test_an_intermediate_above_chance_has_learned(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write(store, expansion, "mnli-s1", score=60.0, chance={"score": 35.0, "examples": 400})
    found = row(expansion, store)
    assert (found["phase"], found["task"], found["seed"]) == ("intermediate", "mnli", 1)
    assert (found["first_loss"], found["last_loss"]) == (pytest.approx(1.0), pytest.approx(0.4))
    assert found["margin"] == pytest.approx(200 * math.sqrt(0.35 * 0.65 / 400))
    assert (found["learned"], found["note"], found["warmup_share"]) == (True, None, 0.5)


def test_a_score_within_the_margin_of_chance_is_noted(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write(store, expansion, "mnli-s1", score=36.0, chance={"score": 35.0, "examples": 400})
    found = row(expansion, store)
    assert (found["learned"], found["note"]) == (False, "dev is not above chance")


def test_without_chance_the_loss_tells(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write(store, expansion, "large-xnli-s1")
    found = row(expansion, store)
    assert (found["phase"], found["dev"], found["chance"], found["learned"]) == ("target", None, None, True)


def test_a_warm_up_as_long_as_the_training_is_noted(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write(store, expansion, "mnli-s1", steps=40, score=60.0, chance={"score": 35.0, "examples": 400})
    found = row(expansion, store)
    assert (found["warmup_share"], found["note"]) == (1, "its warm-up was not over at the end")


def test_an_empty_store_has_no_rows(expansion: Expansion, tmp_path: Path) -> None:
    assert len(training_table(expansion, LocalStore(tmp_path))) == 0
