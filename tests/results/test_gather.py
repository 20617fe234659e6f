"""The table of results of an experiment, from what its store holds."""

from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.ledger.record import write_evaluation, write_failure, write_stage
from stilts.plan.expand import Expansion, expand
from stilts.results.gather import gather, gather_choice, gather_submission
from stilts.storage.local import LocalStore
from tests.plan.conftest import FakeData, declare


@pytest.fixture
def expansion() -> Expansion:
    fields = {"seeds": [1, 2], "languages": ["en", "de"], "intermediate_seeds": "crossed"}
    return expand(declare(intermediates=["none", "mnli"], **fields), FakeData())


def name_of(expansion: Expansion, slug: str) -> str:
    [name] = [node.name for node in expansion.graph if node.slug.endswith(slug)]
    return name


def test_every_planned_evaluation_has_its_score_or_the_reason_why_not(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    done = next(cell for cell in expansion.cells if (cell.intermediate, cell.seed) == ("none", 1))
    name = expansion.graph.nodes[done.branches[0].chain[-1]].name
    write_stage(store, name, {"name": name, "weights": None})
    english = next(spec for spec in done.branches[0].evaluations if spec.language == "en")
    record = {"examples": 10, "metrics": {"accuracy": 61.5}, "extra": {}}
    write_evaluation(store, name, english, b"entailment\n", ".tsv", record)
    write_failure(store, name_of(expansion, "mnli-s1"), {"status": "failed", "error": "out of memory\nTraceback"})
    rows = gather(expansion, store).to_pylist()
    assert len(rows) == sum(len(branch.evaluations) for cell in expansion.cells for branch in cell.branches)
    where = ("intermediate", "seed", "intermediate_seed", "language")
    found = {tuple(row[column] for column in where): (row["value"], row["status"]) for row in rows}
    assert found["none", 1, None, "en"] == (61.5, "ok")
    assert found["none", 1, None, "de"] == (None, "missing")
    assert found["mnli", 1, 1, "en"] == found["mnli", 2, 1, "de"] == (None, "not run")
    assert found["mnli", 1, 2, "en"] == (None, "missing")
    errors = {row["error"] for row in rows if row["status"] == "not run"}
    assert errors == {f"{name_of(expansion, 'mnli-s1')} failed: out of memory"}


def test_the_choice_is_among_independent_cells_by_their_dev_records(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    cells, read = gather_choice(expansion, store)
    assert [(cell.intermediate, cell.seed) for cell in cells] == [("none", 1), ("none", 2), ("mnli", 1), ("mnli", 2)]
    first = cells[0]
    assert first.selection is not None
    assert read(first.stage, first.selection) is None
    write_stage(store, first.stage, {"name": first.stage, "weights": None})
    record = {"examples": 10, "metrics": {"accuracy": 70.0}, "extra": {}}
    write_evaluation(store, first.stage, first.selection, b"entailment\n", ".tsv", record)
    _, read = gather_choice(expansion, store)
    found = read(first.stage, first.selection)
    assert found is not None
    assert found["metrics"] == {"accuracy": 70.0}


def test_a_submission_of_an_unknown_regime_is_refused(expansion: Expansion, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    for choices, message in ((["xnli=mlni"], "unknown intermediate 'mlni'"), (["panx=mnli"], "panx is no zero-shot")):
        with pytest.raises(StiltsError, match=message):
            gather_submission(expansion, store, tmp_path / "out", None, choices)
    with pytest.raises(StiltsError, match="nothing to submit"):
        gather_submission(expansion, store, tmp_path / "out", None, ["mnli"])
