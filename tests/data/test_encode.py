"""Features of training data from several files."""

import pyarrow as pa
import pytest

from stilts.data.encode import training_features
from stilts.experiment.recipe import Recipe
from stilts.identity.stage import DataRef
from stilts.tasks import schema
from stilts.tasks.base import get_task
from stilts.train.base import train_tokenizer
from stilts.train.features import Features
from tests.train.toys import sentences


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    text = tmp_path_factory.mktemp("text") / "text.txt"
    text.write_text("\n".join(sentences(200)))
    return train_tokenizer([text], 150)


def examples(task: str, language: str, count: int) -> tuple[DataRef, pa.Table]:
    rows = [{"id": str(i), "text_a": "ba", "text_b": "de", "label": 1} for i in range(count)]
    ref = DataRef(task, "train", language, f"sha256:{task}-{language}-{count}")
    return ref, pa.Table.from_pylist(rows, schema.CLASSIFICATION)


def test_items_of_several_tasks_and_languages_stay_apart(tokenizer) -> None:
    """Files of one row each are the case in which the numbers of neighbours are equal."""
    sizes = [("anli", "en", 1), ("snli", "en", 1), ("mnli", "en", 3), ("mnli", "de", 2)]
    table = training_features(
        [examples(*size) for size in sizes], get_task("anli_plus"), Recipe(max_length=32), tokenizer
    )
    assert table["item"].to_pylist() == [0, 1, 2, 3, 4, 5, 6]
    assert table["example"].to_pylist() == [0, 1, 2, 3, 4, 5, 6]
    assert table["language"].to_pylist() == ["en"] * 5 + ["de"] * 2
    assert int((Features.of(table, "classification").choice == 0).sum()) == 7


def test_the_first_examples_of_each_file(tokenizer) -> None:
    found = [examples(*size) for size in [("mnli", "en", 3), ("mnli", "de", 2)]]
    table = training_features(found, get_task("mnli"), Recipe(max_length=32, max_examples=1), tokenizer)
    assert table["language"].to_pylist() == ["en", "de"]
    assert table["item"].to_pylist() == [0, 1]
