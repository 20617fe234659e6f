"""Records: round trips, what a reader does with what it cannot read, and the inventory made of them."""

import json
from pathlib import Path

import pytest

from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.ledger.record import (
    SCHEMA,
    clear_failure,
    read_evaluation,
    read_failure,
    read_predictions,
    read_stage,
    take_inventory,
    write_evaluation,
    write_failure,
    write_stage,
)
from stilts.plan.todo import Artifact
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Corrupt, Store

SHORT_KEY = "0123456789ab"
NAME = f"xlmr-mnli-s1-{SHORT_KEY}"


def _evaluation(language: str = "de") -> EvaluationSpec:
    return EvaluationSpec("xnli", 1, "test", language, DataRef("xnli", "test", language, f"sha256:{language}"))


def _train(store: Store, tmp_path: Path, name: str = NAME, weights: bytes = b"weights") -> None:
    folder = tmp_path / "made"
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "sub" / "config.json").write_text("{}")
    manifest = store.put_tree(folder, f"stages/{name}/weights")
    write_stage(store, name, {"name": name, "weights": manifest})


def _evaluate(store: Store, spec: EvaluationSpec, name: str = NAME) -> None:
    write_evaluation(store, name, spec, b"entailment\nneutral\n", ".tsv", {"metrics": {"accuracy": 50.0}})


def test_stage_record_round_trip(store: Store) -> None:
    assert read_stage(store, NAME) is None
    write_stage(store, NAME, {"name": NAME, "weights": None, "text": "ไทย", "loss": 0.1})
    assert read_stage(store, NAME) == {"schema": SCHEMA, "name": NAME, "weights": None, "text": "ไทย", "loss": 0.1}


def test_a_record_of_schema_and_name_alone_is_damaged(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.write(f"stages/{NAME}/record.json", json.dumps({"schema": SCHEMA, "name": NAME}).encode())
    assert read_stage(store, NAME) is None
    assert not take_inventory(store)[SHORT_KEY].trained
    assert "the record is not what was written" in caplog.text


def test_a_record_refuses_what_json_cannot_say(store: Store) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_stage(store, NAME, {"loss": float("nan")})
    assert read_stage(store, NAME) is None


def test_failure_round_trip(store: Store) -> None:
    write_failure(store, NAME, {"status": "diverged", "error": "loss is NaN", "time": 1.5})
    assert read_failure(store, NAME) == {"schema": SCHEMA, "status": "diverged", "error": "loss is NaN", "time": 1.5}
    clear_failure(store, NAME)
    clear_failure(store, NAME)
    assert read_failure(store, NAME) is None


def test_a_failure_is_not_a_stage_that_is_done(store: Store) -> None:
    write_failure(store, NAME, {"status": "failed", "error": "x"})
    assert take_inventory(store)[SHORT_KEY] == Artifact(NAME)


def test_evaluation_round_trip(store: Store) -> None:
    spec = _evaluation()
    assert read_evaluation(store, NAME, spec) is None
    assert read_predictions(store, NAME, spec) is None
    _evaluate(store, spec)
    record = read_evaluation(store, NAME, spec)
    assert record is not None
    assert record["metrics"] == {"accuracy": 50.0}
    assert (record["stage"], record["task"], record["split"], record["language"]) == (NAME, "xnli", "test", "de")
    assert record["key"] == spec.key
    assert read_predictions(store, NAME, spec) == b"entailment\nneutral\n"


def test_changed_predictions_are_corrupt(store: Store) -> None:
    spec = _evaluation()
    _evaluate(store, spec)
    store.write(f"stages/{NAME}/{spec.path}.tsv", b"other")
    with pytest.raises(Corrupt, match="run again"):
        read_predictions(store, NAME, spec)


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"schema": 1', b"\xff\xfe", b"[1]", b"null", b'{"schema": "1"}', b"{}"]
)
def test_what_is_not_a_record_counts_as_absent(store: Store, content: bytes) -> None:
    store.write(f"stages/{NAME}/record.json", content)
    assert read_stage(store, NAME) is None
    assert not take_inventory(store)[SHORT_KEY].trained


