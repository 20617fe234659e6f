"""One evaluation end to end, with functions that stand for a perfect model."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from stilts.errors import StiltsError
from stilts.evaluate.evaluation import Evaluated, evaluate
from stilts.identity.stage import Condition, DataRef, EvaluationSpec
from stilts.tasks.base import get_task
from stilts.tasks.families import get_family

ENGLISH = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
FOREIGN = ["uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A word a token; English word i has id 4 + i, its translation comes ten after it."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *ENGLISH, *FOREIGN]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )


def spec_of(task: str, split: str = "test", language: str = "de", **settings: Any) -> EvaluationSpec:
    data = DataRef(task, split, language, "sha256:0")
    return EvaluationSpec(task, 1, split, language, data, None, {"max_length": 16, **settings})


def table_of(task: str, *rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=get_family(get_task(task).family).schema)


def perfect(features: pa.Table, family: str, settings: Mapping[str, Any]) -> list[np.ndarray]:
    """Outputs that a model would have which knows the gold."""
    rows = features.to_pylist()
    if family == "classification":
        return [np.eye(3, dtype=np.float32)[row["label"]] for row in rows]
    if family == "tagging":
        return [np.eye(17, dtype=np.float32)[row["labels"]] for row in rows]
    if family == "multiple_choice":
        choices = [row["item"] for row in rows]
        return [
            np.array([float(i - choices.index(row["item"]) == row["label"])], np.float32) for i, row in enumerate(rows)
        ]
    if family == "span_qa":
        outputs = [np.zeros((len(row["input_ids"]), 2), np.float32) for row in rows]
        for row, output in zip(rows, outputs, strict=True):
            output[row["start"], 0] = output[row["end"], 1] = 1
        return outputs
    bags = np.zeros((len(rows), 14), np.float32)
    for bag, row in zip(bags, rows, strict=True):
        for token in row["input_ids"][1:-1]:
            bag[token - 10 if token >= 14 else token] += 1
    return list(bags)


def run(
    task: str, table: pa.Table, tokenizer: PreTrainedTokenizerFast, tune: pa.Table | None = None, **spec: Any
) -> Evaluated:
    return evaluate(get_task(task), spec_of(task, **spec), table, tune, tokenizer, perfect)


def pairs(*labels: int) -> pa.Table:
    return table_of(
        "xnli", *[{"id": str(i), "text_a": "one two", "text_b": "three", "label": n} for i, n in enumerate(labels)]
    )


def test_classification(tokenizer):
    found = run("xnli", pairs(2, 0, 1), tokenizer)
    assert found.predictions == b"contradiction\nentailment\nneutral\n"
    assert found.metrics == {"accuracy": 100}
    assert (found.examples, found.extra) == (3, {})


def test_blanked_labels_are_no_failure(tokenizer):
    found = run("xnli", pairs(-1, -1), tokenizer)
    assert found.metrics is None
    assert found.predictions.count(b"\n") == 2


def test_settings_reach_the_model(tokenizer):
    seen = {}

    def model(features: pa.Table, family: str, settings: Mapping[str, Any]) -> list[np.ndarray]:
        seen.update(settings, family=family, longest=max(map(len, features["input_ids"].to_pylist())))
        return perfect(features, family, settings)

    evaluate(get_task("xnli"), spec_of("xnli", max_length=6, layer=7), pairs(0), None, tokenizer, model)
    assert seen == {"max_length": 6, "layer": 7, "family": "classification", "longest": 6}


def test_tagging_scores_every_word_of_a_split_sentence(tokenizer):
    words, tags = ENGLISH * 4, ["NOUN", "VERB", "SYM", "SYM"] * 10
    table = table_of("udpos", {"id": "0", "tokens": words, "tags": tags}, {"id": "1", "tokens": ["one"], "tags": ["X"]})
    found = run("udpos", table, tokenizer)
    assert found.predictions.decode().split("\n\n")[0].split("\n") == tags
    assert found.metrics == {"f1": 100, "precision": 100, "recall": 100}


def question(id_: str, *answers: str) -> dict[str, Any]:
    context = " ".join(ENGLISH * 2)
    spans = [{"text": text, "start": context.index(text)} for text in answers]
    return {"id": id_, "context": context, "question": "one two", "answers": spans}


@pytest.mark.parametrize("task", ["xquad", "mlqa", "tydiqa"])
def test_questions(tokenizer, task):
    found = run(task, table_of(task, question("a", "four five"), question("b", "ten", "six")), tokenizer)
    assert json.loads(found.predictions) == {"a": "four five", "b": "ten"}
    assert found.metrics == {"exact_match": 100, "f1": 100}


def test_the_official_extraction_answers_with_whole_words(tokenizer):
    """The tokenizer knows a word with its comma; the script finds no comma that is not separated."""
    context = "one two three, four"
    row = {"id": "a", "context": context, "question": "one", "answers": [{"text": "three, four", "start": 8}]}
    split = {"id": "b", "context": "one uno\u00a0due tre", "question": "one", "answers": [{"text": "uno", "start": 4}]}
    for kind, answer in (("ours", "uno"), ("official", "uno\u00a0due")):
        found = run("xquad", table_of("xquad", row, split), tokenizer, extraction=kind)
        assert json.loads(found.predictions) == {"a": "three, four", "b": answer}


def test_blanked_answers_are_no_failure(tokenizer):
    found = run("tydiqa", table_of("tydiqa", question("a"), question("b")), tokenizer)
    assert found.metrics is None
    assert set(json.loads(found.predictions)) == {"a", "b"}


def test_questions_that_share_an_id_share_their_answers(tokenizer):
    found = run("tydiqa", table_of("tydiqa", question("a", "four"), question("a", "six")), tokenizer)
    assert json.loads(found.predictions) == {"a": "six"}
    assert found.metrics == {"exact_match": 100, "f1": 100}


def test_choices(tokenizer):
    rows = [{"id": "0", "text_a": "one", "choices": ["two", "three", "four", "five"], "label": 3}]
    found = run("hellaswag", table_of("hellaswag", *rows), tokenizer)
    assert found.predictions == b'{"label": 3}\n'
    assert found.metrics == {"accuracy": 100}


def sentence(side: str, id_: str, text: str, *gold: str) -> dict[str, Any]:
    return {"side": side, "id": id_, "text": text, "gold": list(gold)}


def test_tatoeba_predicts_lines_of_the_foreign_file(tokenizer):
    foreign = ["tre quattro", "uno", "sei sette", "due"]
    english = [("one", 1), ("six seven", 2), ("three four", 0), ("two", 3)]
    rows = [
        *[sentence("foreign", str(i), text) for i, text in enumerate(foreign)],
        *[sentence("en", str(i), text, str(line)) for i, (text, line) in enumerate(english)],
    ]
    found = run("tatoeba", table_of("tatoeba", *rows), tokenizer)
    assert found.predictions == b"1\n2\n0\n3\n"
    assert found.metrics == {"accuracy": 100}
    blank = [{**row, "gold": []} for row in rows]
    assert run("tatoeba", table_of("tatoeba", *blank), tokenizer).metrics is None


def corpus(gold: bool, extra: list[dict[str, Any]] | None = None) -> pa.Table:
    """Five translations, and five sentences a side without one."""
    rows = [sentence("foreign", f"de-{i}", FOREIGN[i], *([f"en-{i}"] if gold else [])) for i in range(5)]
    rows += [sentence("foreign", f"de-{i}", f"{FOREIGN[i]} uno due", *[]) for i in range(5, 10)]
    rows += [sentence("en", f"en-{i}", ENGLISH[i]) for i in range(5)]
    rows += [sentence("en", f"en-{i}", f"three four {ENGLISH[(i + 2) % 5 + 5]} five") for i in range(5, 10)]
    return table_of("bucc2018", *rows, *(extra or []))


def test_bucc_chooses_its_threshold_on_dev(tokenizer):
    dev = run("bucc2018", corpus(gold=True), tokenizer, split="dev")
    assert dev.metrics == {"f1": 100, "precision": 100, "recall": 100}
    assert dev.extra["tuned_f1"] == 100
    test = run("bucc2018", corpus(gold=False), tokenizer, tune=corpus(gold=True))
    assert test.metrics is None
    assert test.extra == dev.extra
    assert test.predictions == dev.predictions == b"".join(b"de-%d\ten-%d\n" % (i, i) for i in range(5))


def test_bucc_leaves_repeated_sentences_out(tokenizer):
    again = [sentence("foreign", "de-99", "uno"), sentence("en", "en-98", "two")]
    found = run("bucc2018", corpus(gold=False, extra=again), tokenizer, tune=corpus(gold=True))
    assert found.predictions == b"".join(b"de-%d\ten-%d\n" % (i, i) for i in range(2, 5))


def test_bucc_without_gold_is_refused(tokenizer):
    with pytest.raises(StiltsError, match="bucc2018 test/de: no gold pairs"):
        run("bucc2018", corpus(gold=False), tokenizer)


def test_the_same_evaluation_twice_is_the_same_to_the_byte(tokenizer):
    tune = corpus(gold=True)
    assert run("bucc2018", corpus(gold=False), tokenizer, tune=tune) == run(
        "bucc2018", corpus(gold=False), tokenizer, tune=tune
    )


def under(
    kind: str, rate: float, task: str, table: pa.Table, tokenizer: PreTrainedTokenizerFast, **spec: Any
) -> Evaluated:
    noisy = replace(spec_of(task), condition=Condition(kind, rate))
    return evaluate(get_task(task), noisy, table, spec.get("tune"), tokenizer, perfect)


def test_under_a_condition_the_answers_are_pieces_of_the_noisy_context(tokenizer):
    table = table_of("xquad", question("a", "four five"), question("b", "ten"))
    found = under("casing", 1.0, "xquad", table, tokenizer)
    answers = json.loads(found.predictions)
    assert {id_: text.lower() for id_, text in answers.items()} == {"a": "four five", "b": "ten"}
    assert "four five" not in answers.values()
    assert found.metrics == {"exact_match": 100, "f1": 100}
    assert 0.2 < found.extra["changed_share"] < 1


def test_noise_leaves_the_set_of_the_threshold_clean(tokenizer):
    clean = run("bucc2018", corpus(gold=True), tokenizer, tune=corpus(gold=True))
    found = under("drop", 1.0, "bucc2018", corpus(gold=True), tokenizer, tune=corpus(gold=True))
    assert {name: found.extra[name] for name in clean.extra} == clean.extra
    assert found.extra["changed_share"] > 0.1
    assert found.metrics["f1"] < clean.metrics["f1"]
