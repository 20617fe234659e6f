"""JSON files of a store whose content has other types than stilts writes."""

import json
import logging
from typing import Any

import pytest

from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.ledger.plain_json import read_object
from stilts.ledger.progress import read_progress
from stilts.ledger.record import read_evaluation, read_failure, read_stage, stage_path, take_inventory
from stilts.ledger.spending import Spending, read_spending
from stilts.storage.local import LocalStore

NAME = "m-xnli-s1-0123456789ab"
SPEC = EvaluationSpec("xnli", 1, "test", "en", DataRef("xnli", "test", "en", "sha256:x"))

GARBAGE = [b"", b"null", b"[]", b"{}", b'"x"', b"1", b'{"schema": 1', b'{"schema": "1"}', b'{"schema": true}']
GARBAGE += [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe"]


@pytest.fixture
def store(tmp_path: Any) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.mark.parametrize("content", GARBAGE)
def test_garbage_is_no_record_and_is_named(store: LocalStore, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    store.write(f"{stage_path(NAME)}/record.json", content)
    store.write(f"{stage_path(NAME)}/failure.json", content)
    store.write(f"{stage_path(NAME)}/{SPEC.path}.record.json", content)
    with caplog.at_level(logging.WARNING):
        assert read_stage(store, NAME) is None
        assert read_failure(store, NAME) is None
        assert read_evaluation(store, NAME, SPEC) is None
    assert f"{NAME}/record.json is damaged" in caplog.text
    assert "is trained again" in caplog.text
    assert not take_inventory(store)[NAME[-12:]].trained


@pytest.mark.parametrize(
    "field", ['"weights": 1', '"weights": {"a": 1}', '"weights": [1]', '"train": 1', '"dev": "x"', '"key": 1']
)
def test_a_record_with_a_field_of_another_type_is_not_done(store: LocalStore, field: str) -> None:
    store.write(f"{stage_path(NAME)}/record.json", f'{{"schema": 1, {field}}}'.encode())
    assert read_stage(store, NAME) is None


@pytest.mark.parametrize(
    "field",
    ['"predictions": 1', '"predictions": {"suffix": 1}', '"metrics": [1]', '"metrics": {"f1": "x"}', '"extra": 1'],
)
def test_an_evaluation_with_a_field_of_another_type_is_not_done(store: LocalStore, field: str) -> None:
    store.write(f"{stage_path(NAME)}/{SPEC.path}.record.json", f'{{"schema": 1, {field}}}'.encode())
    assert read_evaluation(store, NAME, SPEC) is None


@pytest.mark.parametrize("content", [*GARBAGE, b'{"gpu_hours": [], "cost": 1, "currency": "", "launches": 1}'])
def test_what_only_informs_counts_as_absent(store: LocalStore, content: bytes) -> None:
    store.write("experiments/e/spent/1.json", content)
    store.write("run/progress.json", content)
    assert read_spending(store, "e", "") == Spending()
    assert read_progress(store, "run") is None


def test_an_object_is_read_and_a_missing_file_is_no_damage(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    store.write("a.json", b'{"b": 1}')
    assert read_object(store, "a.json", "") == {"b": 1}
    assert read_object(store, "none.json", "") is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    "content",
    [
        {"schema": 1},
        {"schema": 1, "weights": None},
        {"schema": 1, "key": NAME[-12:] + "0" * 52},
        {"schema": 1, "name": NAME, "key": NAME[-12:] + "0" * 52},
        {"schema": 1, "name": NAME, "payload": {}},
        {"schema": 1, "name": "m-xnli-s1-ba9876543210"},
        {"schema": 1, "name": NAME, "train": {"steps": "2"}},
        {"schema": 1, "name": NAME, "dev": {"curve": [[1]]}},
        {"schema": 1, "name": NAME, "speed": {"kind": "cpu", "flops": "fast"}},
    ],
)
def test_a_record_that_does_not_say_of_what_it_is_is_not_done(store: LocalStore, content: dict[str, Any]) -> None:
    store.write(f"{stage_path(NAME)}/record.json", json.dumps(content).encode())
    assert read_stage(store, NAME) is None
    assert not take_inventory(store)[NAME[-12:]].trained