def test_a_newer_schema_is_refused(store: Store) -> None:
    store.write(f"stages/{NAME}/record.json", json.dumps({"schema": SCHEMA + 1}).encode())
    with pytest.raises(Corrupt, match=r"newer stilts \(schema 2\); upgrade"):
        read_stage(store, NAME)


# --- inventory ---------------------------------------------------------------------------------------------


def test_inventory_of_nothing(store: Store) -> None:
    assert take_inventory(store) == {}


def test_inventory_of_a_stage_with_evaluations(store: Store, tmp_path: Path) -> None:
    _train(store, tmp_path)
    _evaluate(store, _evaluation("de"))
    _evaluate(store, _evaluation("sw"))
    paths = {_evaluation("de").path, _evaluation("sw").path}
    for verify in (False, True):
        assert take_inventory(store, verify=verify) == {SHORT_KEY: Artifact(NAME, True, True, frozenset(paths))}


def test_inventory_looks_only_at_what_is_asked(store: Store) -> None:
    write_stage(store, NAME, {"weights": None})
    write_stage(store, "other-ffffffffffff", {"weights": None})
    assert set(take_inventory(store, {SHORT_KEY})) == {SHORT_KEY}
    assert set(take_inventory(store)) == {SHORT_KEY, "ffffffffffff"}


def test_weights_without_a_record_are_no_weights(store: Store, tmp_path: Path) -> None:
    _train(store, tmp_path)
    store.remove(f"stages/{NAME}/record.json")
    assert take_inventory(store)[SHORT_KEY] == Artifact(NAME)


def test_a_record_without_weights_is_trained_only(store: Store, tmp_path: Path) -> None:
    _train(store, tmp_path)
    store.remove(f"stages/{NAME}/weights")
    assert take_inventory(store)[SHORT_KEY] == Artifact(NAME, trained=True)


def test_a_missing_file_of_the_weights_is_seen_without_verifying(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    _train(store, tmp_path)
    store.remove(f"stages/{NAME}/weights/model.safetensors")
    assert not take_inventory(store)[SHORT_KEY].weights


def test_corrupt_weights_and_predictions_are_seen_when_verifying(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    _train(store, tmp_path)
    _evaluate(store, _evaluation("de"))
    _evaluate(store, _evaluation("sw"))
    store.write(f"stages/{NAME}/weights/model.safetensors", b"wEights")
    store.write(f"stages/{NAME}/{_evaluation('sw').path}.tsv", b"Entailment\nneutral\n")
    assert take_inventory(store)[SHORT_KEY].weights
    seen = take_inventory(store, verify=True)[SHORT_KEY]
    assert seen == Artifact(NAME, True, False, frozenset({_evaluation("de").path}))


def test_predictions_without_their_record_do_not_count(store: Store) -> None:
    spec = _evaluation()
    _evaluate(store, spec)
    store.remove(f"stages/{NAME}/{spec.path}.record.json")
    assert take_inventory(store)[SHORT_KEY].evaluations == frozenset()


def test_a_record_without_its_predictions_does_not_count(store: Store) -> None:
    spec = _evaluation()
    _evaluate(store, spec)
    store.remove(f"stages/{NAME}/{spec.path}.tsv")
    assert take_inventory(store)[SHORT_KEY].evaluations == frozenset()


def test_the_record_of_a_second_training_names_its_weights(store: Store, tmp_path: Path) -> None:
    """Training need not be repeatable to the bit: the digests must be those of the weights that are there."""
    _train(store, tmp_path, weights=b"first")
    store.remove(f"stages/{NAME}/weights")
    _train(store, tmp_path, weights=b"second")
    assert take_inventory(store, verify=True)[SHORT_KEY].weights


def test_of_two_folders_with_one_key_the_trained_one_counts(store: Store, tmp_path: Path) -> None:
    for name in (f"a-{SHORT_KEY}", f"z-{SHORT_KEY}"):
        write_failure(store, name, {"status": "failed", "error": "x"})
    _train(store, tmp_path, name=f"m-{SHORT_KEY}")
    assert take_inventory(store)[SHORT_KEY].name == f"m-{SHORT_KEY}"
