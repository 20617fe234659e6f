"""Semantic role labelling: features, the predicate's place, pieces, Viterbi."""

from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stilts.errors import StiltsError
from stilts.tasks import schema
from stilts.tasks.base import get_task
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.families.srl import best_tags

FAMILY = get_family("srl")
TASK = get_task("srl")
WORDS = ["She", "moved", "to", "Paris", "in", "1991", "and", "has", "lived", "there"]
PROPOSITIONS = [
    (WORDS, 1, ["B-ARG0", "B-V", "B-ARG2", "I-ARG2", "B-ARGM-TMP", "I-ARGM-TMP", "O", "O", "O", "O"]),
    (WORDS, 8, ["B-ARG0", "O", "O", "O", "O", "O", "O", "O", "B-V", "B-ARGM-LOC"]),
    (["北京", "成立"], 1, ["B-ARG1", "B-V"]),
]


def table_of(*propositions: tuple[list[str], int, list[str]]) -> pa.Table:
    rows = [{"id": str(i), "tokens": w, "predicate": p, "tags": t} for i, (w, p, t) in enumerate(propositions)]
    return pa.Table.from_pylist(rows, schema=schema.PROPOSITIONS)


def encode(table: pa.Table, tokenizer: Any, max_length: int = 64, training: bool = False) -> pa.Table:
    return FAMILY.encode(table, tokenizer, TASK, Lengths(max_length), training)


def oracle(features: pa.Table) -> list[np.ndarray]:
    return [np.eye(len(TASK.labels), dtype=np.float32)[labels] for labels in features["labels"].to_pylist()]


def test_features_pair_a_sentence_with_its_predicate(any_tokenizer):
    table = table_of(*PROPOSITIONS)
    features = encode(table, any_tokenizer, training=True)
    columns = ("input_ids", "positions", "labels")
    for (words, predicate, tags), ids, positions, labels in zip(
        PROPOSITIONS, *(features[name].to_pylist() for name in columns), strict=True
    ):
        own = any_tokenizer(words, [words[predicate]], is_split_into_words=True)
        assert ids == own["input_ids"]
        owners = list(zip(own.sequence_ids(0), own.word_ids(0), strict=True))
        firsts = [owners.index((0, word)) for word in range(len(words))]
        assert positions == [*firsts, firsts[predicate]]
        assert labels == [*(TASK.labels.index(tag) for tag in tags), -100]
    if "token_type_ids" in any_tokenizer.model_input_names:
        assert {0, 1} <= set(features["token_type_ids"].to_pylist()[0])


@pytest.mark.parametrize("max_length", [6, 8, 12, 64])
def test_pieces_rejoin_to_the_gold_and_hold_their_predicate(any_tokenizer, max_length):
    table = table_of(*PROPOSITIONS)
    features = encode(table, any_tokenizer, max_length)
    assert max(map(len, features["input_ids"].to_pylist())) <= max_length
    assert FAMILY.decode(table, features, oracle(features), TASK, Lengths(max_length)) == FAMILY.gold(table, TASK)
    before = 0
    for row in (row for row in features.to_pylist() if row["example"] == 1):
        *words, predicate = row["positions"]
        # Word 8 is the predicate; a piece without it has its copy behind the words.
        if before <= 8 < before + len(words):
            assert predicate == words[8 - before]
        else:
            assert words[-1] + 1 < predicate < len(row["input_ids"]) - 1
        before += len(words)
    assert before == len(WORDS)


def test_too_short_a_length_is_refused(tokenizer):
    with pytest.raises(StiltsError, match="max_length 5 leaves no room for a word and its predicate"):
        encode(table_of(*PROPOSITIONS), tokenizer, 5)


def test_long_words_and_predicates_are_cut(tokenizer):
    table = table_of((["a", "Flussufer" * 20, "b"], 1, ["O", "B-V", "O"]))
    features = encode(table, tokenizer, 10)
    assert max(map(len, features["input_ids"].to_pylist())) <= 10
    assert FAMILY.decode(table, features, oracle(features), TASK, Lengths(10)) == [["O", "B-V", "O"]]


def test_viterbi_is_the_best_of_all_valid_sequences():
    labels = ("O", "B-X", "I-X", "B-Y", "I-Y")
    before = {2: [1, 2], 4: [3, 4]}
    rng = np.random.default_rng(0)

    def valid(tags: tuple[int, ...]) -> bool:
        return all(tag not in before or last in before[tag] for last, tag in zip((0, *tags), tags, strict=False))

    for words in (1, 2, 3, 4):
        every = [tags for tags in product(range(len(labels)), repeat=words) if valid(tags)]
        for _ in range(30):
            scores = rng.normal(size=(words, len(labels)))
            found = best_tags(scores, before)
            assert valid(tuple(found))
            totals = [sum(scores[word, tag] for word, tag in enumerate(tags)) for tags in every]
            assert sum(scores[word, tag] for word, tag in enumerate(found)) == pytest.approx(max(totals))


def test_any_scores_decode_to_whole_spans(tokenizer):
    table = table_of(*PROPOSITIONS)
    features = encode(table, tokenizer, 12)
    rng = np.random.default_rng(0)
    outputs = [rng.normal(size=(len(row), len(TASK.labels))) for row in features["positions"].to_pylist()]
    found = FAMILY.decode(table, features, outputs, TASK, Lengths(12))
    again = table_of(*((words, 0, tags) for (words, _, _), tags in zip(PROPOSITIONS, found, strict=True)))
    assert FAMILY.validate(again, TASK) == []


def test_propositions_without_gold(tokenizer):
    table = table_of(PROPOSITIONS[0], (WORDS, 8, []))
    assert FAMILY.gold(table, TASK) is None
    assert encode(table, tokenizer, training=True)["example"].to_pylist() == [0]
    assert set(encode(table, tokenizer)["labels"].to_pylist()[1]) == {-100}


def test_problems_name_their_rows():
    assert FAMILY.validate(table_of(*PROPOSITIONS), TASK) == []
    table = table_of((["a"], 1, ["O"]), (["a"], 0, ["O", "O"]), (["a"], 0, ["B-ARG9"]), (["a"], 0, ["I-ARG0"]))
    assert FAMILY.validate(table, TASK) == [
        "row 0: predicate 1 is no word of a sentence of 1 word",
        "row 1: 1 tokens but 2 tags",
        "row 2: tag 'B-ARG9' is none of the task's (PropBank's roles as B-, I- and O)",
        "row 3: I-ARG0 follows O; a span begins with B-",
    ]
