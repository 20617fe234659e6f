"""Multi-label classification: sets of labels for texts."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from stilts.data.examples import is_labelled
from stilts.data.labels import with_labels
from stilts.data.sources.files import get_format
from stilts.errors import StiltsError
from stilts.evaluate.predictions import read_predictions, write_predictions
from stilts.tasks.families import get_family
from stilts.tasks.score import score
from tests.tasks.families.learning import WORDS, declared, learn, table_of

OPEN = "mine: {family: multi_label, metrics: [macro_f1, exact_match], metric: micro_f1}"
LISTED = "mine: {family: multi_label, labels: [anger, fear, joy], metric: micro_f1, metrics: [macro_f1, exact_match]}"


def test_a_model_learns_sets_of_labels(tmp_path: Path) -> None:
    task = declared(OPEN)
    rows = []
    for n in range(32):
        found = [label for bit, label in enumerate(("anger", "joy")) if n >> bit & 1]
        text = f"{WORDS[10 + (n & 1)]} {WORDS[12 + (n >> 1 & 1)]}"  # of one length, which tells nothing
        rows.append({"text_a": text, "text_b": "", "labels": found})
    # At a higher rate, so small a model learns one of two labels and stays there.
    learned = learn(task, table_of(task, rows), tmp_path, steps=200, learning_rate=5e-4)
    assert learned.losses[1] < 0.8 * learned.losses[0]
    assert learned.found.metrics is not None
    assert learned.found.metrics["micro_f1"] > 90
    assert set(learned.found.metrics) == {"micro_f1", "macro_f1", "exact_match"}
    assert learned.again == pytest.approx(learned.found.metrics["micro_f1"])


def test_scores_are_those_of_scikit_learn() -> None:
    task = declared(LISTED)
    rng = np.random.default_rng(0)
    gold, ours = ([[label for label in task.labels if rng.random() < 0.4] for _ in range(50)] for _ in range(2))
    gold = [[label for label in row if label != "joy"] for row in gold]  # joy is predicted and never gold
    marks = MultiLabelBinarizer(classes=task.labels)
    right, found = marks.fit_transform(gold), marks.fit_transform(ours)
    scores = score(task, "en", ours, gold)
    assert scores["micro_f1"] == pytest.approx(100 * f1_score(right, found, average="micro", zero_division=0))
    assert scores["macro_f1"] == pytest.approx(100 * f1_score(right, found, average="macro", zero_division=0))
    assert scores["exact_match"] == pytest.approx(100 * accuracy_score(right, found))


def test_files_with_bars_between_labels(tmp_path: Path) -> None:
    task = declared(LISTED)
    (tmp_path / "a.tsv").write_text("one\tanger|joy\ntwo\t\n")
    table = get_format(task).read([tmp_path / "a.tsv"], task, "en")
    assert table["labels"].to_pylist() == [["anger", "joy"], []]
    assert is_labelled(table, task, "dev", "a.tsv")
    (tmp_path / "b.tsv").write_text("one\ntwo\n")
    assert not is_labelled(get_format(task).read([tmp_path / "b.tsv"], task, "en"), task, "test", "b.tsv")
    (tmp_path / "c.tsv").write_text("one\tanger|hope\n")
    with pytest.raises(StiltsError, match=r"row 1, column labels: label 'hope' is not one of anger, fear, joy"):
        get_format(task).read([tmp_path / "c.tsv"], task, "en")


def test_columns_of_zeros_and_ones_are_labels(tmp_path: Path) -> None:
    task = declared("mine: {family: multi_label, columns: {text_a: text, labels: anger+joy}}")
    (tmp_path / "a.csv").write_text("text,anger,joy\none,1,0\ntwo,1,1\nthree,0,0\n")
    table = get_format(task).read([tmp_path / "a.csv"], task, "en")
    assert table["labels"].to_pylist() == [["anger"], ["anger", "joy"], []]
    assert with_labels(task, [table]).labels == ("anger", "joy")
    (tmp_path / "b.csv").write_text("text,anger,joy\none,2,0\n")
    with pytest.raises(StiltsError, match="holds '2', expected 0 or 1"):
        get_format(task).read([tmp_path / "b.csv"], task, "en")


def test_sets_survive_the_prediction_file() -> None:
    task = declared(LISTED)
    sets: list[list[str]] = [["anger", "joy"], [], ["fear"], []]
    assert read_predictions(task.name, write_predictions(task.name, sets)) == sets
    with pytest.raises(StiltsError, match="is no JSON list of labels"):
        read_predictions(task.name, b"anger\n")
    with pytest.raises(StiltsError, match="'hope' is none of mine's labels"):
        read_predictions(task.name, b'["hope"]\n')


def test_no_label_is_gold() -> None:
    task = declared(LISTED)
    rows = [{"text_a": "a", "text_b": "", "labels": []}, {"text_a": "b", "text_b": "", "labels": None}]
    assert get_family("multi_label").has_gold(table_of(task, rows)).tolist() == [True, False]
