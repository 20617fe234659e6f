"""Dependency parsing: features, pieces of long sentences, decoding."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stilts.data.sources.conllu import read_conllu
from stilts.tasks import schema
from stilts.tasks.base import get_task
from stilts.tasks.families import Lengths, get_family

FAMILY = get_family("parsing")
TASK = get_task("udparse")
SENTENCES = [
    (["She", "moved", "to", "Paris"], [2, 0, 4, 2], ["nsubj", "root", "case", "obl"]),
    (["北京", "大学", "成立"], [2, 3, 0], ["nmod", "nsubj", "root"]),
    (["München"], [0], ["root"]),
]
LONG = (
    ["She", "moved", "to", "Paris", "in", "1991", "and", "has", "lived", "there"],
    [2, 0, 4, 2, 6, 2, 9, 9, 2, 9],
    ["nsubj", "root", "case", "obl", "case", "obl", "cc", "aux", "conj", "advmod"],
)


def table_of(*sentences: tuple[list[str], list[int], list[str]]) -> pa.Table:
    rows = [{"id": str(i), "tokens": w, "heads": h, "relations": r} for i, (w, h, r) in enumerate(sentences)]
    return pa.Table.from_pylist(rows, schema=schema.PARSING)


def oracle(features: pa.Table) -> list[np.ndarray]:
    """Outputs that prefer the features' heads and name their relations; a word without head prefers the root."""
    outputs = []
    for heads, labels in zip(features["heads"].to_pylist(), features["labels"].to_pylist(), strict=True):
        output = np.zeros((len(heads), len(heads) + 1, 2), np.float32)
        output[..., 1] = 1  # the head never names root as an arc's best relation
        for word, (head, label) in enumerate(zip(heads, labels, strict=True)):
            output[word, max(head, 0)] = (9, max(label, 1))
        outputs.append(output)
    return outputs


def encode(table: pa.Table, tokenizer: Any, max_length: int = 64, training: bool = False) -> pa.Table:
    return FAMILY.encode(table, tokenizer, TASK, Lengths(max_length), training)


def decode(table: pa.Table, features: pa.Table) -> list[list[tuple[int, str]]]:
    return FAMILY.decode(table, features, oracle(features), TASK, Lengths(64))


def test_features_name_heads_and_relations_of_first_subwords(any_tokenizer):
    table = table_of(*SENTENCES)
    features = encode(table, any_tokenizer, training=True)
    for (words, _, _), ids, positions in zip(
        SENTENCES, features["input_ids"].to_pylist(), features["positions"].to_pylist(), strict=True
    ):
        own = any_tokenizer(words, is_split_into_words=True)
        assert ids == own["input_ids"]
        assert positions == [own.word_ids(0).index(word) for word in range(len(words))]
    assert features["heads"].to_pylist() == [heads for _, heads, _ in SENTENCES]
    assert features["labels"].to_pylist() == [[TASK.labels.index(r) for r in names] for _, _, names in SENTENCES]


def test_perfect_outputs_decode_to_the_gold(any_tokenizer):
    table = table_of(*SENTENCES, LONG)
    assert decode(table, encode(table, any_tokenizer)) == FAMILY.gold(table, TASK)


@pytest.mark.parametrize("max_length", [4, 5, 8, 11])
def test_a_long_sentence_becomes_pieces_and_one_tree(any_tokenizer, max_length):
    table = table_of(SENTENCES[2], LONG)
    features = encode(table, any_tokenizer, max_length)
    assert features.num_rows > 2
    assert max(map(len, features["input_ids"].to_pylist())) <= max_length
    pieces = [row for row in features.to_pylist() if row["example"] == 1]
    words = 0
    for piece in pieces:
        for word, (head, label) in enumerate(zip(piece["heads"], piece["labels"], strict=True), 1):
            gold = LONG[1][words + word - 1]
            inside = words < gold <= words + len(piece["heads"])
            assert head == (0 if gold == 0 else gold - words if inside else -100)
            assert (label == -100) == (head == -100)
        words += len(piece["heads"])
    assert words == len(LONG[0])
    tree = decode(table, features)[1]
    assert len(tree) == words
    assert [head for head, _ in tree].count(0) == 1
    assert FAMILY.validate(table_of((LONG[0], [h for h, _ in tree], [r for _, r in tree])), TASK) == []


