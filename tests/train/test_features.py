"""The columns of a features table, and the blocks of contrastive training."""

import numpy as np
import pyarrow as pa
import pytest

from stilts.data.batching import split_packed
from stilts.train import features as module
from stilts.train.features import Features, Ragged, in_blocks, offsets_of, spans
from tests.train.toys import make_features


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 5)


def rows_of(count: int) -> Features:
    return Features.of(make_features("dual_encoder", count), "dual_encoder")


def test_rows_of_a_column_of_lists_are_taken_in_any_order() -> None:
    column = Ragged.of(pa.chunked_array([[[1, 2], []], [[3], [4, 5, 6]]]))
    assert column.lengths.tolist() == [2, 0, 1, 3]
    taken = column.take([3, 0, 1, 3])
    assert [taken[i].tolist() for i in range(4)] == [[4, 5, 6], [1, 2], [], [4, 5, 6]]
    sliced = Ragged.of(pa.chunked_array([pa.array([[1, 2], [3], [4, 5, 6]]).slice(1)]))
    assert [sliced[i].tolist() for i in range(2)] == [[3], [4, 5, 6]]


def test_spans_are_laid_end_to_end() -> None:
    assert spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert offsets_of(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]


def test_consecutive_rows_of_one_number_and_language_are_one_item() -> None:
    table = make_features("multiple_choice", 2)
    first = Features.of(table, "multiple_choice")
    assert first.item.tolist() == sorted(first.item.tolist())
    choices = int((first.item == 0).sum())
    assert first.choice[:choices].tolist() == list(range(choices))
    assert first.units == 2
    again = pa.concat_tables([table.slice(0, choices), table.slice(0, choices)])
    assert len(set(Features.of(again, "multiple_choice").item.tolist())) == 1, "one number, one item"
    languages = again.append_column("language", pa.array(["de"] * choices + ["sw"] * choices))
    found = Features.of(languages, "multiple_choice")
    assert found.item.tolist() == [0] * choices + [1] * choices
    assert found.languages == ("de", "sw")


@pytest.mark.parametrize(("pairs", "sizes"), [(1, [1]), (5, [5]), (6, [3, 3]), (16, [4, 4, 4, 4]), (7, [4, 3])])
def test_blocks_are_few_and_alike(small_blocks: None, pairs: int, sizes: list[int]):
    rows = in_blocks(rows_of(pairs))
    assert np.bincount(rows.block[rows.choice == 0]).tolist() == sizes
    assert np.array_equal(rows.block[rows.choice == 0], rows.block[rows.choice == 1])


@pytest.mark.parametrize(
    ("pairs", "sizes"), [(31, [31]), (32, [32]), (33, [17, 16]), (64, [32, 32]), (65, [22, 22, 21]), (256, [32] * 8)]
)
def test_a_block_has_32_pairs_at_most(pairs: int, sizes: list[int]):
    """The size decides what is contrasted, and so the weights: another one is another training."""
    rows = in_blocks(rows_of(pairs))
    assert np.bincount(rows.block[rows.choice == 0]).tolist() == sizes


def test_a_block_is_never_split(small_blocks: None):
    rows = in_blocks(rows_of(16))
    for world in (1, 2, 3):
        for budget in (64, 256, 4096):
            ranks = split_packed(rows.ids.lengths.tolist(), rows.together.tolist(), 64, budget, world)
            batches = [{int(rows.block[i]) for row in batch for i in row} for rank in ranks for batch in rank]
            assert sorted(block for blocks in batches for block in blocks) == [0, 1, 2, 3]
