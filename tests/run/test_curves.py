"""Scores of other languages on the way, from a run of an experiment to its tables, in one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stilts.identity.stage import StageSpec
from stilts.ledger.record import drop_weights, read_stage
from stilts.results.analyse import learning_tables
from stilts.results.gather import gather
from stilts.run.stage.stage import run_stage
from stilts.session import Session
from stilts.train.ranks import Ranks
from tests.tiny import TINY

EXPERIMENT = (
    """\
name: curves
seeds: [1]
"""
    + TINY
    + """\
intermediates: [none]
targets: [xnli, udpos]
splits: [dev]
recipe: {precision: fp32, learning_rate: 1e-2, max_steps: 14, batch_size: 8, max_length: 48, evaluate_every: 4}
settings: {xnli: {max_length: 40}, udpos: {max_length: 48}}
data:
  generate: {languages: 2, sentences: 60}
"""
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, ranks: Ranks) -> Callable[..., Session]:
    """An experiment with all its stages done, in a store of its own."""

    def run(*lines: str) -> Session:
        folder = tmp_path_factory.mktemp("curves")
        (folder / "curves.yaml").write_text("".join([EXPERIMENT, f"store: {folder / 'store'}\n", *lines]))
        session = Session.open(folder / "curves.yaml")
        for ref in session.data:
            session.catalog.materialise(ref)
        for job in session.plan().jobs.values():
            run_stage(job, ranks, lambda report: None)
        return session

    return run


@pytest.fixture(scope="module")
def plain(ran: Callable[..., Session]) -> Session:
    return ran()


@pytest.fixture(scope="module")
def watched(ran: Callable[..., Session]) -> Session:
    return ran("curves: {splits: [dev, test]}\n")


def _records(session: Session) -> dict[str, dict[str, Any]]:
    """Of the stages that train, by name."""
    names = [node.name for node in session.expansion.graph if isinstance(node.spec, StageSpec)]
    return {name: read_stage(session.store, name) or {} for name in names}


def test_scoring_other_languages_changes_no_bit_of_the_weights(plain: Session, watched: Session) -> None:
    before, after = _records(plain), _records(watched)
    assert before.keys() == after.keys()
    for name, record in before.items():
        assert record["weights"] == after[name]["weights"]  # digests of the files
        assert record["train"]["losses"] == after[name]["train"]["losses"]
        assert record["dev"]["curve"] == after[name]["dev"]["curve"]
        assert record["dev"]["languages"] is None


def _rows(table: pa.Table, **wanted: Any) -> list[dict[str, Any]]:
    for name, value in wanted.items():
        table = table.filter(pc.field(name).is_null() if value is None else pc.field(name) == value)
    return table.to_pylist()


def test_at_the_step_taken_a_curve_has_the_score_of_the_evaluation(watched: Session) -> None:
    results, tables = gather(watched.expansion, watched.store), learning_tables(watched.expansion, watched.store)
    others = [row for row in results.to_pylist() if row["main"] and row["language"] != "en"]
    assert len(others) == 2 * 2  # targets and invented languages
    for row in others:
        place = {"target": row["target"], "language": row["language"], "split": "dev"}
        [chosen] = _rows(tables["selection"], seed=1, **place)
        curve = {row["step"]: row["value"] for row in _rows(tables["curves"], series="language", **place)}
        assert list(curve) == [4, 8, 12, 14]
        assert curve[chosen["best_dev_step"]] == chosen["best_dev"] == row["value"]
        assert chosen["last"] == curve[14]
        assert chosen["oracle"] == max(curve.values())


def test_the_oracle_chooses_on_dev_and_is_told_by_test(watched: Session) -> None:
    tables = learning_tables(watched.expansion, watched.store)
    for row in _rows(tables["selection"], seed=1, split="test"):
        assert (row["chosen_on"], row["status"]) == ("dev", "ok")
        if row["language"] == "mean":
            continue
        place = {"target": row["target"], "language": row["language"], "series": "language"}
        dev = {point["step"]: point["value"] for point in _rows(tables["curves"], split="dev", **place)}
        test = {point["step"]: point["value"] for point in _rows(tables["curves"], split="test", **place)}
        assert row["oracle_step"] == max(dev, key=lambda step: (dev[step], -step))
        assert row["oracle"] == test[row["oracle_step"]]


def test_a_stage_that_trains_again_keeps_its_scores(watched: Session, ranks: Ranks) -> None:
    """Its weights were not kept, and an experiment without curves evaluates it on noise, too."""
    folder = Path(watched.store.uri).parent
    text = (folder / "curves.yaml").read_text().replace("curves: {splits: [dev, test]}\n", "")
    (folder / "noise.yaml").write_text(f"{text}noise: {{kinds: [swap], rates: [0.1], targets: [xnli]}}\n")
    session, before = Session.open(folder / "noise.yaml"), _records(watched)
    for node in session.expansion.graph:
        if not node.children:
            drop_weights(watched.store, node.name)
    jobs = list(session.plan().jobs.values())
    for job in jobs:
        run_stage(job, ranks, lambda report: None)
    [name] = [job.name for job in jobs if not job.trained]
    assert (again := read_stage(watched.store, name)) is not None
    assert again["finished"] >= before[name]["finished"]
    assert again["dev"]["languages"] == before[name]["dev"]["languages"] is not None


def test_stages_trained_without_curves_are_left_alone_and_said(plain: Session) -> None:
    folder = Path(plain.store.uri).parent
    text = (folder / "curves.yaml").read_text()
    (folder / "again.yaml").write_text(f"{text}curves: {{}}\n")
    session = Session.open(folder / "again.yaml")
    assert session.plan().jobs == {}
    selection = learning_tables(session.expansion, session.store)["selection"]
    [row] = _rows(selection, seed=1, target="xnli", language="mean")
    assert (row["status"], row["cost"], row["n"]) == ("no language curves", None, 0)
    [english] = _rows(selection, seed=1, target="xnli", language="en")
    assert english["gain"] >= 0