def test_tops_of_later_pieces_hang_on_the_first_as_parataxis():
    table = table_of((["a", "b", "c", "d"], [], []))
    outputs = [np.zeros((2, 3, 2), np.float32) for _ in range(2)]
    for output in outputs:  # the second word on the root, the first on the second
        output[1, 0, 0] = output[0, 2, 0] = 5
        output[0, 2, 1] = TASK.labels.index("det")
    features = pa.table({"example": pa.array([0, 0], pa.int32())})
    tree = FAMILY.decode(table, features, outputs, TASK, Lengths(4))[0]
    assert tree == [(2, "det"), (0, "root"), (4, "det"), (2, "parataxis")]


def test_root_is_the_relation_of_the_roots_word_alone():
    assert TASK.labels[0] == "root"
    assert "parataxis" in TASK.labels
    output = np.zeros((2, 3, 2), np.float32)
    output[0, 0] = (5, TASK.labels.index("obj"))
    output[1, 1] = (5, TASK.labels.index("obj"))
    table, features = table_of((["a", "b"], [], [])), pa.table({"example": pa.array([0], pa.int32())})
    assert FAMILY.decode(table, features, [output], TASK, Lengths(9)) == [[(0, "root"), (1, "obj")]]


def test_sentences_without_gold_are_predicted_and_not_trained_on(tokenizer):
    table = table_of(SENTENCES[0], (SENTENCES[1][0], [], []))
    assert FAMILY.gold(table, TASK) is None
    assert encode(table, tokenizer)["heads"].to_pylist()[1] == [-100] * 3
    assert encode(table, tokenizer, training=True)["example"].to_pylist() == [0]


def test_problems_name_their_rows():
    assert FAMILY.validate(table_of(*SENTENCES, LONG), TASK) == []
    table = table_of(
        ([], [], []),
        (["a"], [0, 0], ["root"]),
        (["a"], [2], ["root"]),
        (["a", "b"], [0, 0], ["root", "root"]),
        (["a", "b"], [0, 1], ["root", "dobj"]),
        (["a", "b"], [0, 1], ["det", "root"]),
        (["a", "b", "c"], [0, 3, 2], ["root", "det", "det"]),
    )
    problems = FAMILY.validate(table, TASK)
    assert [problem.split(":")[0] for problem in problems] == [f"row {row}" for row in range(7)]
    assert problems[2:4] == [
        "row 2: head 2 of a sentence of 1 word",
        "row 3: 2 words hang on the root, there must be one",
    ]
    assert problems[4].startswith("row 4: relation 'dobj' is not one of acl, ")
    assert "belongs to the word that hangs on the root" in problems[5]
    assert problems[6] == "row 6: the heads of words 2, 3 form a circle"


@pytest.mark.parametrize("max_length", [24, 128])
def test_a_real_treebank(xtreme_mini, train_tokenizer, max_length):
    path = xtreme_mini / "intermediate" / "ud_ewt" / "en_ewt-ud-dev.conllu"
    table = read_conllu([path], TASK, "en")
    assert table.num_rows == 600
    assert FAMILY.validate(table, TASK) == []
    tokenizer = train_tokenizer([" ".join(words) for words in table["tokens"].to_pylist()[:200]], 100)
    features = encode(table, tokenizer, max_length)
    found, gold = decode(table, features), FAMILY.gold(table, TASK)
    assert gold is not None
    whole = {row for row, n in enumerate(np.bincount(features["example"].to_numpy())) if n == 1}
    assert 100 < len(whole) < 600
    assert all(found[row] == gold[row] for row in whole)
    assert [len(tree) for tree in found] == [len(tree) for tree in gold]
