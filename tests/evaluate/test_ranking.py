"""Rankings end to end: the search, MAP@20 against a slow one, prediction files."""

import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from stilts.errors import Problems
from stilts.evaluate.candidates import Pool
from stilts.evaluate.evaluation import evaluate
from stilts.evaluate.predictions import read_predictions, write_predictions
from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.tasks.base import get_task
from stilts.tasks.schema import RANKING
from stilts.tasks.score import main_number, score


def slow_map(predictions: dict[str, list[str]], gold: dict[str, list[str]], k: int) -> Fraction:
    """Precision at each rank by counting from the start, in whole numbers."""
    total = Fraction(0)
    for query, right in gold.items():
        ranked = predictions.get(query, [])[:k]
        at_hits = [
            Fraction(len(set(ranked[: rank + 1]) & set(right)), rank + 1)
            for rank, name in enumerate(ranked)
            if name in right and ranked.index(name) == rank
        ]
        total += sum(at_hits, Fraction(0)) / min(len(right), k)
    return 100 * total / len(gold)


@pytest.mark.parametrize("seed", range(20))
def test_map_against_a_slow_one(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"c{i}" for i in range(40)]
    gold = {f"q{i}": rng.sample(names, rng.randint(1, 30)) for i in range(20)}
    found = {query: rng.sample(names, rng.randint(1, 40)) for query in gold if rng.random() < 0.9}
    assert score("lareqa", "en", found, gold)["map@20"] == pytest.approx(float(slow_map(found, gold, 20)), rel=1e-12)


def test_with_one_right_candidate_it_is_the_reciprocal_rank() -> None:
    names = [f"Q{i}" for i in range(25)]
    gold = {str(rank): [names[rank]] for rank in range(25)}
    found = score("mewslix", "de", dict.fromkeys(gold, names), gold)
    assert found == {"map@20": sum(1.0 / rank for rank in range(1, 21)) / 25 * 100}
    assert main_number("mewslix", found) == found["map@20"]


def test_what_is_scored() -> None:
    gold = {"a": ["x", "y"], "b": ["z"], "c": ["w"], "d": []}
    found = {"a": ["y", "y", "x"], "b": ["n"] * 20 + ["z"], "unknown": ["x"]}
    # a: twice y counts once; b: rank 21 is too late; c has no prediction; d has no right candidate.
    assert score("lareqa", "en", found, gold)["map@20"] == pytest.approx(100 * (1 + 2 / 3) / 2 / 4)


# End to end, with an encoder that knows words

WORDS = ["one", "two", "three", "uno", "due", "tre"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A word a token, ids from 4."""
    vocabulary = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")


class Encoder:
    """A vector for each meaning, much the same in both languages; counts the rows it is given."""

    def __init__(self) -> None:
        self.rows = 0
        self.languages: list[list[str]] = []

    def __call__(self, features: pa.Table, family: str, settings: Mapping[str, Any]) -> list[np.ndarray]:
        assert family == "dual_encoder"
        self.rows += features.num_rows
        self.languages.append(features["language"].to_pylist())
        vectors = []
        for ids in features["input_ids"].to_pylist():
            vector = np.zeros(4, np.float32)
            for token in ids:
                if token >= 4:
                    vector[(token - 4) % 3] += 1
                    vector[3] += 0.1 * (token >= 7)
            vectors.append(vector)
        return vectors


def table_of(*rows: dict[str, Any]) -> pa.Table:
    empty = {"id": "", "query": "", "candidate": "", "text": "", "context": "", "keys": [], "language": ""}
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=RANKING)


POOL = table_of(
    *[
        {"candidate": f"{language}_1_{i}", "text": word, "keys": [f"q{i}"], "language": language}
        for language, words in (("en", WORDS[:3]), ("it", WORDS[3:]))
        for i, word in enumerate(words)
    ]
)


def spec_of(task: str, split: str = "test", language: str = "en", pool: bool = True) -> EvaluationSpec:
    refs = [DataRef(task, name, language, f"sha256:{name}") for name in (split, "candidates")]
    settings = {"max_length": 16, "max_query_length": 8}
    return EvaluationSpec(task, 1, split, language, refs[0], None, settings, pool=refs[1] if pool else None)


def test_a_question_finds_its_answer_in_every_language(tokenizer) -> None:
    table = table_of(*[{"id": f"q{i}", "query": word, "keys": [f"q{i}"]} for i, word in enumerate(WORDS[:3])])
    pool, encoder = Pool(POOL), Encoder()
    found = evaluate(get_task("lareqa"), spec_of("lareqa"), table, None, tokenizer, encoder, pool)
    assert found.metrics == {"map@20": 100}
    assert found.examples == 3
    ranked = read_predictions("lareqa", found.predictions)
    assert ranked["q1"][:2] == ["en_1_1", "it_1_1"]
    assert all(len(names) == 6 for names in ranked.values())
    assert encoder.rows == 9
    evaluate(get_task("lareqa"), spec_of("lareqa", language="it"), table, None, tokenizer, encoder, pool)
    assert encoder.rows == 12  # the candidates are encoded once
    assert encoder.languages == [["en"] * 3, ["en"] * 3 + ["it"] * 3, ["it"] * 3]


def test_without_gold_there_is_no_score_and_lost_gold_scores_nothing(
    tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    blank = table_of({"id": "q0", "query": "one"})
    found = evaluate(get_task("lareqa"), spec_of("lareqa"), blank, None, tokenizer, Encoder(), Pool(POOL))
    assert found.metrics is None
    lost = table_of({"id": "q0", "query": "one", "keys": ["q0"]}, {"id": "q9", "query": "two", "keys": ["q9"]})
    found = evaluate(get_task("lareqa"), spec_of("lareqa"), lost, None, tokenizer, Encoder(), Pool(POOL))
    assert found.metrics == {"map@20": 50}
    assert "1 queries have no right candidate, first 'q9'" in caplog.text


def test_dev_pairs_are_searched_among_their_own_texts(tokenizer) -> None:
    pairs = [
        {"id": f"q{i}", "query": query, "candidate": text, "text": text, "keys": [text]}
        for i, (query, text) in enumerate([("one", "uno"), ("two", "due"), ("one", "uno")])
    ]
    task, encoder = get_task("squad_retrieval"), Encoder()
    found = evaluate(task, spec_of(task.name, "dev", pool=False), table_of(*pairs), None, tokenizer, encoder)
    assert found.metrics == {"map@20": 100}
    assert encoder.rows == 5  # three queries, two distinct texts
    assert read_predictions(task.name, found.predictions)["q1"] == ["due", "uno"]


# Prediction files


def test_files_are_read_as_they_were_written() -> None:
    rankings = {'a"b': ["Q1", "Q2"], "é": ["Q3"]}
    content = write_predictions("mewslix", rankings)
    assert read_predictions("mewslix", content) == rankings
    assert content.count(b"\n") == 4  # a query a line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "holds a list, not an object {id: [candidates]}"),
        ('{"a": "Q1"}', "what 'a' has, 'Q1', is no list of candidates' ids"),
        ('{"a": []}', "is no list of candidates' ids"),
        ('{"a": ["Q1", 2]}', "is no list of candidates' ids"),
        ('{"a": ["Q1", "Q2", "Q1"]}', "'a' names 'Q1' twice, and a rank is lost"),
        ('{"a": ["Q1"], "a": ["Q2"]}', "'a' is there twice"),
        ('{"a": ', "not JSON"),
    ],
)
def test_damaged_files(content: str, message: str) -> None:
    with pytest.raises(Problems) as error:
        read_predictions("mewslix", content.encode())
    assert message in str(error.value)
