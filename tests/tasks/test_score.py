"""Scores against hand-computed values, against seqeval, and against each trap that peers fell into."""

import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from stilts.errors import StiltsError
from stilts.tasks import base
from stilts.tasks.base import Task, get_task
from stilts.tasks.metrics.answers import normalise_mlqa, normalise_squad
from stilts.tasks.metrics.sentences import arguments, entities, tag_runs
from stilts.tasks.score import main_number, score

UPOS = list(get_task("udpos").labels)
BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]


def test_accuracy_compares_as_text() -> None:
    assert score("xnli", "de", ["entailment", "neutral", "neutral"], ["entailment", "neutral", "entailment"]) == {
        "accuracy": pytest.approx(200 / 3)
    }
    assert score("tatoeba", "de", [0, 1, 2, 7], ["0", "1", "2", "3"]) == {"accuracy": 75.0}


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 predictions, and 2 examples"):
        score("xnli", "de", ["neutral"], ["neutral", "neutral"])
    with pytest.raises(ValueError, match="sentence 2 has 1 predicted words and 2 gold words"):
        score("panx", "de", [["O"], ["O"]], [["O"], ["O", "O"]])


def test_no_score_is_made_up_without_gold() -> None:
    with pytest.raises(ValueError, match="xnli/de: no gold"):
        score("xnli", "de", [], [])
    with pytest.raises(StiltsError, match="mlm"):
        score("mlm", "en", ["a"], ["a"])


def test_entities_need_type_and_both_ends() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O"]]
    predicted = [["B-PER", "O", "O", "B-LOC"], ["B-LOC", "O"]]
    assert score("panx", "de", predicted, gold) == {
        "f1": pytest.approx(100 / 3),
        "precision": pytest.approx(100 / 3),
        "recall": pytest.approx(100 / 3),
    }


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["O", "I-PER", "I-PER"], [("PER", 1, 2)]),
        (["B-PER", "I-LOC"], [("PER", 0, 0), ("LOC", 1, 1)]),
        (["B-PER", "B-PER", "I-PER"], [("PER", 0, 0), ("PER", 1, 2)]),
        (["B-ARGM-TMP", "I-ARGM-TMP", "I-ARGM-LOC"], [("ARGM-TMP", 0, 1), ("ARGM-LOC", 2, 2)]),
        (["O", "O"], []),
    ],
)
def test_invalid_transitions_begin_an_entity(tags: list[str], expected: list[tuple[str, int, int]]) -> None:
    assert list(entities(tags)) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["NOUN", "NOUN", "VERB"], [("NOUN", 0, 1), ("VERB", 2, 2)]),
        (["SYM", "SYM", "SCONJ"], [("SYM", 0, 0), ("SYM", 1, 1), ("SCONJ", 2, 2)]),
        (["INTJ", "INTJ", "X"], [("INTJ", 0, 1), ("X", 2, 2)]),
        (["PROPN", "PRON", "PROPN"], [("PROPN", 0, 0), ("PRON", 1, 1), ("PROPN", 2, 2)]),
    ],
)
def test_pos_chunks_are_runs_of_one_tag(tags: list[str], expected: list[tuple[str, int, int]]) -> None:
    assert list(tag_runs(tags)) == expected


def test_pos_is_scored_by_chunks_not_by_words() -> None:
    # Three of four words are right, but the run NOUN NOUN is not: one of two gold chunks, one of three predicted.
    predicted, gold = [["NOUN", "VERB", "PUNCT", "PUNCT"]], [["NOUN", "NOUN", "PUNCT", "PUNCT"]]
    assert score("udpos", "de", predicted, gold) == {
        "f1": pytest.approx(40),
        "precision": pytest.approx(100 / 3),
        "recall": 50.0,
    }


def test_runs_do_not_cross_sentences() -> None:
    joined, parted = [["NOUN", "NOUN"]], [["NOUN"], ["NOUN"]]
    assert score("udpos", "de", joined, joined)["f1"] == score("udpos", "de", parted, parted)["f1"] == 100
    assert len(list(tag_runs(joined[0]))) == 1


