"""A store that was written with keys of version 2: its records are read, its stages are not reused, and it says why."""

import json
from pathlib import Path
from typing import Any

import pytest

from stilts.identity.canonical import KEY_VERSION, digest
from stilts.identity.stage import SHORT
from stilts.ledger.explain import explain_stage
from stilts.ledger.record import read_evaluations, read_stage, take_inventory
from stilts.run.stage.model_card import model_card
from stilts.session import Session
from stilts.storage.local import LocalStore
from tests.tiny import TINY

BASE = {"base": {"hub": "FacebookAI/xlm-roberta-base", "revision": "e73636d4f797dec63c3081bb6ed5c7b0bb3f2089"}}
PART = {
    "task": {"name": "xnli", "version": 1},
    "train": [["xnli", "en", "sha256:aa"]],
    "dev": ["en", "sha256:bb"],
    "examples": {
        "max_length": 128,
        "stride": None,
        "max_query_length": None,
        "mlm_probability": None,
        "language_exponent": None,
        "max_examples": None,
    },
}
RECIPE = {
    "learning_rate": 3e-5,
    "epochs": 5,
    "max_steps": None,
    "max_tokens": None,
    "batch_size": 32,
    "schedule": "linear",
    "warmup": 0,
    "weight_decay": 0,
    "adam_epsilon": 1e-8,
    "max_grad_norm": 1.0,
    "precision": "bf16",
    "selection": "best-dev",
    "evaluate_every": None,
    "seed": 1,
}
KEY = "050a9f2d9ab5db332cbf11ccedfb37728f4b40c832a356ed422d7d9b9022c20a"
"""Of the stage, as version 2 computed it."""


def write(folder: Path, content: dict[str, Any]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text(json.dumps({"schema": 1, **content}))


@pytest.fixture
def old(tmp_path: Path) -> LocalStore:
    """A base model, a stage with an evaluation, without their weights."""
    store, stages = LocalStore(tmp_path / "store"), tmp_path / "store" / "stages"
    base = {"key_version": 2, **BASE}
    stage = {"key_version": 2, "parent": digest(base), "parts": [PART], "mixing": None, "recipe": RECIPE}
    common = {"runtime": {"ranks": 1, "zero_stage": 1}, "versions": {"stilts": "0.1.0"}, "finished": "2026-01-01"}
    name = f"xlm-roberta-base-{digest(base)[:SHORT]}"
    write(stages / name / "record.json", {"name": name, "key": digest(base), "payload": base, **common})
    name = f"xlm-roberta-base-xnli-s1-{KEY[:SHORT]}"
    train = {"steps": 20, "examples": 320, "tokens": 900, "seconds": 1.0, "losses": [], "best_step": 20, "parts": {}}
    dev = {"metric": "accuracy", "score": 81.25, "parts": {"xnli": 81.25}, "curve": [[20, 81.25]], "languages": None}
    facts = {"train": train, "dev": dev, "speed": {"kind": "cpu", "flops": 1e9}}
    write(stages / name / "record.json", {"name": name, "key": KEY, "payload": stage, **common, **facts})
    stem = stages / name / "evaluations" / "xnli" / "test-de-934bde37c7bc"
    predictions = {"suffix": ".tsv", "bytes": 8, "sha256": "0" * 64}
    found = {"task": "xnli", "split": "test", "language": "de", "key": "934bde37c7bc", "predictions": predictions}
    found |= {"stage": name, "metrics": {"accuracy": 55.5}, "condition": None, "examples": 1, "labelled": True}
    write(stem.with_name(stem.name + ".record.json"), found)
    stem.with_name(stem.name + ".tsv").write_text("neutral\n")
    return store


def test_its_records_are_read(old: LocalStore) -> None:
    name = next(name for name in old.list("stages") if name.endswith(KEY[:SHORT]))
    record = read_stage(old, name)
    assert record is not None
    assert record["payload"]["key_version"] == 2 < KEY_VERSION
    assert [found["metrics"] for found in read_evaluations(old, name)] == [{"accuracy": 55.5}]
    artifact = take_inventory(old)[KEY[:SHORT]]
    assert (artifact.trained, artifact.weights, len(artifact.evaluations)) == (True, False, 1)
    card = model_card(old, name)
    assert "| xnli | 1 | 20 | 320 | 81.25 (accuracy) |" in card
    assert "| xnli | test | de | accuracy | 55.50 |" in card


def test_its_stages_are_trained_again_and_it_says_why(old: LocalStore, tmp_path: Path) -> None:
    pairs = tmp_path / "xnli.jsonl"
    rows = [{"premise": "one", "hypothesis": "two", "label": label} for label in ("neutral", "entailment")]
    pairs.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    files = f"{{train: {pairs}, dev: {pairs}, test: {pairs}}}"
    text = f"name: again\nstore: {old.uri}\nseeds: [1]\nlanguages: [en]\n{TINY}intermediates: [none]\ntargets: [xnli]\n"
    data = f"data:\n  generate: {{languages: 1, sentences: 40}}\n  tasks:\n    xnli: {files}\n"
    (tmp_path / "again.yaml").write_text(text + data + "recipe: {max_length: 64}\n")
    session = Session.open(tmp_path / "again.yaml")
    plan = session.plan()
    stage = next(node for node in session.expansion.graph.stages())
    assert stage.key in plan.jobs
    explained = explain_stage(session.expansion, plan.inventory, old, stage.key)
    assert explained["verdict"] == "not in the store"
    assert explained["nearest"].endswith(KEY[:SHORT])
    differences = {found["field"]: (found["stored"], found["wanted"]) for found in explained["differences"]}
    assert differences["key_version"] == (2, KEY_VERSION)
