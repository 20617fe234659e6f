"""Golden scores and predictions: they notice a change of evaluation, which no key notices by itself.

Each family scores fixed predictions and turns fixed outputs of a head into predictions. The expected values were worked
out by hand, so that a failure means that scores in stores no longer are what this code would compute.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stilts.evaluate.mining import mine, nearest, rank
from stilts.evaluate.thresholds import best_null_threshold
from stilts.tasks.base import all_tasks, get_task
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.families.span_qa import NOT_CONTEXT, Answer, best_spans
from stilts.tasks.score import score

RAISE = (
    "{what} differ from those that stores hold. If this change is meant, raise EVALUATION_VERSION in "
    "stilts/identity/canonical.py (or `evaluation_version` of the task, if it concerns one task alone), so that "
    "stored scores are computed again; write the new values here, and add a line to CHANGELOG.md."
)

SCORES: dict[str, tuple[str, Any, Any, dict[str, float]]] = {
    # 2 of 3
    "xnli": (
        "de",
        ["entailment", "neutral", "neutral"],
        ["entailment", "neutral", "contradiction"],
        {"accuracy": 200 / 3},
    ),
    # of the label 1: 2 right of 3 found and 4 wanted
    "qqp": ("en", ["1", "1", "1", "0", "0", "0"], ["1", "1", "0", "1", "1", "0"], {"accuracy": 50.0, "f1": 400 / 7}),
    # 3 of 7
    "xcopa": ("et", [0, 1, 1, 0, 0, 1, 0], [0, 1, 0, 1, 0, 0, 1], {"accuracy": 300 / 7}),
    # 4 of 6 words
    "ccg": (
        "en",
        [["NP", "N", "N"], ["NP", ".", "."]],
        [["NP", "N", "NP"], ["N", ".", "."]],
        {"accuracy": 200 / 3},
    ),
    # runs of equal tags: gold NOUN NOUN | VERB | PUNCT, found NOUN | VERB VERB | PUNCT; the last one agrees
    "udpos": (
        "de",
        [["NOUN", "VERB", "VERB", "PUNCT"]],
        [["NOUN", "NOUN", "VERB", "PUNCT"]],
        {"precision": 100 / 3, "recall": 100 / 3, "f1": 100 / 3},
    ),
    # gold PER, LOC, ORG; found PER, LOC of another length; I-ORG without a B- begins an entity
    "panx": (
        "de",
        [["B-PER", "I-PER", "O", "B-LOC"], ["I-ORG", "O"], ["O", "O"]],
        [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"], ["B-PER", "I-PER"]],
        {"precision": 100.0, "recall": 75.0, "f1": 600 / 7},
    ),
    # a: right after normalising; b: 1 of 2 words found and 1 of 3 wanted; c: without a prediction
    "xquad": (
        "de",
        {"a": "The Berlin!", "b": "red green"},
        {"a": ["berlin"], "b": ["blue red black"], "c": ["x"]},
        {"exact_match": 100 / 3, "f1": 140 / 3},
    ),
    # each Chinese character is a word: 2 right of 2 found and 3 wanted
    "mlqa": ("zh", {"a": "北京"}, {"a": ["北京市"]}, {"exact_match": 0.0, "f1": 80.0}),
    # a: rightly without an answer; b: wrongly; c: right after normalising
    "squad2": (
        "en",
        {"a": "", "b": "", "c": "the fox"},
        {"a": [""], "b": ["fox"], "c": ["fox"]},
        {"exact_match": 200 / 3, "f1": 200 / 3},
    ),
    "tatoeba": ("de", [0, 1, 2, 7], [0, 1, 2, 3], {"accuracy": 75.0}),
    # 2 right of 3 found and 4 wanted
    "bucc2018": (
        "de",
        [("d1", "e1"), ("d2", "e2"), ("d3", "e9")],
        [("d1", "e1"), ("d2", "e2"), ("d3", "e3"), ("d4", "e4")],
        {"precision": 200 / 3, "recall": 50.0, "f1": 400 / 7},
    ),
    # q: right candidates at ranks 1 and 3: (1/1 + 2/3) / 2; r: at rank 2: 1/2
    "lareqa": (
        "de",
        {"q": ["a", "x", "b"], "r": ["x", "c"]},
        {"q": ["a", "b"], "r": ["c"]},
        {"map@20": 100 * (5 / 6 + 1 / 2) / 2},
    ),
    # relations and heads: 1 of 3 right; heads alone 2 of 3
    "udparse": (
        "en",
        [[(2, "nsubj"), (0, "root"), (1, "obj")]],
        [[(2, "obj"), (0, "root"), (2, "obj")]],
        {"las": 100 / 3, "uas": 200 / 3},
    ),
    # arguments other than the verb: found ARG0, ARG1; wanted ARG0, ARG1 of another length, ARGM-TMP
    "srl": (
        "en",
        [["B-ARG0", "B-V", "B-ARG1", "O", "O"]],
        [["B-ARG0", "B-V", "B-ARG1", "I-ARG1", "B-ARGM-TMP"]],
        {"precision": 50.0, "recall": 100 / 3, "f1": 40.0},
    ),
}
"""Task -> language, predictions, gold, scores in percent; at least a task for each family and kind of answers."""


@pytest.mark.parametrize("name", SCORES)
def test_golden_scores(name: str) -> None:
    language, predictions, gold, expected = SCORES[name]
    found = score(name, language, predictions, gold)
    assert found == pytest.approx(expected, rel=1e-14, abs=0), RAISE.format(what=f"Scores of {name}")


def test_every_family_and_kind_of_answers_has_golden_scores() -> None:
    def kinds(names: Any) -> set[tuple[str, tuple[str, ...]]]:
        return {(get_task(name).family, get_task(name).scored_as) for name in names if get_task(name).scored_as}

    assert kinds(SCORES) == kinds(all_tasks())


# --- predictions from fixed outputs of a model

LENGTHS = Lengths(max_length=48, max_answer_length=3)


def roles(*tags: dict[str, float]) -> list[list[float]]:
    """Scores of semantic roles for each word, 0 where none is given, and those of the predicate, which are not read."""
    labels = get_task("srl").labels
    return [[scores.get(label, 0.0) for label in labels] for scores in (*tags, {})]


ARCS = [[0, -9, 10, 1], [8, 9, -9, 1], [7, 2, 3, -9]]
"""Scores of the heads root, 1, 2, 3 of three words."""
RELATIONS = [[0, 0, 4, 0], [0, 0, 0, 0], [0, 0, 5, 0]]
"""Number of the best relation to each head."""

OUTPUTS: dict[str, tuple[list[Any], list[Any]]] = {
    # the highest score; the first of equal ones
    "xnli": ([[0.1, 0.9, 0.3], [0.5, 0.2, 0.5]], [get_task("xnli").labels[1], get_task("xnli").labels[0]]),
    # the best label of each word; nothing repairs I- without B-
    "panx": (
        [np.eye(7)[[2, 0]], np.eye(7)[[1]]],
        [[get_task("panx").labels[2], get_task("panx").labels[0]], [get_task("panx").labels[1]]],
    ),
    # The best heads of words 1 and 2 form a cycle. Trees: root above 2 = 8 + 10 + 3 = 21, above 3 = 7 + 10 + 1 = 18.
    "udparse": (
        [np.stack([ARCS, RELATIONS], axis=-1)],
        [[(2, get_task("udparse").labels[4]), (0, "root"), (2, get_task("udparse").labels[5])]],
    ),
    # I-ARG1 must follow B-ARG1 or itself: O, I-ARG1 (3) is not allowed; B-ARG1, I-ARG1 has 1 + 3, O, B-ARG1 2 + 1.
    "srl": (
        [roles({"O": 2, "B-ARG1": 1}, {"I-ARG1": 3, "B-ARG1": 1})],
        [["B-ARG1", "I-ARG1"]],
    ),
}
"""Task -> outputs of its head for each example, and the predictions."""


@pytest.mark.parametrize("name", OUTPUTS)
def test_golden_predictions(name: str) -> None:
    outputs, expected = OUTPUTS[name]
    arrays = [np.array(output, np.float32) for output in outputs]
    features = pa.table({"example": list(range(len(arrays)))})
    found = get_family(get_task(name).family).decode(features, features, arrays, get_task(name), LENGTHS)
    assert found == expected, RAISE.format(what=f"Predictions of {name}")


def test_golden_choices() -> None:
    """The choice with the highest score of each question; two choices each."""
    features, outputs = pa.table({"example": [0, 0, 1, 1]}), [np.array([x]) for x in (0.2, 0.7, 0.4, 0.1)]
    table = pa.table({"id": ["a", "b"]})
    found = get_family("multiple_choice").decode(table, features, outputs, get_task("xcopa"), LENGTHS)
    assert found == [1, 0], RAISE.format(what="Predictions of multiple choice")


def test_golden_answers() -> None:
    """Two windows of one context; token 0 of each is the class token.

    The highest sum in the first window, from `Paris` to `river` (9 + 8), is longer than three tokens: `Paris` alone has
    9 + 5. In the second window, `river bank` has 4 + 8. "No answer" has 1 + 1 and 2 + 3, and the lower counts: the
    margin is 2 - 14.
    """
    starts, ends = [NOT_CONTEXT, 0, 6, 9, 12, 18], [NOT_CONTEXT, 5, 8, 11, 17, 22]
    context = "Paris is on river bank"
    features = pa.table(
        {
            "example": [0, 0],
            "null": [0, 0],
            "offset_start": [starts, starts[:1] + starts[4:]],
            "offset_end": [ends, ends[:1] + ends[4:]],
        }
    )
    outputs = [
        np.array([[1, 1], [9, 5], [0, 2], [0, 3], [0, 8], [0, 0]], np.float32),
        np.array([[2, 3], [4, 0], [0, 8]], np.float32),
    ]
    table = pa.table({"id": ["q"], "context": [context]})
    what = RAISE.format(what="Answers")
    assert best_spans(table, features, outputs, LENGTHS) == [Answer("Paris", 14.0, -12.0)], what
    for threshold, answer in ((-13.0, ""), (-12.0, "Paris")):
        lengths = replace(LENGTHS, null_threshold=threshold)
        found = get_family("span_qa").decode(table, features, outputs, get_task("squad2"), lengths)
        assert found == [answer], what


def test_golden_thresholds() -> None:
    """Answering a and b (margins below 0) gains 1 and 0.5 F1; answering c (margin 3) loses 1."""
    answers = {"a": ("fox", -2.0), "b": ("red fox", -1.0), "c": ("fox", 3.0)}
    gold = {"a": ["fox"], "b": ["red dog"], "c": [""]}
    expected = {
        "null_threshold": -1.0,
        "tuned_f1": 250 / 3,
        "exact_match_threshold": -2.0,
        "tuned_exact_match": 200 / 3,
    }
    found = best_null_threshold("squad2", "en", answers, gold)
    assert found == pytest.approx(expected, rel=1e-14), RAISE.format(what="Thresholds of SQuAD 2.0")


def test_golden_retrieval() -> None:
    """Cosines 0.6, 0.8, 1 of the first query; margins with k = 2 are cosines over means of the two highest cosines."""
    what = RAISE.format(what="Retrieved sentences")
    queries = np.array([[3, 4], [5, 0]], np.float32)
    corpus = np.array([[2, 0], [0, 7], [0.6, 0.8]], np.float32)
    assert nearest(queries, corpus).tolist() == [2, 0], what
    assert rank(queries, corpus, 2).tolist() == [[2, 1], [0, 2]], what
    # Means of the two highest cosines: queries 0.9 and 0.8; sentences 0.8, 0.4 and 0.8.
    expected = [(1 / ((0.8 + 0.8) / 2), 1, 0), (0.8 / ((0.9 + 0.4) / 2), 0, 1)]
    found = mine(queries, corpus, k=2)
    assert [pair[1:] for pair in found] == [pair[1:] for pair in expected], what
    assert [pair[0] for pair in found] == pytest.approx([pair[0] for pair in expected], rel=1e-6), what
