import numpy as np
import pyarrow as pa
import pytest

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.families.classification import longest_first

TASK = Task(
    name="pairs",
    version=1,
    family="classification",
    languages=("en",),
    metric="accuracy",
    metrics=("accuracy",),
    train_on="pairs",
    labels=("entailment", "neutral", "contradiction"),
)
FAMILY = get_family("classification")


def table_of(rows: list[tuple[str, str, int]]) -> pa.Table:
    records = [{"id": str(i), "text_a": a, "text_b": b, "label": label} for i, (a, b, label) in enumerate(rows)]
    return pa.Table.from_pylist(records, schema=schema.CLASSIFICATION)


ROWS = [("A man is playing a guitar.", "A man plays.", 0), ("北京大学", "中国近代", 2), ("She moved", "to Paris", 1)]


@pytest.mark.parametrize("max_length", [8, 9, 12, 20, 64])
def test_rows_equal_the_tokenizers_own_truncation(any_tokenizer, max_length):
    rows = [*ROWS, ("one two three " * 9, "four", 0), ("five", "six seven eight " * 9, 0), ("nine " * 9, "ten " * 9, 0)]
    features = FAMILY.encode(table_of(rows), any_tokenizer, TASK, Lengths(max_length), training=True)
    own = any_tokenizer(
        [row[0] for row in rows], [row[1] for row in rows], truncation="longest_first", max_length=max_length
    )
    for name in set(any_tokenizer.model_input_names) - {"attention_mask"}:
        assert features[name].to_pylist() == own[name]
    assert features["label"].to_pylist() == [row[2] for row in rows]
    assert features.schema.field("input_ids").type == pa.list_(pa.int32())


def test_longest_first_fits_and_wastes_nothing():
    first, second = (grid.ravel() for grid in np.meshgrid(np.arange(9), np.arange(9)))
    for room in range(1, 12):
        a, b = longest_first(first, second, room)
        assert (a <= first).all()
        assert (b <= second).all()
        assert np.array_equal(a + b, np.minimum(first + second, room))


def test_decoding_inverts_encoding(tokenizer):
    table = table_of(ROWS)
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(32), training=False)
    outputs = [np.eye(3, dtype=np.float32)[label] for label in features["label"].to_pylist()]
    decoded = FAMILY.decode(table, features, outputs, TASK, Lengths(32))
    assert decoded == FAMILY.gold(table, TASK) == ["entailment", "contradiction", "neutral"]


def test_unlabelled_rows_have_no_gold_and_are_not_trained_on(tokenizer):
    table = table_of([*ROWS, ("x", "y", -1)])
    assert FAMILY.gold(table, TASK) is None
    assert FAMILY.encode(table, tokenizer, TASK, Lengths(32), training=True)["example"].to_pylist() == [0, 1, 2]
    assert FAMILY.encode(table, tokenizer, TASK, Lengths(32), training=False).num_rows == 4


def test_problems_name_their_rows():
    assert FAMILY.validate(table_of(ROWS), TASK) == []
    problems = FAMILY.validate(table_of([("a", "b", 3), ("", "b", 0), ("a", "b", -1)]), TASK)
    assert problems == ["row 1: text_a is empty", "row 0: label 3 is not one of 0..2"]
