import numpy as np
import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task, get_task
from stilts.tasks.families import Lengths, get_family

TASK = Task(
    name="choices",
    version=1,
    family="multiple_choice",
    languages=("en",),
    metric="accuracy",
    metrics=("accuracy",),
    train_on="choices",
)
FAMILY = get_family("multiple_choice")


def table_of(rows: list[tuple[str, list[str], int]]) -> pa.Table:
    records = [{"id": str(i), "text_a": a, "choices": c, "label": label} for i, (a, c, label) in enumerate(rows)]
    return pa.Table.from_pylist(records, schema=schema.MULTIPLE_CHOICE)


ROWS = [
    ("A man is playing a guitar.", ["He stops.", "The river is lazy.", "北京"], 2),
    ("She moved", ["to Paris.", "guitar."], 0),
]


def test_one_row_a_choice_and_one_item_a_question(any_tokenizer):
    features = FAMILY.encode(table_of(ROWS), any_tokenizer, TASK, Lengths(64), training=True)
    assert features["item"].to_pylist() == [0, 0, 0, 1, 1]
    assert features["label"].to_pylist() == [2, 2, 2, 0, 0]
    pairs = [(context, choice) for context, choices, _ in ROWS for choice in choices]
    assert features["input_ids"].to_pylist() == any_tokenizer(*map(list, zip(*pairs, strict=True)))["input_ids"]


def test_the_context_is_cut_and_not_the_choice(tokenizer):
    choice = tokenizer("The river is lazy.", add_special_tokens=False)["input_ids"]
    table = table_of([("one two three " * 30, ["The river is lazy.", "word " * 90], 0)])
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(len(choice) + 8), training=True)
    kept, overlong = features["input_ids"].to_pylist()
    assert len(kept) == len(overlong) == len(choice) + 8
    assert kept[-len(choice) - 1 : -1] == choice


def test_decoding_inverts_encoding(tokenizer):
    table = table_of(ROWS)
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(64), training=False)
    outputs = [np.array([v], np.float32) for v in (0.1, 0.2, 0.9, 0.5, -0.5)]
    assert FAMILY.decode(table, features, outputs, TASK, Lengths(64)) == FAMILY.gold(table, TASK) == [2, 0]


def test_unlabelled_rows(tokenizer):
    table = table_of([*ROWS[:1], (ROWS[1][0], ROWS[1][1], -1)])
    assert FAMILY.gold(table, TASK) is None
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(64), training=True)
    assert set(features["example"].to_pylist()) == {0}


def test_problems_name_their_rows():
    assert FAMILY.validate(table_of(ROWS), TASK) == []
    problems = FAMILY.validate(table_of([("a", ["b", "c"], 2), ("a", ["b"], 0)]), TASK)
    assert problems == [
        "row 0: label 2 is not one of its 2 choices",
        "row 1: 1 choices, at least two are needed and none may be empty",
    ]


def test_a_task_with_a_fixed_number_of_choices_refuses_other_numbers() -> None:
    four = [("a", ["b", "c", "d", "e"], 0)]
    hellaswag = get_task("hellaswag")
    assert FAMILY.validate(table_of(four), hellaswag) == []
    three = FAMILY.validate(table_of([*four, ("a", ["b", "c", "d"], 0)]), hellaswag)
    assert three == ["row 1: 3 choices, the task has 4"]
