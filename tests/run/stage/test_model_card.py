"""The model card of a stage, made of its records."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from stilts.errors import StiltsError
from stilts.identity.canonical import digest
from stilts.identity.stage import SHORT, Condition, DataRef, EvaluationSpec
from stilts.ledger.record import write_evaluation, write_stage
from stilts.run.stage.model_card import model_card
from stilts.storage.local import LocalStore

BASE = {"key_version": 2, "base": {"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d4"}}
FINISHED = {
    "runtime": {"ranks": 1, "zero_stage": 1},
    "versions": {"stilts": "0.1.0", "torch": "2.13.0"},
    "finished": "2026-11-21T17:43:00Z",
}


def part(task: str, identity: str) -> dict[str, Any]:
    return {
        "task": {"name": task, "version": 1},
        "train": [[task, "en", identity]],
        "dev": ["en", "sha256:de0"],
        "examples": {"max_length": 96, "stride": None},
    }


def write(store: LocalStore, slug: str, payload: dict[str, Any], **facts: Any) -> tuple[str, str]:
    key = digest(payload)
    name = f"{slug}-{key[:SHORT]}"
    write_stage(store, name, {"name": name, "key": key, "payload": payload, **FINISHED, **facts})
    return name, key


def trained(score: float | None) -> dict[str, Any]:
    return {
        "train": {"steps": 40, "examples": 320, "best_step": None if score is None else 20},
        "dev": {"metric": "accuracy", "score": score},
    }


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def name(store: LocalStore) -> str:
    """A stage after another, evaluated in two languages, in one of them on noisy data, too."""
    _, base = write(store, "xlmr", BASE)
    squad = {"key_version": 2, "parent": base, "parts": [part("squad", "sha256:5quad")], "recipe": {"seed": 1}}
    _, parent = write(store, "xlmr-squad-s1", squad, **trained(70.0))
    hub = "hub:nyu-mll/glue/mnli@bcdcba79#train"
    mnli = {
        "key_version": 2,
        "parent": parent,
        "parts": [part("mnli", hub)],
        "recipe": {"learning_rate": 1e-5, "seed": 1},
    }
    name, _ = write(store, "xlmr-squad-mnli-s1", mnli, **trained(81.25))
    for language, condition, score in (("de", None, 55.5), ("sw", None, 44.25), ("de", Condition("swap", 0.1), 11.0)):
        data = DataRef("xnli", "test", language, f"sha256:{language}")
        spec = EvaluationSpec("xnli", 1, "test", language, data, condition=condition)
        record = {"metrics": {"accuracy": score}, "condition": None if condition is None else vars(condition)}
        write_evaluation(store, name, spec, b"neutral\n", ".tsv", record)
    return name


def test_the_hub_reads_its_metadata(store: LocalStore, name: str) -> None:
    data = ModelCard(model_card(store, name)).data
    assert (data.base_model, data.datasets, data.language) == ("FacebookAI/xlm-roberta-base", ["nyu-mll/glue"], ["en"])
    assert data.license is None
    assert {"squad", "mnli"} < set(data.tags)
    found = {(r.dataset_name, r.dataset_config, r.metric_type): r.metric_value for r in data.eval_results}
    assert found == {("xnli", "de", "accuracy"): 55.5, ("xnli", "sw", "accuracy"): 44.25}


def test_a_person_reads_how_it_was_made_and_how_to_load_it(store: LocalStore, name: str) -> None:
    text = ModelCard(model_card(store, name)).text
    assert "FacebookAI/xlm-roberta-base) at revision `e73636d4`, trained on squad, then on mnli." in text
    for expected in (
        "| squad | 1 | 40 | 320 | 70.00 (accuracy) |",
        "| learning_rate | 1e-05 |",
        "| mnli: max_length | 96 |",
        "| squad | train | en | `sha256:5quad` |",
        "| mnli | train | en | `hub:nyu-mll/glue/mnli@bcdcba79#train` |",
        "weights of step 20: 81.25 (accuracy)",
        "| xnli | test | sw | accuracy | 44.25 |",
        f'from_pretrained("stages/{name}/weights")',
        "stilts 0.1.0, torch 2.13.0",
        name,
    ):
        assert expected in text
    assert "11.0" not in text  # on noisy data


def test_what_is_not_there_is_a_word(store: LocalStore) -> None:
    payload = {"key_version": 2, "parent": "0" * 64, "parts": [part("mnli", "sha256:0")], "recipe": {"seed": 1}}
    name, _ = write(store, "x-mnli-s1", payload, **trained(None))
    text = model_card(store, name)
    assert "a stage whose record is gone" in text
    assert "No dev data chose among its weights" in text
    assert "It was not evaluated" in text
    assert "None" not in text.replace("None is stated here", "")


def test_no_record_no_card(store: LocalStore) -> None:
    with pytest.raises(StiltsError, match="has no record; a model card is made of it"):
        model_card(store, "mnli-s1-0123456789ab")


def test_seeds_of_the_parts_are_told_where_they_differ(store: LocalStore) -> None:
    for seeds, shown in (({"order": 3, "head": 3, "dropout": 3}, "3"), ({"order": 3, "head": 1}, "order 3, head 1")):
        payload = {
            "key_version": 2,
            "parent": "0" * 64,
            "parts": [part("mnli", "sha256:0")],
            "recipe": {"seeds": seeds},
        }
        name, _ = write(store, "x-mnli", payload, **trained(80.0))
        assert f"| mnli | {shown} | 40 |" in model_card(store, name)
