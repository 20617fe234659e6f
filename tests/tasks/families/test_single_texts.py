"""Families whose rows are single sentences: masked language modelling and retrieval."""

import pyarrow as pa

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family


def task_of(family: str) -> Task:
    metric = "accuracy" if get_family(family).scored_as else "loss"
    return Task(
        name=family, version=1, family=family, languages=("en",), metric=metric, metrics=(metric,), train_on=None
    )


def test_mlm_rows_are_sentences_cut_to_the_length(any_tokenizer):
    texts = ["She moved to Paris.", "北京大学 " * 50]
    table = pa.table({"id": ["0", "1"], "text": texts}, schema=schema.MLM)
    features = get_family("mlm").encode(table, any_tokenizer, task_of("mlm"), Lengths(16), training=True)
    assert features["input_ids"].to_pylist() == any_tokenizer(texts, truncation=True, max_length=16)["input_ids"]
    assert get_family("mlm").gold(table, task_of("mlm")) is None
    blank = pa.table({"id": ["0"], "text": [" "]}, schema=schema.MLM)
    assert get_family("mlm").validate(blank, task_of("mlm")) == ["row 0: text is empty"]


def test_retrieval_rows_keep_their_side(tokenizer):
    rows = [
        {"side": "foreign", "id": "0", "text": "北京", "gold": []},
        {"side": "en", "id": "0", "text": "Paris", "gold": ["0"]},
    ]
    table = pa.Table.from_pylist(rows, schema=schema.RETRIEVAL)
    family, task = get_family("retrieval"), task_of("retrieval")
    features = family.encode(table, tokenizer, task, Lengths(16), training=False)
    assert features["side"].to_pylist() == ["foreign", "en"]
    assert features["input_ids"].to_pylist() == tokenizer(["北京", "Paris"])["input_ids"]
    assert family.gold(table, task) == [[], ["0"]]
    assert family.gold(table.slice(0, 1), task) is None
    wrong = pa.Table.from_pylist([{**rows[0], "side": "zh"}], schema=schema.RETRIEVAL)
    assert family.validate(wrong, task) == ["row 0: side 'zh' is neither en nor foreign"]
