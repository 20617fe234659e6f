"""A dev set that is held out of the training data, of a task that has none."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from stilts.data.held_out import held_out
from stilts.data.prepare import Catalog
from stilts.data.tables import read_table
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.tasks.base import get_task

TYDIQA = get_task("tydiqa")


def questions(count: int, each: int = 1) -> str:
    """A file of SQuAD's form with `each` questions on every context."""
    data = [
        {"context": f"text {n // each} says {n // each}", "question": f"what {n}?", "id": f"q{n}"} for n in range(count)
    ]
    paragraphs = [
        {
            "context": one["context"],
            "qas": [
                {"id": one["id"], "question": one["question"], "answers": [{"text": "text", "answer_start": 0}]},
            ],
        }
        for one in data
    ]
    return json.dumps({"version": "1", "data": [{"title": "t", "paragraphs": paragraphs}]})


@pytest.fixture
def catalog(tmp_path: Path) -> Callable[..., Catalog]:
    def make(held: int | None, name: str = "tydiqa", count: int = 20, each: int = 1) -> Catalog:
        train = tmp_path / "train.json"
        train.write_text(questions(count, each))
        source = TaskSource(train=str(train), test=str(train), held_out=held)
        return Catalog(DataDecl(tasks={name: source}), tmp_path / "root")

    return make


def ids(catalog: Catalog, split: str) -> list[str]:
    found: list[str] = read_table(catalog.materialise(catalog.ref(TYDIQA, split, "en")))["id"].to_pylist()
    return found


def test_training_and_dev_data_are_parts_of_the_training_file(catalog: Callable[..., Catalog]) -> None:
    found = catalog(5)
    train, dev = ids(found, "train"), ids(found, "dev")
    assert (len(train), len(dev)) == (15, 5)
    assert sorted(train + dev, key=lambda name: int(name[1:])) == [f"q{n}" for n in range(20)]
    assert dev != [f"q{n}" for n in range(5)], "drawn at random"
    refs = [found.ref(TYDIQA, split, "en") for split in ("train", "dev")]
    assert [ref.rows for ref in refs] == [15, 5]
    assert len({ref.identity for ref in refs} | {catalog(6).ref(TYDIQA, "dev", "en").identity}) == 3
    assert ids(catalog(5), "dev") == dev


def test_nothing_changes_where_nothing_is_held_out(catalog: Callable[..., Catalog]) -> None:
    whole = catalog(None)
    assert not whole.has(TYDIQA, "dev", "en")
    assert "held" not in whole.ref(TYDIQA, "train", "en").identity
    assert len(ids(whole, "train")) == 20
    assert catalog(5).has(TYDIQA, "dev", "en")
    assert catalog(5).ref(TYDIQA, "test", "en") == whole.ref(TYDIQA, "test", "en")


def test_a_context_of_the_dev_set_is_not_trained_on(catalog: Callable[..., Catalog]) -> None:
    found = catalog(5, each=2)
    contexts = [
        set(read_table(found.materialise(found.ref(TYDIQA, split, "en")))["context"].to_pylist())
        for split in ("train", "dev")
    ]
    assert not contexts[0] & contexts[1]
    assert len(contexts[0] | contexts[1]) == 10


def test_a_changed_file_is_told(catalog: Callable[..., Catalog]) -> None:
    ref = catalog(5).ref(TYDIQA, "dev", "en")
    with pytest.raises(StiltsError, match="changed since the plan was made"):
        catalog(5, count=22).materialise(ref)


def test_too_many_are_refused(catalog: Callable[..., Catalog]) -> None:
    with pytest.raises(StiltsError, match="held_out: 20 leaves none of the 20 training examples"):
        catalog(20).ref(TYDIQA, "train", "en")
    table = pa.table({"context": ["a", "a", "a"]})
    with pytest.raises(StiltsError, match="leaves none of its 3 training examples"):
        held_out(table, 1, "x")


def test_a_task_with_a_dev_set_holds_nothing_out(catalog: Callable[..., Catalog]) -> None:
    with pytest.raises(StiltsError, match="squad has a dev set of its own; leave it out"):
        catalog(5, "squad").ref(get_task("squad"), "train", "en")


def test_questions_of_the_dev_set_are_told_apart_where_the_training_data_repeats_ids() -> None:
    table = pa.table({"id": ["1", "2"] * 10, "context": [f"text {n}" for n in range(20)]})
    train, dev = held_out(table, 6, "tydiqa")
    assert train["id"].to_pylist() == [n for n in train["id"].to_pylist() if n in ("1", "2")], "left as they are"
    assert len(set(dev["id"].to_pylist())) == 6, "answers are scored by id"
    assert not set(dev["context"].to_pylist()) & set(train["context"].to_pylist())