def random_tags(rng: random.Random, tags: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predictions that agree on most words; few distinct tags, so that chunks get long."""
    few = rng.sample(tags, rng.randint(2, len(tags)))
    gold = [[rng.choice(few) for _ in range(rng.randint(1, 9))] for _ in range(rng.randint(1, 5))]
    predicted = [[tag if rng.random() < 0.7 else rng.choice(few) for tag in tags] for tags in gold]
    return predicted, gold


def test_entities_equal_seqeval_on_random_tags() -> None:
    rng = random.Random(0)
    for _ in range(300):
        predicted, gold = random_tags(rng, BIO)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            precision, recall, f1, _ = precision_recall_fscore_support(gold, predicted, average="micro")
        expected = {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}
        assert score("panx", "de", predicted, gold) == expected


def test_pos_equals_seqeval_on_entities_that_spell_the_rule_out() -> None:
    """What old versions made of UPOS tags, written as IOB2 that every version reads alike."""

    def spelled(tags: list[str]) -> list[str]:
        starts = [i == 0 or tag != tags[i - 1] or tag[0] == "S" for i, tag in enumerate(tags)]
        return [f"{'B' if start else 'I'}-{tag}" for start, tag in zip(starts, tags, strict=True)]

    rng = random.Random(1)
    for _ in range(300):
        predicted, gold = random_tags(rng, UPOS)
        precision, recall, f1, _ = precision_recall_fscore_support(
            [spelled(tags) for tags in gold], [spelled(tags) for tags in predicted], average="micro", zero_division=0
        )
        expected = {"f1": f1 * 100, "precision": precision * 100, "recall": recall * 100}
        assert score("udpos", "de", predicted, gold) == expected


def test_squad_answers() -> None:
    predictions = {"a": "The Eiffel-Tower!", "b": "in 1889 or so"}
    gold = {"a": ["eiffeltower"], "b": ["1889", "the year 1889"], "c": ["unanswered"]}
    assert score("xquad", "en", predictions, gold) == {
        "exact_match": pytest.approx(100 / 3),
        # b: 1 word of 4 against the gold's only one: p 1/4, r 1, F1 0.4
        "f1": pytest.approx((1 + 0.4 + 0) / 3 * 100),
    }


def test_extra_answers_do_not_count() -> None:
    assert score("tydiqa", "sw", {"a": "x", "z": "y"}, {"a": ["x"]}) == {"exact_match": 100.0, "f1": 100.0}


def test_answers_without_words_match_exactly_but_have_no_f1() -> None:
    assert score("xquad", "en", {"a": "the"}, {"a": ["a"]}) == {"exact_match": 100.0, "f1": 0.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("An  Apple,\tthe\u00a0tree", "apple tree"),
        ("theatre", "theatre"),
        ("«Москва»", "«москва»"),  # only ASCII punctuation
        ("東京 タワー", "東京 タワー"),
    ],
)
def test_squad_normalisation(text: str, expected: str) -> None:
    assert normalise_squad(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The “Apple” $5", "apple 5"),
        ("es", "¿El perro y la casa?", "perro y casa"),
        ("es", "ella", "ella"),
        ("de", "Der Hund des Mannes", "hund mannes"),
        ("vi", "những con mèo", "con mèo"),
        ("hi", "राजा।", "राजा"),
        ("ar", "العالم", "ع م"),  # both pairs of letters go, the second one inside the word
        ("ar", "في البيت", "في بيت"),
        ("zh", "北京abc 大学2008年", "北 京 abc 大 学 2008 年"),
        ("zh", "《红楼梦》，the", "红 楼 梦 the"),
        ("qaa", "the Thing", "the thing"),
    ],
)
def test_mlqa_normalisation(language: str, text: str, expected: str) -> None:
    assert normalise_mlqa(text, language) == expected


def test_mlqa_scores_chinese_by_character_and_xquad_does_not() -> None:
    predictions, gold = {"a": "北京大"}, {"a": ["北京"]}
    assert score("mlqa", "zh", predictions, gold)["f1"] == pytest.approx(80)
    assert score("xquad", "zh", predictions, gold)["f1"] == 0


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that adds a task to the library for one test and returns its name."""

    def declare(**fields: Any) -> str:
        get_task("xnli")  # the library is loaded before one is added
        fields = {"metric": "metric", **fields}
        task = Task(name="declared", version=1, languages=("en",), train_on="declared", **fields)
        monkeypatch.setitem(base._TASKS, task.name, task)
        return task.name

    return declare


def test_where_no_answer_is_declared_the_empty_one_is_rewarded(declared: Callable[..., str]) -> None:
    """SQuAD 2.0's rules."""
    name = declared(family="span_qa", metrics=("exact_match", "f1"), settings={"null_threshold": 0.0})
    gold = {"a": [], "b": [""], "c": ["Paris"], "d": []}
    predictions = {"a": "", "b": "", "c": "in Paris", "d": "Rome"}
    assert score(name, "en", predictions, gold) == {
        "exact_match": 50.0,
        "f1": pytest.approx((1 + 1 + 2 / 3 + 0) / 4 * 100),
    }


def test_bucc_counts_whole_pairs_once() -> None:
    gold = {("de-1", "en-1"), ("de-2", "en-2"), ("de-3", "en-3")}
    predicted = [("de-1", "en-1"), ("de-1", "en-1"), ("de-2", "en-3")]
    assert score("bucc2018", "de", predicted, gold) == {
        "f1": pytest.approx(40),
        "precision": 50.0,
        "recall": pytest.approx(100 / 3),
    }
    assert score("bucc2018", "de", [], gold) == {"f1": 0, "precision": 0, "recall": 0}


def test_classification_that_declares_f1_has_that_of_its_second_label(declared: Callable[..., str]) -> None:
    """QQP's numbers: the F1 of the duplicates beside the accuracy."""
    no, yes = "not_duplicate", "duplicate"
    name = declared(family="classification", metrics=("accuracy", "f1"), labels=(no, yes))
    assert score(name, "en", [yes, yes, no, no], [yes, no, no, no]) == {
        "accuracy": 75.0,
        "f1": pytest.approx(200 / 3),
    }


def test_tagging_that_declares_accuracy_is_scored_by_words(declared: Callable[..., str]) -> None:
    """CCG's number."""
    name = declared(family="tagging", metric="accuracy", metrics=("accuracy",), labels=("a", "b", "c"))
    assert score(name, "en", [["a", "b"], ["c"]], [["a", "c"], ["c"]]) == {"accuracy": pytest.approx(200 / 3)}


def test_main_number() -> None:
    assert main_number("xnli", {"accuracy": 3.0}) == 3
    assert main_number("panx", {"f1": 4.0, "precision": 1.0, "recall": 2.0}) == 4
    assert main_number("xquad", {"exact_match": 1.0, "f1": 2.0}) == 1.5
    assert main_number("qqp", {"accuracy": 1.0, "f1": 2.0}) == 1.5
    assert main_number("lareqa", {"map@20": 7.0}) == 7


def test_attachment_counts_every_word() -> None:
    gold = [[(2, "det"), (0, "root"), (2, "punct")], [(0, "root")]]
    found = [[(2, "amod"), (0, "root"), (1, "punct")], [(0, "root")]]
    assert score("udparse", "en", gold, gold) == {"las": 100, "uas": 100}
    assert score("udparse", "en", found, gold) == {"las": 50, "uas": 75}
    assert main_number("udparse", {"las": 50.0, "uas": 75.0}) == 50
    with pytest.raises(ValueError, match="sentence 1 has 1 predicted words and 3 gold words"):
        score("udparse", "en", [[(0, "root")], [(0, "root")]], gold)


def test_arguments_are_spans_with_their_role_and_the_predicate_is_none() -> None:
    gold = [["B-ARG0", "I-ARG0", "B-V", "B-ARG1", "B-R-ARG1", "O"], ["O", "B-V"]]
    assert score("srl", "en", gold, gold)["f1"] == 100
    found = [["B-ARG0", "O", "B-V", "B-ARG1", "B-ARG1", "B-ARGM-TMP"], ["B-V", "O"]]
    # Right: ARG1. Wrong: a short ARG0, a reference called an argument, a TMP too many. The verbs do not matter.
    scores = score("srl", "en", found, gold)
    assert scores == {"precision": 25, "recall": pytest.approx(100 / 3), "f1": pytest.approx(200 / 7)}


def test_a_continuation_counts_with_what_it_continues() -> None:
    gold = [["B-ARG1", "B-V", "B-C-ARG1", "I-C-ARG1"]]
    assert list(arguments(gold[0])) == [("ARG1", ((0, 0), (2, 3)))]
    assert score("srl", "en", [["B-ARG1", "B-V", "O", "O"]], gold)["f1"] == 0
    assert score("srl", "en", gold, gold) == {"precision": 100, "recall": 100, "f1": 100}
    assert list(arguments(["B-C-ARG1", "B-V", "B-C-V"])) == [("C-ARG1", ((0, 0),))]
