import numpy as np

from stilts.tasks.families.ragged import Ragged, join, stack

ROWS = [[1, 2, 3], [], [4], [5, 6]]


def lists(ragged: Ragged) -> list[list[int]]:
    return ragged.arrow().to_pylist()


def test_views_pick_cut_and_skip_rows():
    ragged = Ragged.of(ROWS)
    assert lists(ragged) == ROWS
    assert lists(ragged.take(np.array([3, 0, 0]))) == [[5, 6], [1, 2, 3], [1, 2, 3]]
    assert lists(ragged.cut(2)) == [[1, 2], [], [4], [5, 6]]
    assert lists(ragged.skip(np.array([1, 5, 0, 1]))) == [[2, 3], [], [4], [6]]
    assert ragged[3].tolist() == [5, 6]


def test_join_puts_rows_end_to_end_and_stack_puts_them_below():
    ragged = Ragged.of(ROWS)
    assert lists(join([Ragged.repeated([9], 4), ragged.skip(np.ones(4, np.int64))])) == [[9, 2, 3], [9], [9], [9, 6]]
    assert lists(stack([ragged, Ragged.of([[7]])])) == [*ROWS, [7]]


def test_no_rows():
    assert lists(Ragged.of([])) == []
    assert lists(join([Ragged.of([]), Ragged.repeated([1], 0)])) == []
