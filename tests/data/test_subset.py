"""Subsets of the training examples."""

from itertools import pairwise

import pyarrow as pa
import pytest

from stilts.data.encode import subset
from stilts.experiment.recipe import Recipe, SeedParts

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
