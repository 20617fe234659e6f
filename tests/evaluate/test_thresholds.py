"""The no-answer threshold."""

import itertools
import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from stilts.errors import StiltsError
from stilts.evaluate.evaluation import evaluate
from stilts.evaluate.thresholds import best_null_threshold
from stilts.identity.stage import DataRef, EvaluationSpec
from stilts.tasks.base import get_task
from stilts.tasks.schema import SPAN_QA
from stilts.tasks.score import score


def choose(answers: dict[str, tuple[str, float]], gold: dict[str, list[str]]) -> dict[str, float]:
    return best_null_threshold("squad2", "en", answers, gold)


def scored(answers: dict[str, tuple[str, float]], gold: dict[str, list[str]], threshold: float) -> dict[str, float]:
    predictions = {id_: "" if margin > threshold else text for id_, (text, margin) in answers.items()}
    return score("squad2", "en", predictions, gold)


def test_the_threshold_lies_where_answering_pays_and_the_lowest_of_equals_is_taken() -> None:
    answers = {"a": ("x", -3.0), "b": ("y", -1.0), "c": ("z", 0.5), "d": ("w", 2.0)}
    gold = {"a": ["x"], "b": [""], "c": ["z"], "d": [""]}
    found = choose(answers, gold)
    # Answering a alone is as good as answering a, b and c: c is won, but b is lost.
    assert found["null_threshold"] == -3.0
    assert found["tuned_f1"] == scored(answers, gold, found["null_threshold"])["f1"] == 75.0


def test_never_answering_can_be_best_and_is_reached() -> None:
    answers = {"a": ("x", -3.0), "b": ("y", 1.0)}
    gold = {"a": [""], "b": [""]}
    found = choose(answers, gold)
    assert found["null_threshold"] < -3.0
    assert found["tuned_f1"] == scored(answers, gold, found["null_threshold"])["f1"] == 100.0
    assert json.loads(json.dumps(found)) == found


def test_it_is_the_best_of_all_thresholds_for_each_metric() -> None:
    draw = random.Random(0)
    for _ in range(50):
        # Few margins, so that many are equal.
        answers = {str(i): (draw.choice(["red fox", "fox", ""]), draw.choice([-2.0, -1.0, 0.0, 3.0])) for i in range(8)}
        gold = {id_: draw.choice([["red fox", "wolf"], ["fox"], [""]]) for id_ in answers}
        found = choose(answers, gold)
        for metric, name in (("f1", "null_threshold"), ("exact_match", "exact_match_threshold")):
            best = max(scored(answers, gold, t)[metric] for t in (-9.0, -2.0, -1.0, 0.0, 3.0))
            assert found[f"tuned_{metric}"] == pytest.approx(best)
            assert scored(answers, gold, found[name])[metric] == pytest.approx(best)


def test_a_question_without_a_window_stays_empty() -> None:
    assert choose({"a": ("", float("inf"))}, {"a": [""]}) == {
        "null_threshold": 0.0,
        "tuned_f1": 100.0,
        "exact_match_threshold": 0.0,
        "tuned_exact_match": 100.0,
    }


# Through an evaluation


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<s>", "<pad>", "</s>", "<unk>", "what", "one", "two", "three", "four"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>", model_input_names=["input_ids"]
    )


def table(*answers: str | None) -> pa.Table:
    context = "one two three four"
    rows = [
        {
            "id": str(i),
            "context": context,
            "question": "what",
            "answers": [{"text": a, "start": context.index(a)}] if a else [],
        }
        for i, a in enumerate(answers)
    ]
    return pa.Table.from_pylist(rows, schema=SPAN_QA)


def doubtful(features: pa.Table, family: str, settings: Mapping[str, Any]) -> list[np.ndarray]:
    """Right spans with logit 2; "no answer" 3 where there is an answer and 6 where there is none."""
    outputs = [np.zeros((len(row["input_ids"]), 2), np.float32) for row in features.to_pylist()]
    for row, output in zip(features.to_pylist(), outputs, strict=True):
        output[0] = 1.5 if row["start"] else 3.0
        output[row["start"] or 6, 0] += 1
        output[row["end"] or 6, 1] += 1
    return outputs


def run(data: pa.Table, tokenizer: PreTrainedTokenizerFast, tune: pa.Table | None = None, **settings: Any) -> Any:
    task = get_task("squad2")
    spec = EvaluationSpec("squad2", 1, "dev", "en", DataRef("squad2", "dev", "en", "sha256:0"), None, {})
    spec.settings.update({**task.settings, "max_length": 16, "stride": 8, **settings})
    return evaluate(task, spec, data, tune, tokenizer, doubtful)


def test_an_evaluation_chooses_the_threshold_and_records_it(tokenizer: PreTrainedTokenizerFast) -> None:
    found = run(table("two", None, "one two"), tokenizer)
    assert found.metrics == {"exact_match": 100.0, "f1": 100.0}
    assert json.loads(found.predictions) == {"0": "two", "1": "", "2": "one two"}
    assert found.extra["null_threshold"] == pytest.approx(1.0)
    assert found.extra["tuned_f1"] == 100.0


def test_without_the_threshold_every_question_would_be_unanswered(tokenizer: PreTrainedTokenizerFast) -> None:
    found = run(table("two", None), tokenizer, null_threshold=0.0)
    assert found.metrics == {"exact_match": 50.0, "f1": 50.0}
    assert found.extra == {}


def test_it_is_chosen_on_dev_for_data_without_gold(tokenizer: PreTrainedTokenizerFast) -> None:
    found = run(table(None, None), tokenizer, tune=table("two", None))
    assert found.metrics is None
    assert found.extra["null_threshold"] == pytest.approx(1.0)
    with pytest.raises(StiltsError, match="no gold to choose the no-answer threshold"):
        run(table(None, None), tokenizer)


def test_the_order_of_the_questions_does_not_matter() -> None:
    answers = {"a": ("x", -3.0), "b": ("y", -1.0), "c": ("z", 0.5)}
    gold = {"a": ["x"], "b": [""], "c": ["z"]}
    found = {tuple(sorted(choose(dict(order), gold).items())) for order in itertools.permutations(answers.items())}
    assert len(found) == 1
