"""Regression: numbers for texts and pairs of texts."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from transformers import PreTrainedTokenizerFast

from stilts.data.examples import check_rows, is_labelled
from stilts.data.sources.files import get_format
from stilts.errors import StiltsError
from stilts.evaluate.predictions import read_predictions, write_predictions
from stilts.tasks.families import Lengths, get_family
from stilts.tasks.score import score
from stilts.train.features import Features
from tests.tasks.families.learning import WORDS, declared, learn, table_of

TASK = "mine: {family: regression}"


def test_a_model_learns_numbers_of_pairs(tmp_path: Path) -> None:
    task = declared(TASK)
    rows = [{"text_a": WORDS[n % 3 + 10], "text_b": WORDS[n % 5], "score": float(n % 3)} for n in range(30)]
    learned = learn(task, table_of(task, rows), tmp_path)
    assert learned.losses[1] < 0.5 * learned.losses[0]
    assert learned.found.metrics is not None
    assert set(learned.found.metrics) == {"pearson", "spearman"}
    assert min(learned.found.metrics.values()) > 90


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_scores_are_those_of_scipy(shift: float) -> None:
    task = declared(TASK)
    rng = np.random.default_rng(0)
    gold = np.round(rng.normal(size=200), 1) + shift  # with ties
    ours = np.round(gold + rng.normal(size=200), 1)
    found = score(task, "en", ours.tolist(), gold.tolist())
    assert found["pearson"] == pytest.approx(100 * pearsonr(ours, gold).statistic, rel=1e-9)
    assert found["spearman"] == pytest.approx(100 * spearmanr(ours, gold).statistic, rel=1e-12)
    assert score(task, "en", [1.0] * 200, gold.tolist()) == {"pearson": 0, "spearman": 0}
    assert score(task, "en", (-2 * gold).tolist(), gold.tolist()) == pytest.approx({"pearson": -100, "spearman": -100})


def test_numbers_survive_the_prediction_file() -> None:
    task = declared(TASK)
    numbers = [0.1, -1e-7, float(np.float32(0.3)), 4.0]
    assert read_predictions(task.name, write_predictions(task.name, numbers)) == numbers
    with pytest.raises(StiltsError, match="'x' is not a number"):
        read_predictions(task.name, b"1\nx\n")
    with pytest.raises(StiltsError, match="'nan' is not finite"):
        read_predictions(task.name, b"nan\n")


def test_files_of_texts_and_of_pairs(tmp_path: Path) -> None:
    task = declared(TASK)
    (tmp_path / "a.tsv").write_text("a\tb\t4.5\nc\td\t0\n")
    table = get_format(task).read([tmp_path / "a.tsv"], task, "en")
    assert table["score"].to_pylist() == [4.5, 0]
    assert is_labelled(table, task, "dev", "a.tsv")
    (tmp_path / "b.tsv").write_text("a\nb\n")
    bare = get_format(task).read([tmp_path / "b.tsv"], task, "en")
    assert not is_labelled(bare, task, "test", "b.tsv")
    assert get_family("regression").gold(bare, task) is None
    (tmp_path / "c.tsv").write_text("a\t4,5\n")
    with pytest.raises(StiltsError, match=r"row 1, column score: '4,5' is not a number"):
        get_format(task).read([tmp_path / "c.tsv"], task, "en")
    (tmp_path / "d.tsv").write_text("a\tinf\n")
    with pytest.raises(StiltsError, match="row 1: the score is infinite"):
        check_rows(get_format(task).read([tmp_path / "d.tsv"], task, "en"), task, "d.tsv")


def test_rows_without_gold_are_not_trained_on(tokenizer: PreTrainedTokenizerFast) -> None:
    task = declared(TASK)
    table = table_of(
        task, [{"text_a": "a", "text_b": "", "score": float("nan")}, {"text_a": "b", "text_b": "", "score": 2.0}]
    )
    encoded = get_family("regression").encode(table, tokenizer, task, Lengths(16), True)
    assert Features.of(encoded, "regression").numbers("score").tolist() == [2.0]
