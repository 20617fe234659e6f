"""Features of training data from several files."""

from itertools import pairwise

import pyarrow as pa
import pytest

from stilts.data.encode import subset, training_features
from stilts.experiment.recipe import Recipe, SeedParts
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


TABLE = pa.table({"number": list(range(100))})


def numbers(count: int | None, rows: int = 100, **fields) -> list[int]:
    return subset(TABLE.slice(0, rows), Recipe(max_examples=count, **fields))["number"].to_pylist()


def test_a_random_subset_is_nested_in_a_larger_one_of_its_seed() -> None:
    sizes = [numbers(count, seed=3) for count in (5, 10, 50, 99)]
    for smaller, larger in pairwise(sizes):
        assert set(smaller) < set(larger)
    assert all(found == sorted(found) for found in sizes)
    assert [len(found) for found in sizes] == [5, 10, 50, 99]


def test_seeds_draw_different_subsets_and_every_example_has_its_chance() -> None:
    drawn = [numbers(20, seed=seed) for seed in range(200)]
    assert len({tuple(found) for found in drawn}) == 200
    counts = [sum(number in found for found in drawn) for number in range(100)]
    assert min(counts) > 15
    assert max(counts) < 70  # 40 expected, standard deviation 6


def test_the_first_examples_on_request() -> None:
    assert numbers(7, seed=3, subset="first") == numbers(7, seed=4, subset="first") == list(range(7))


@pytest.mark.parametrize("count", [None, 100, 1000])
def test_all_examples_stay_in_their_order(count: int | None) -> None:
    assert numbers(count, seed=1) == list(range(100))


def test_the_draw_follows_the_seed_of_the_data_alone() -> None:
    parts = SeedParts(data=3)
    assert numbers(10, seed=1, seed_parts=parts) == numbers(10, seed=2, seed_parts=parts) == numbers(10, seed=3)
