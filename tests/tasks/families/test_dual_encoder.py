from typing import Any

import pyarrow as pa
import pytest

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.families.dual_encoder import candidates_of, queries_of

TASK = Task(
    name="pairs",
    version=1,
    family="dual_encoder",
    languages=("en",),
    metric="map@20",
    metrics=("map@20",),
    train_on="pairs",
)
FAMILY = get_family("dual_encoder")
LENGTHS = Lengths(64, max_query_length=24)


def table_of(*rows: dict[str, Any]) -> pa.Table:
    empty = {"id": "", "query": "", "candidate": "", "text": "", "context": "", "keys": [], "language": ""}
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=schema.RANKING)


PAIR = {"id": "q0", "query": "Who moved to Paris?", "candidate": "c0", "text": "She moved.", "keys": ["c0"]}
QUERY = {"id": "q1", "query": "北京大学?", "keys": ["c1"]}
TEXT = {"candidate": "c1", "text": "北京大学成立于1898年", "keys": ["c1"]}


def test_a_pair_is_one_item_of_a_query_and_a_text(any_tokenizer):
    features = FAMILY.encode(table_of(PAIR, QUERY, TEXT), any_tokenizer, TASK, LENGTHS, training=False)
    assert features["item"].to_pylist() == [0, 0, 1, 2]
    texts = [PAIR["query"], PAIR["text"], QUERY["query"], TEXT["text"]]
    assert features["input_ids"].to_pylist() == any_tokenizer(texts)["input_ids"]


def test_training_leaves_out_what_is_no_pair(tokenizer):
    features = FAMILY.encode(table_of(QUERY, PAIR, TEXT), tokenizer, TASK, LENGTHS, training=True)
    assert features["item"].to_pylist() == [0, 0]
    assert features["example"].to_pylist() == [1, 1]


def test_the_context_is_a_second_text_and_gives_way(any_tokenizer):
    whole = table_of({**PAIR, "context": "She moved. She has lived in Paris ever since."})
    row = FAMILY.encode(whole, any_tokenizer, TASK, LENGTHS, training=False).to_pylist()[1]
    wanted = any_tokenizer(PAIR["text"], "She moved. She has lived in Paris ever since.")
    assert row["input_ids"] == wanted["input_ids"]
    assert row.get("token_type_ids") == wanted.get("token_type_ids")
    text = any_tokenizer(PAIR["text"], add_special_tokens=False)["input_ids"]
    overlong = table_of({**PAIR, "context": "one two three " * 60})
    cut = FAMILY.encode(overlong, any_tokenizer, TASK, Lengths(len(text) + 10), training=False).to_pylist()[1]
    assert len(cut["input_ids"]) == len(text) + 10
    assert cut["input_ids"][1 : len(text) + 1] == text


def test_queries_have_a_length_of_their_own(tokenizer):
    table = table_of({**PAIR, "query": "Paris " * 80, "text": "Paris " * 80})
    features = FAMILY.encode(table, tokenizer, TASK, LENGTHS, training=True)
    assert [len(ids) for ids in features["input_ids"].to_pylist()] == [24, 64]


def test_queries_and_candidates_apart():
    table = table_of(PAIR, {**PAIR, "id": "q2"}, QUERY, TEXT)
    queries, candidates = queries_of(table), candidates_of(table)
    assert queries["id"].to_pylist() == ["q0", "q2", "q1"]
    assert set(queries["text"].to_pylist()) == {""}
    assert candidates["candidate"].to_pylist() == ["c0", "c1"]
    assert set(candidates["query"].to_pylist()) == {""}
    assert candidates.schema == queries.schema == schema.RANKING


def test_problems_name_their_rows():
    assert FAMILY.validate(table_of(PAIR, QUERY, TEXT), TASK) == []
    assert FAMILY.gold(table_of({**QUERY, "keys": []}), TASK) is None
    assert FAMILY.validate(table_of({}, {**PAIR, "keys": []}, {**QUERY, "id": ""}), TASK) == [
        "row 0: neither a query nor a text",
        "row 1: a pair without a key",
        "row 2: id is empty",
    ]
    assert FAMILY.validate(table_of(PAIR, PAIR), TASK) == ["row 1: the query id 'q0' is that of row 0 too"]


def test_it_makes_no_predictions_by_itself():
    with pytest.raises(TypeError, match="decodes no single examples"):
        FAMILY.decode(table_of(PAIR), pa.table({}), [], TASK, LENGTHS)
