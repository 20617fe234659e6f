"""The trainings of an experiment's cells, with what the store says of them."""

from pathlib import Path

import pytest

from stilts.ledger.record import write_failure, write_stage
from stilts.plan.expand import Expansion, expand
from stilts.results.learning.curves import curves_table
from stilts.results.learning.selection import selection_table
from stilts.results.learning.stages import UsedStage, used_stages
from stilts.storage.local import LocalStore
from tests.plan.conftest import FakeData, declare

MODEL = {"hub": "FacebookAI/xlm-roberta-large", "revision": "c23d21b", "pretrain": ["mlm"]}


@pytest.fixture
def expansion() -> Expansion:
    fields = {"models": {"large": MODEL}, "seeds": [1, 2], "languages": ["en", "de"], "intermediate_seeds": "crossed"}
    return expand(declare(intermediates=["none", "mnli"], targets=["xnli", "tatoeba"], **fields), FakeData())


def _named(stages: list[UsedStage], slug: str) -> list[UsedStage]:
    return [stage for stage in stages if stage.stage.rpartition("-")[0] == f"xlm-roberta-large-{slug}"]


def test_every_training_has_its_place(expansion: Expansion, tmp_path: Path) -> None:
    stages = used_stages(expansion, LocalStore(tmp_path))
    [pretrained] = _named(stages, "mlm-s0")
    assert (pretrained.role, pretrained.intermediate, pretrained.target, pretrained.seed) == ("pretrain", None, None, 0)
    [first] = _named(stages, "mlm-mnli-s1")  # once, though both targets need it
    assert (first.role, first.intermediate, first.target, first.seed) == ("intermediate", "mnli", None, 1)
    targets = [(stage.intermediate, stage.target, stage.seed) for stage in stages if stage.role == "target"]
    # Of the crossed seeds those that meet themselves; and Tatoeba trains nothing.
    assert targets == [("none", "xnli", 1), ("none", "xnli", 2), ("mnli", "xnli", 1), ("mnli", "xnli", 2)]


def test_what_became_of_each_is_said(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    names = {node.slug.removeprefix("xlm-roberta-large-"): node.name for node in expansion.graph}
    record = {
        "weights": None,
        "train": {"steps": 3, "losses": [[1, 2.0]], "best_step": 3},
        "dev": {"curve": [[3, 40.0]]},
    }
    write_stage(store, names["mlm-xnli-s1"], record)
    write_failure(store, names["mlm-xnli-s2"], {"status": "diverged", "error": "the loss is nan"})
    write_failure(store, names["mlm-mnli-s1"], {"status": "failed", "error": "bad data"})
    stages = used_stages(expansion, store)
    found = {(s.intermediate, s.seed): s.status for s in stages if s.role == "target"}
    assert found == {("none", 1): "done", ("none", 2): "diverged", ("mnli", 1): "not run", ("mnli", 2): "missing"}
    assert [row["value"] for row in curves_table(stages).to_pylist()] == [2.0, 40.0]
    over = [row for row in selection_table(stages).to_pylist() if row["seed"] is None and row["language"] == "en"]
    assert [(row["intermediate"], row["n"], row["planned"], row["status"]) for row in over] == [
        ("none", 1, 2, "diverged"),
        ("mnli", 0, 2, "not run"),
    ]
