"""Did the intermediates learn? Their rows, and notes of all stages."""

import pyarrow as pa

from stilts.results.training import TRAINING
from stilts.show.grid import plain
from stilts.show.training import training_grids

ROW = {
    "stage": "mnli-s1", "phase": "intermediate", "task": "mnli", "seed": 1, "steps": 100, "own_steps": 100,
    "warmup_share": 0.06, "first_loss": 1.1, "last_loss": 0.43217, "dev": 81.26, "chance": 35.4, "learned": True,
}  # fmt: skip
TARGET = {**ROW, "stage": "xnli-s1", "phase": "target", "task": "xnli"}


def grids(*rows, brief=False):
    return list(training_grids(pa.Table.from_pylist(list(rows), schema=TRAINING), brief=brief))


def test_intermediates_have_rows_with_their_numbers():
    (grid,) = grids(ROW, TARGET)
    (row,) = grid.rows
    assert tuple(map(plain, row)) == ("mnli-s1", "mnli", "yes", "81.3", "35.4", "1.100", "0.432", "100", "6%")
    assert grid.notes == ()


def test_targets_have_rows_if_they_have_a_note():
    note = {"note": "its loss did not fall", "learned": False, "dev": None, "chance": None}
    (grid,) = grids(ROW, {**TARGET, **note}, {**TARGET, **note, "stage": "xnli-s2"})
    assert [plain(row[0]) for row in grid.rows] == ["mnli-s1", "xnli-s1", "xnli-s2"]
    assert [plain(cell) for cell in grid.rows[1][2:5]] == ["no", "-", "-"]
    assert grid.notes == ("xnli: its loss did not fall (2 stages, xnli-s1).",)


def test_a_terminal_shows_notes_alone_of_many_stages():
    many = [{**ROW, "stage": f"mnli-s{i}"} for i in range(41)]
    assert grids(*many, brief=True) == []
    (grid,) = grids(*many, {**ROW, "stage": "bad", "note": "dev is not above chance"}, brief=True)
    assert [plain(row[0]) for row in grid.rows] == ["bad"]
    assert len(grids(*many)[0].rows) == 41


def test_without_stages_nothing_is_shown():
    assert grids() == []
    assert grids(TARGET) == []
