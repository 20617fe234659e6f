from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from stilts.tasks import schema
from stilts.tasks.base import Task
from stilts.tasks.families import Lengths, get_family

FAMILY = get_family("tagging")


def task_of(labels: tuple[str, ...]) -> Task:
    return Task(
        name="tags",
        version=1,
        family="tagging",
        languages=("en",),
        metric="f1",
        metrics=("f1",),
        train_on="tags",
        labels=labels,
    )


TASK = task_of(("O", "B-LOC", "I-LOC"))
SENTENCES = [
    (["She", "moved", "to", "Paris"], ["O", "O", "O", "B-LOC"]),
    (["北京", "大学", "成立"], ["B-LOC", "I-LOC", "O"]),
    (["München", "กรุงเทพ"], ["B-LOC", "B-LOC"]),
]


def table_of(sentences: list[tuple[list[str], list[str]]]) -> pa.Table:
    records = [{"id": str(i), "tokens": words, "tags": tags} for i, (words, tags) in enumerate(sentences)]
    return pa.Table.from_pylist(records, schema=schema.TAGGING)


def oracle(features: pa.Table, task: Task) -> list[np.ndarray]:
    """One-hot outputs made of the features' labels; a word without label gets the last."""
    return [np.eye(len(task.labels), dtype=np.float32)[labels] for labels in features["labels"].to_pylist()]


def read_tagged(path: Path) -> list[tuple[list[str], list[str]]]:
    blocks = path.read_text(encoding="utf-8").strip("\n").split("\n\n")
    pairs = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    return [([pair[0] for pair in block], [pair[1] for pair in block]) for block in pairs]


def test_first_subword_of_each_word_is_marked(any_tokenizer):
    features = FAMILY.encode(table_of(SENTENCES), any_tokenizer, TASK, Lengths(64), training=True)
    for (words, _), ids, positions in zip(
        SENTENCES, features["input_ids"].to_pylist(), features["positions"].to_pylist(), strict=True
    ):
        own = any_tokenizer(words, is_split_into_words=True)
        assert ids == own["input_ids"]
        owners = own.word_ids(0)
        assert positions == [owners.index(word) for word in range(len(words))]
    assert features["labels"].to_pylist() == [[0, 0, 0, 1], [1, 2, 0], [1, 1]]


@pytest.mark.parametrize("max_length", [3, 4, 5, 8, 64])
def test_long_sentences_split_between_words_and_rejoin(any_tokenizer, max_length):
    table = table_of([(words * 7, tags * 7) for words, tags in SENTENCES])
    features = FAMILY.encode(table, any_tokenizer, TASK, Lengths(max_length), training=False)
    assert features["item"].to_pylist() == list(range(features.num_rows))
    for ids, positions in zip(features["input_ids"].to_pylist(), features["positions"].to_pylist(), strict=True):
        assert len(ids) <= max_length
        assert 0 < positions[0] <= positions[-1] < len(ids) - 1
    outputs = oracle(features, TASK)
    decoded = FAMILY.decode(table, features, outputs, TASK, Lengths(max_length))
    assert decoded == FAMILY.gold(table, TASK)


def test_words_that_have_no_subwords_become_unknown(any_tokenizer):
    words = ["Paris", "", " ", "\u200b", "ok"]
    table = table_of([(words, ["B-LOC", "O", "O", "O", "O"])])
    features = FAMILY.encode(table, any_tokenizer, TASK, Lengths(64), training=False)
    positions = features["positions"].to_pylist()[0]
    assert len(set(positions)) == len(words)
    assert features["input_ids"].to_pylist()[0][positions[1]] == any_tokenizer.unk_token_id
    assert FAMILY.decode(table, features, oracle(features, TASK), TASK, Lengths(64)) == FAMILY.gold(table, TASK)


def test_words_begin_as_inside_a_sentence_in_byte_level_vocabularies():
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        special_tokens=["<s>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["She moved to Paris and moved to Paris again"] * 9, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    features = FAMILY.encode(table_of(SENTENCES[:1]), tokenizer, TASK, Lengths(64), training=True)
    tokens = tokenizer.convert_ids_to_tokens(features["input_ids"][0].as_py())
    assert "".join(tokens) == "ĠSheĠmovedĠtoĠParis"


def test_a_word_over_the_room_is_cut(tokenizer):
    table = table_of([(["to", "Flussufer" * 20, "Paris"], ["O", "O", "B-LOC"])])
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(8), training=True)
    assert features["labels"].to_pylist() == [[0], [0], [1]]
    assert max(map(len, features["input_ids"].to_pylist())) == 8


def test_unlabelled_sentences(tokenizer):
    table = table_of([SENTENCES[0], (SENTENCES[1][0], [])])
    assert FAMILY.gold(table, TASK) is None
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(64), training=False)
    assert features["labels"].to_pylist() == [[0, 0, 0, 1], [-100, -100, -100]]
    features = FAMILY.encode(table, tokenizer, TASK, Lengths(64), training=True)
    assert features["example"].to_pylist() == [0]


def test_features_do_not_depend_on_the_other_sentences(tokenizer):
    both = FAMILY.encode(table_of(SENTENCES), tokenizer, TASK, Lengths(64), training=True)
    alone = FAMILY.encode(table_of(SENTENCES[1:2]), tokenizer, TASK, Lengths(64), training=True)
    assert alone["input_ids"].to_pylist() == both["input_ids"].to_pylist()[1:2]


def test_problems_name_their_rows():
    assert FAMILY.validate(table_of(SENTENCES), TASK) == []
    table = table_of([([], []), (["a"], ["O", "O"]), (["a"], ["X"])])
    assert FAMILY.validate(table, TASK) == [
        "row 0: the sentence has no tokens",
        "row 1: 1 tokens but 2 tags",
        "row 2: tag 'X' is not one of B-LOC, I-LOC, O",
    ]


@pytest.mark.parametrize(
    "name", ["udpos/dev-ta", "udpos/dev-te", "udpos/dev-ja", "udpos/dev-zh", "udpos/dev-ar", "panx/dev-de"]
)
def test_oracle_is_perfect_on_real_sentences(xtreme_mini, train_tokenizer, name):
    sentences = read_tagged(xtreme_mini / "xtreme" / f"{name}.tsv")
    tokenizer = train_tokenizer([" ".join(words) for words, _ in sentences[:200]], 100)
    task = task_of(tuple(sorted({tag for _, tags in sentences for tag in tags})))
    table = table_of(sentences)
    assert FAMILY.validate(table, task) == []
    for max_length in (16, 128):
        features = FAMILY.encode(table, tokenizer, task, Lengths(max_length), training=False)
        assert max(map(len, features["input_ids"].to_pylist())) <= max_length
        decoded = FAMILY.decode(table, features, oracle(features, task), task, Lengths(max_length))
        assert decoded == FAMILY.gold(table, task) == [tags for _, tags in sentences]
