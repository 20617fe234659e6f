"""Text classification: single texts and pairs, labels listed or read, files, the hub's rows, training and scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef
from transformers import PreTrainedTokenizerFast

from stilts.data.examples import check_rows, is_labelled
from stilts.data.labels import with_labels
from stilts.data.noise.perturb import perturb
from stilts.data.sources.files import get_format
from stilts.errors import StiltsError
from stilts.identity.stage import Condition
from stilts.tasks.base import HubSource
from stilts.tasks.families import HubRows, Lengths, get_family
from stilts.tasks.score import score
from tests.tasks.families.learning import WORDS, declared, learn, table_of

OPEN = "mine: {family: text_classification, metric: macro_f1, metrics: [accuracy, weighted_f1, matthews]}"
LISTED = "mine: {family: text_classification, labels: [news, sport]}"
LABELS = ["city", "food", "sport"]
ROWS = [{"text_a": f"{WORDS[n % 10]} {WORDS[11 + label]} {WORDS[11 + label]}", "text_b": "", "label": LABELS[label]}
        for n, label in enumerate([0, 1, 2, 2, 1, 0] * 4)]  # fmt: skip


def test_a_model_learns_labels_that_are_read_from_the_data(tmp_path: Path) -> None:
    task = declared(OPEN)
    learned = learn(task, table_of(task, ROWS), tmp_path)
    assert learned.losses[1] < 0.5 * learned.losses[0]
    assert learned.found.metrics is not None
    assert set(learned.found.metrics) == {"macro_f1", "accuracy", "weighted_f1", "matthews"}
    assert learned.found.metrics["accuracy"] > 90


def test_scores_are_those_of_scikit_learn() -> None:
    task = declared(OPEN)
    gold = ["a", "b", "a", "c", "c", "b", "a"]
    for predicted in (["a", "b", "b", "c", "a", "b", "a"], ["d"] * 7, ["a"] * 7, ["d", "e", "a", "c", "c", "b", "b"]):
        trained = replace(task, labels=("a", "b", "d", "e"))  # of the head: with some that the test set lacks
        found = score(trained, "en", predicted, gold)
        assert found["macro_f1"] == pytest.approx(100 * f1_score(gold, predicted, average="macro", zero_division=0))
        assert found["weighted_f1"] == pytest.approx(
            100 * f1_score(gold, predicted, average="weighted", zero_division=0)
        )
        assert found["matthews"] == pytest.approx(100 * matthews_corrcoef(gold, predicted))


def test_files_without_a_header(tmp_path: Path) -> None:
    task = declared(LISTED)
    read = get_format(task).read
    (tmp_path / "a.tsv").write_text("a text\tnews\nanother\tsport\n")
    assert read([tmp_path / "a.tsv"], task, "en").to_pylist() == [
        {"id": "0", "text_a": "a text", "text_b": "", "label": "news"},
        {"id": "1", "text_a": "another", "text_b": "", "label": "sport"},
    ]
    (tmp_path / "b.tsv").write_text("a\tb\tnews\n")
    assert read([tmp_path / "b.tsv"], task, "en").to_pylist()[0]["text_b"] == "b"
    (tmp_path / "c.tsv").write_text("a\nb\n")
    table = read([tmp_path / "c.tsv"], task, "en")
    assert not is_labelled(table, task, "test", "c.tsv")
    with pytest.raises(StiltsError, match="no gold labels, and dev data needs them"):
        is_labelled(table, task, "dev", "c.tsv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tnews\nb\n", r"a.tsv:2: 1 column, expected 2 columns as in line 1"),
        ("a\tnews\nb\tspotr\n", r"row 2, column label: label 'spotr' is not one of news, sport"),
        ("a\tnews\n \tsport\n", r"a.tsv:2: text_a is empty"),
        ("a\tb\tc\tnews\n", r"a.tsv:1: 4 columns, expected text, label"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    task = declared(LISTED)
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(StiltsError, match=message):
        get_format(task).read([tmp_path / "a.tsv"], task, "en")


def test_pairs_must_all_have_a_second_text() -> None:
    task = declared(LISTED)
    rows = [{"text_a": "a", "text_b": "b", "label": "news"}, {"text_a": "a", "text_b": "", "label": "sport"}]
    with pytest.raises(StiltsError, match="row 2: text_b is empty"):
        check_rows(table_of(task, rows), task, "x")


def test_rows_of_the_hub_whose_labels_are_numbers_with_names() -> None:
    task = declared(OPEN)
    source = HubSource("x/y", "1", {}, {"text_a": "text", "label": "label"})
    found: list[str] = []

    def report(row: int, column: str, message: str) -> None:
        found.append(f"{row} {column} {message}")

    columns = {"text_a": ["a", "b", "c"], "label": [1, -1, 0]}
    rows = HubRows(columns, {"text_a": None, "label": ["no", "yes"]}, report, source, task)
    assert get_family(task.family).from_hub(rows)["label"] == ["yes", "", "no"]
    rows = HubRows({**columns, "label": [1, 2, 0]}, {"text_a": None, "label": ["no", "yes"]}, report, source, task)
    get_family(task.family).from_hub(rows)
    assert found == ["1 label label 2 is not one of no, yes of task mine"]


def test_single_texts_and_pairs_are_framed_as_the_tokenizer_does(any_tokenizer: PreTrainedTokenizerFast) -> None:
    task = declared(LISTED)
    family = get_family(task.family)
    for second in ("", "Paris in 1991"):
        table = table_of(task, [{"text_a": "the lazy dog", "text_b": second, "label": "sport"}])
        encoded = family.encode(table, any_tokenizer, task, Lengths(32), True)
        pair = ("the lazy dog", second) if second else ("the lazy dog",)
        assert encoded["input_ids"][0].as_py() == any_tokenizer(*pair)["input_ids"]
        assert encoded["label"].to_pylist() == [1]
    short = family.encode(table, any_tokenizer, task, Lengths(8), True)
    assert len(short["input_ids"][0].as_py()) == 8


def test_a_label_that_the_training_data_lacks_has_no_index_and_is_never_right() -> None:
    task = declared(OPEN)
    known = with_labels(task, [table_of(task, ROWS[:2])])
    assert known.labels == ("city", "food")
    assert score(known, "en", ["city", "food"], ["city", "sport"])["accuracy"] == 50


def test_noise_changes_the_texts_and_keeps_the_labels() -> None:
    task = declared(OPEN)
    table = table_of(task, ROWS)
    noisy = perturb(table, task, Condition("swap", 0.5), "en").table
    assert noisy["label"] == table["label"]
    assert noisy["text_a"] != table["text_a"]
    assert np.all(np.array(noisy["text_b"].to_pylist()) == "")
