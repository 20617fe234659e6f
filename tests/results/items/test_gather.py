"""The table of differences over test items: what is compared, and what the notes say of what is missing."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stilts.evaluate.gold import gold_of
from stilts.evaluate.predictions import write_predictions
from stilts.identity.stage import EvaluationSpec
from stilts.ledger.data import read_examples
from stilts.ledger.record import stage_path, write_evaluation
from stilts.results.items.gather import items_table
from stilts.results.items.kept import FOLDER, Kept
from stilts.results.items.table import SCHEMA
from stilts.results.seed_statistics import Options
from stilts.session import Session
from stilts.storage.protocol import Store
from stilts.tasks.base import get_task
from stilts.tasks.score import main_number, score

EXPERIMENT = """\
name: items
store: {store}
seeds: [1, 2]
models:
  tiny:
    init:
      config: {{model_type: xlm-roberta, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}
      tokenizer: {{vocab_size: 400}}
intermediates: [none, mnli, hellaswag]
targets: [udpos, xquad, tatoeba]
recipe: {{precision: fp32, max_steps: 2}}
data: {{generate: {{languages: 2, sentences: 1000}}}}
"""

Row = dict[str, Any]
Damaged = Callable[[Any, float, random.Random], Any]
"""(gold, share that is damaged, random) -> predictions"""


class Study:
    """A declared experiment, and its predictions: gold, of which a share is damaged."""

    def __init__(self, folder: Path) -> None:
        (folder / "study.yaml").write_text(EXPERIMENT.format(store=folder / "store"))
        self.session = Session.open(folder / "study.yaml")
        self.session.prepare()
        self.metrics: dict[tuple[str, str, int, str], float] = {}

    def predict(
        self,
        intermediate: str,
        target: str,
        damage: float,
        seeds: tuple[int, ...] = (1, 2),
        damaged: Damaged | None = None,
    ) -> None:
        for cell in self.session.expansion.cells:
            if (cell.intermediate, cell.target) == (intermediate, target) and cell.seed in seeds:
                stage = self.session.expansion.graph.nodes[cell.branches[0].chain[-1]].name
                for spec in cell.branches[0].evaluations:
                    self.metrics[intermediate, target, cell.seed, spec.language] = self._write(
                        stage, spec, damage, cell.seed, damaged
                    )

    def _write(
        self, stage: str, spec: EvaluationSpec, damage: float, seed: int, damaged: Damaged | None = None
    ) -> float:
        rng = random.Random(f"{stage} {spec.language} {seed}")
        gold = gold_of(get_task(spec.task), read_examples(self.session.store, spec.data))
        predictions = (damaged or _damaged)(gold, damage, rng)
        content = write_predictions(spec.task, predictions)
        write_evaluation(self.session.store, stage, spec, content, ".json" if spec.task == "xquad" else ".tsv", {})
        return main_number(spec.task, score(spec.task, spec.language, predictions, gold))

    def rows(self, kept: Kept | None = None, **options: Any) -> dict[tuple[str, str, str], Row]:
        table = items_table(self.session.expansion, self.session.store, Options(**options), kept=kept)
        assert table.schema == SCHEMA
        rows = table.to_pylist()
        return {(row["intermediate"], row["target"], row["language"]): row for row in rows}


def _damaged(gold: Any, share: float, rng: random.Random) -> Any:
    def one(right: Any) -> Any:
        return ["X"] * len(right) if isinstance(right, list) else "0"

    if isinstance(gold, dict):
        return {id_: "nothing" if rng.random() < share else texts[0] for id_, texts in gold.items()}
    return [one(right) if rng.random() < share else right for right in gold]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def study(prepared: Study) -> Iterator[Study]:
    """A study of which nothing is predicted."""
    yield prepared
    prepared.metrics.clear()
    prepared.session.store.remove("stages")


def test_a_difference_is_that_of_the_stored_scores_averaged_over_seeds(study: Study) -> None:
    for regime, damage in (("none", 0.6), ("mnli", 0.0), ("hellaswag", 0.6)):
        study.predict(regime, "udpos", damage)
        study.predict(regime, "xquad", damage)
    rows = study.rows()
    for (regime, target, language), row in rows.items():
        if target == "tatoeba" or language == "mean":
            continue
        ours, theirs = ([study.metrics[name, target, seed, language] for seed in (1, 2)] for name in (regime, "none"))
        assert row["difference"] == pytest.approx(sum(ours) / 2 - sum(theirs) / 2, abs=1e-9)
        assert row["low"] < row["difference"] < row["high"]
        assert (row["seeds"], row["planned"], row["items"], row["note"]) == (2, 2, 25, None)
    languages = [row for (regime, target, language), row in rows.items() if (regime, target) == ("mnli", "udpos")]
    *parts, mean = languages
    assert mean["language"] == "mean"
    assert mean["difference"] == pytest.approx(sum(part["difference"] for part in parts) / len(parts))
    assert all(part["p_holm"] < 0.05 for part in languages)
    assert rows["hellaswag", "udpos", "en"]["p_holm"] > 0.05


def test_the_family_is_of_one_target_and_the_means_are_one_of_their_own(study: Study) -> None:
    for regime in ("none", "mnli", "hellaswag"):
        study.predict(regime, "udpos", 0.4)
    rows = study.rows()
    languages = len({language for _, target, language in rows if target == "udpos"}) - 1
    assert rows["mnli", "udpos", "en"]["comparisons"] == 2 * languages
    assert rows["mnli", "udpos", "mean"]["comparisons"] == 2
    assert all(row["p_holm"] >= row["p"] for row in rows.values() if row["p"] is not None)


def _alike(gold: dict[str, list[str]], share: float, rng: random.Random) -> dict[str, str]:
    """The same questions are answered wrongly in every language."""
    return {
        id_: "nothing" if random.Random(f"{share} {id_}").random() < share else texts[0] for id_, texts in gold.items()
    }


def test_the_mean_over_translations_is_as_uncertain_as_one_language(study: Study) -> None:
    """XQuAD's questions are the same in every language. Where all languages answer alike, they tell what one tells."""
    for regime, damage in (("none", 0.6), ("mnli", 0.5)):
        study.predict(regime, "xquad", damage, damaged=_alike)
    rows = {
        language: row
        for (regime, target, language), row in study.rows().items()
        if (regime, target) == ("mnli", "xquad")
    }
    mean, *languages = (rows[name] for name in ("mean", *sorted(rows.keys() - {"mean"})))
    assert len(languages) == 3
    for row in languages:
        assert (row["difference"], row["low"], row["high"]) == pytest.approx(
            (mean["difference"], mean["low"], mean["high"])
        )
        assert row["items"] == mean["items"] == 25


def test_languages_of_their_own_items_are_independent(study: Study) -> None:
    """The sentences of UD-POS are others in every language: the mean of three is the more certain."""
    for regime, damage in (("none", 0.6), ("mnli", 0.3)):
        study.predict(regime, "udpos", damage)
    rows = {
        language: row
        for (regime, target, language), row in study.rows().items()
        if (regime, target) == ("mnli", "udpos")
    }
    mean = rows.pop("mean")
    errors = [row["high"] - row["low"] for row in rows.values()]
    independent = sum(error**2 for error in errors) ** 0.5 / len(errors)
    assert mean["high"] - mean["low"] == pytest.approx(independent, rel=0.1)
    assert mean["items"] == sum(row["items"] for row in rows.values()) == 75


def test_what_is_lacking_is_named(study: Study) -> None:
    study.predict("none", "udpos", 0.5)
    study.predict("mnli", "udpos", 0.2, seeds=(2,))
    rows = study.rows()
    partly, nothing = rows["mnli", "udpos", "en"], rows["hellaswag", "udpos", "en"]
    assert (partly["seeds"], partly["planned"], partly["note"]) == (1, 2, "not predicted: seed 1")
    assert partly["difference"] > 0
    assert (nothing["seeds"], nothing["difference"], nothing["p"], nothing["note"]) == (0, None, None, "not predicted")
    assert rows["mnli", "xquad", "en"]["note"] == "not predicted"
    assert rows["hellaswag", "udpos", "mean"]["note"].endswith("languages are lacking")


def test_seeds_that_share_both_artifacts_are_one(study: Study) -> None:
    """Retrieval on the base model has no seeds; with an intermediate stage it has."""
    for regime in ("none", "mnli"):
        study.predict(regime, "tatoeba", 0.5)
    assert study.rows()["mnli", "tatoeba", "qaa"]["planned"] == 2
    assert study.rows(baseline="mnli")["none", "tatoeba", "qaa"]["seeds"] == 2


def test_damaged_predictions_are_left_out_and_named(study: Study) -> None:
    for regime in ("none", "mnli"):
        study.predict(regime, "udpos", 0.5)
    store = study.session.store
    cell = next(c for c in study.session.expansion.cells if (c.intermediate, c.target, c.seed) == ("mnli", "udpos", 1))
    stage = study.session.expansion.graph.nodes[cell.branches[0].chain[-1]].name
    spec = next(spec for spec in cell.branches[0].evaluations if spec.language == "en")
    store.write(f"{stage_path(stage)}/{spec.path}.tsv", b"NOUN\n")
    damaged = study.rows()["mnli", "udpos", "en"]
    assert damaged["seeds"] == 1
    assert "its predictions are not what was written" in damaged["note"]
    write_evaluation(store, stage, spec, b"NOUN\n", ".tsv", {})
    other = study.rows()["mnli", "udpos", "en"]
    assert (other["seeds"], other["note"]) == (1, "1 predictions, and 25 examples: seed 1")


def test_examples_that_are_gone_are_named(study: Study) -> None:
    for regime in ("none", "mnli"):
        study.predict(regime, "xquad", 0.5)
    spec = next(c for c in study.session.expansion.cells if c.target == "xquad").branches[0].evaluations[0]
    content = study.session.store.read(spec.data.path)
    study.session.store.remove(spec.data.path)
    row = study.rows()["mnli", "xquad", spec.language]
    study.session.store.write(spec.data.path, content)
    assert row["difference"] is None
    assert "is missing" in row["note"]


@pytest.fixture
def predictions_read(study: Study, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the prediction files that were read."""
    read: list[str] = []
    plain = study.session.store.read

    def note(store: Store, path: str) -> bytes | None:
        if path.startswith("stages/") and not path.endswith("record.json"):
            read.append(path)
        return plain(path)

    monkeypatch.setattr(study.session.store, "read", partial(note, study.session.store))
    return read


def test_every_prediction_is_read_once(study: Study, predictions_read: list[str]) -> None:
    for regime in ("none", "mnli", "hellaswag"):
        study.predict(regime, "udpos", 0.5)
    study.rows()
    assert len(predictions_read) == len(set(predictions_read)) == len(study.metrics)


def test_what_was_counted_once_is_not_read_again(study: Study, predictions_read: list[str], tmp_path: Path) -> None:
    for regime in ("none", "mnli"):
        for target in ("udpos", "xquad", "tatoeba"):
            study.predict(regime, target, 0.5)
    first = study.rows(Kept(tmp_path))
    assert first == study.rows()
    predictions_read.clear()
    assert study.rows(Kept(tmp_path)) == first
    assert not predictions_read
    study.predict("mnli", "udpos", 0.1, seeds=(1,))  # trained and evaluated anew
    changed = study.rows(Kept(tmp_path))
    assert {path.split("-udpos-")[1][:2] for path in predictions_read} == {"s1"}
    assert changed == study.rows() != first


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_kept_counts_that_cannot_be_read_are_made_again(study: Study, tmp_path: Path, damage: str) -> None:
    for regime in ("none", "mnli"):
        study.predict(regime, "udpos", 0.5)
    first = study.rows(Kept(tmp_path))
    for path in (tmp_path / FOLDER).iterdir():
        path.write_bytes(path.read_bytes()[:-9] if damage == "cut" else b"nothing of the kind")
    assert study.rows(Kept(tmp_path)) == first
