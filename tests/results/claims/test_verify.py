"""The verdicts of a real store: computed, reported, recomputed from predictions, and altered."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest
import yaml

import stilts
from stilts.errors import Problems, StiltsError
from stilts.evaluate.gold import gold_of
from stilts.evaluate.predictions import write_predictions
from stilts.ledger.data import read_examples
from stilts.ledger.record import stage_path, write_evaluation
from stilts.session import Session
from stilts.tasks.base import get_task
from stilts.tasks.score import score
from tests.plan.test_claims import EXPERIMENT, difference

DAMAGE = {"none": 0.5, "mnli": 0.2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a store with predictions of both regimes on UD-POS: gold, of which a share is damaged."""
    folder = tmp_path_factory.mktemp("claims")
    session = Session.open(declared(folder))
    session.prepare()
    for cell in session.expansion.cells:
        node = session.expansion.graph.nodes[cell.branches[0].chain[-1]]
        for spec in cell.branches[0].evaluations:
            if spec.condition is not None:
                continue
            gold = gold_of(get_task("udpos"), read_examples(session.store, spec.data))
            rng = random.Random(f"{cell.intermediate} {cell.seed} {spec.language}")
            damage = DAMAGE[cell.intermediate] + rng.uniform(-0.02, 0.02)
            tags = [[tag if rng.random() > damage else "X" for tag in sentence] for sentence in gold]
            record = {"metrics": score("udpos", spec.language, tags, gold), "examples": len(gold)}
            write_evaluation(session.store, node.name, spec, write_predictions("udpos", tags), ".tsv", record)
    return folder


def declared(folder: Path) -> Path:
    """The file of an experiment whose store and results are in a folder."""
    experiment = {
        **EXPERIMENT,
        "seeds": [1, 2, 3, 4],
        "targets": ["udpos"],
        "store": str(folder / "store"),
        "results": str(folder / "results"),
        "claims": {
            "helps": {"text": "MNLI helps.", **difference(languages="transfer")},
            "much": {"text": "MNLI helps a lot.", **difference(above=60)},
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(experiment))
    return folder / "study.yaml"


@pytest.fixture
def file(made: Path, tmp_path: Path) -> Path:
    """The file of an experiment with a copy of the store."""
    shutil.copytree(made / "store", tmp_path / "store")
    return declared(tmp_path)


@pytest.fixture
def study(file: Path) -> Session:
    return Session.open(file)


def predictions(study: Session, folder: Path) -> Path:
    """A file of predictions of the regime mnli."""
    cell = next(cell for cell in study.expansion.cells if cell.intermediate == "mnli")
    name = study.expansion.graph.nodes[cell.branches[0].chain[-1]].name
    spec = next(s for s in cell.branches[0].evaluations if s.condition is None and s.language != "en")
    return folder / "store" / stage_path(name) / f"{spec.path}.tsv"


def test_verdicts_follow_from_the_store(file: Path) -> None:
    table = stilts.claims(file).table.set_index("claim")
    assert table["verdict"].to_dict() == {"helps": "supported", "much": "contradicted"}
    assert (table["results"] == table["results_planned"]).all()


def test_a_claim_says_when_it_was_declared_and_what_existed_then(file: Path, study: Session) -> None:
    first = stilts.claims(file).table.set_index("claim").loc["helps"]
    assert first["results_then"] == 2 * 4 * 2
    again = stilts.claims(file).table.set_index("claim").loc["helps"]
    assert again["declared"] == first["declared"]
    text = file.read_text().replace("above: 60", "above: 50")
    file.write_text(text)
    stilts.claims(file)
    assert len(list(study.store.list("experiments/claims/claims"))) == 3


def test_a_run_declares_its_claims_before_it_has_results(tmp_path: Path, study: Session) -> None:
    session = Session.of(study.experiment.model_copy(update={"store": str(tmp_path / "other")}))
    session.declare()
    notes = [session.store.read(f"experiments/claims/claims/{file}") for file in
             session.store.list("experiments/claims/claims")]  # fmt: skip
    assert [json.loads(note or b"")["results_then"] for note in notes] == [0, 0]


def test_unaltered_predictions_give_the_reported_verdicts(file: Path) -> None:
    stilts.claims(file).write()
    found = stilts.verify(file)
    found.raise_if_altered()
    assert found.found.evaluations == 2 * 4 * 3
    assert found.to_json()["agrees"]


def test_an_altered_prediction_is_told(file: Path, study: Session, tmp_path: Path) -> None:
    stilts.claims(file).write()
    path = predictions(study, tmp_path)
    path.write_text(path.read_text().replace("NOUN", "VERB"))
    with pytest.raises(Problems, match="its predictions are not what was written"):
        stilts.verify(file).raise_if_altered()


def test_an_altered_prediction_with_a_new_digest_is_told(file: Path, study: Session, tmp_path: Path) -> None:
    stilts.claims(file).write()
    path = predictions(study, tmp_path)
    path.write_text(path.read_text().replace("NOUN", "VERB"))
    record = path.with_name(path.name.replace(".tsv", ".record.json"))
    content = json.loads(record.read_text())
    content["predictions"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    record.write_text(json.dumps(content))
    with pytest.raises(Problems, match=r"its predictions score .* and the record says"):
        stilts.verify(file).raise_if_altered()


def test_an_altered_report_is_told(file: Path) -> None:
    path = stilts.claims(file).write()
    path.write_text(path.read_text().replace("contradicted", "supported"))
    with pytest.raises(Problems, match="much: reported supported, recomputed contradicted"):
        stilts.verify(file).raise_if_altered()


def test_without_claims_it_says_what_to_do(file: Path) -> None:
    text = file.read_text()
    file.write_text(text[: text.index("claims:")] + text[text.index("data:") :])
    for command in (stilts.claims, stilts.verify):
        with pytest.raises(StiltsError, match="the experiment declares no claims: add claims:"):
            command(file)
