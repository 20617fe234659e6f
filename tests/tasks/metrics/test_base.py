"""A declared metric is an instruction: it is computed, or the task cannot be made; and each is checked by another."""

import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from stilts.errors import StiltsError
from stilts.tasks.base import Task, all_tasks, get_task
from stilts.tasks.metrics import Facts, Metric, base, metrics_of, register
from stilts.tasks.metrics.base import total
from stilts.tasks.metrics.label_sets import count_sets
from stilts.tasks.metrics.labels import count_binary, count_by_label
from stilts.tasks.metrics.numbers import count_deviations, count_ranks
from stilts.tasks.metrics.retrieval import count_gains
from stilts.tasks.metrics.sentences import count_frames
from stilts.tasks.score import main_metric, main_number, score

THREE = ("entailment", "neutral", "contradiction")


@pytest.mark.parametrize(
    ("task", "fields", "message"),
    [
        ("lareqa", {"metric": "err", "metrics": ("err",)}, r"no metric 'err' of rankings; valid: map@20, mrr@10, ndcg"),
        ("lareqa", {"metric": "map@10", "metrics": ("map@10",)}, r"did you mean 'map@20'"),
        ("xnli", {"metric": "f1", "metrics": ("f1",)}, r"'f1' cannot be computed: .* there are 3; use macro_f1"),
        ("xnli", {"metric": "metric", "metrics": ("accuracy", "f1")}, r"'metric' cannot be computed: .* there are 3"),
        ("xnli", {"metrics": ("accuracy", "f1")}, r"'f1' cannot be computed"),
        ("xnli", {"metrics": ("accuracy", "matthew")}, r"did you mean 'matthews'"),
        ("hellaswag", {"metric": "macro_f1", "metrics": ("macro_f1",)}, r"the task declares no labels; use accuracy"),
        ("udparse", {"metric": "accuracy", "metrics": ("accuracy",)}, r"no metric 'accuracy' of arcs; valid: las, uas"),
        ("xquad", {"metric": "accuracy", "metrics": ("accuracy",)}, r"no metric 'accuracy' of answers"),
        ("tatoeba", {"metric": "precision", "metrics": ("precision",)}, r"no metric 'precision' of labels"),
        ("bucc2018", {"metric": "accuracy", "metrics": ("accuracy",)}, r"no metric 'accuracy' of pairs"),
        ("panx", {"metric": "f1", "metrics": ("precision", "recall")}, r"'f1' needs f1 in metrics="),
        ("xquad", {"metrics": ("f1",)}, r"'metric' needs exact_match in metrics="),
        ("udpos", {"answers": "tag run"}, r"no answers 'tag run'; did you mean 'tag runs'"),
        ("mlm", {"metric": "perplexity", "metrics": ("perplexity",)}, r"its metric is 'loss'"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused(task: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StiltsError, match=message):
        replace(get_task(task), name="mine", **fields)


def make(metric: str, labels: tuple[str, ...] = THREE) -> Task:
    return replace(get_task("xnli"), name="mine", labels=labels, metric=metric, metrics=(metric,))


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("macro_f1", lambda gold, found: f1_score(gold, found, average="macro")),
        ("weighted_f1", lambda gold, found: f1_score(gold, found, average="weighted")),
        ("matthews", matthews_corrcoef),
    ],
)
def test_metrics_of_several_labels_are_those_of_scikit_learn(name: str, peer: Callable[..., float]) -> None:
    rng = random.Random(0)
    for _ in range(100):
        few = THREE[: rng.randint(1, 3)]
        gold = [rng.choice(few) for _ in range(rng.randint(1, 20))]
        found = [right if rng.random() < 0.6 else rng.choice(few) for right in gold]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of samples with one label
            expected = 100 * peer(gold, found)
        assert score(make(name), "en", found, gold)[name] == pytest.approx(expected, abs=1e-9)


def test_a_task_may_declare_several_metrics() -> None:
    task = replace(make("macro_f1"), metrics=("accuracy", "macro_f1", "matthews"))
    scores = score(task, "en", list(THREE), list(THREE))
    assert scores == {"accuracy": 100.0, "macro_f1": 100.0, "matthews": pytest.approx(100.0)}
    assert main_number(task, scores | {"macro_f1": 7.0}) == 7.0


def test_the_name_of_a_task_does_not_choose_its_metric() -> None:
    """UD-POS, BUCC and MLQA under another name are scored alike."""
    tags, other = [["NOUN", "SYM", "SYM"]], [["NOUN", "NOUN", "SYM"]]
    pairs = {("de-1", "en-1")}
    for name, found, gold in (("udpos", tags, other), ("bucc2018", pairs, pairs | {("de-2", "en-3")})):
        assert score(replace(get_task(name), name="mine"), "de", found, gold) == score(name, "de", found, gold)
    answers = {"a": "北京大"}, {"a": ["北京"]}
    assert score(replace(get_task("mlqa"), name="mine"), "zh", *answers)["f1"] == pytest.approx(80)


def test_a_new_metric_is_one_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_METRICS", dict(base._METRICS))

    def count(predictions: Any, gold: Any, facts: Facts) -> Any:
        return np.array([[p == "neutral"] for p in predictions], np.uint16)

    register(Metric("share_neutral", "labels", count, lambda sums, items: 100 * sums[..., 0] / items))
    task = make("share_neutral")
    assert main_number(task, score(task, "en", ["neutral", "entailment"], ["neutral"] * 2)) == 50.0
    with pytest.raises(StiltsError, match="two metrics of labels are called 'share_neutral'"):
        register(Metric("share_neutral", "labels", count, lambda sums, items: sums[..., 0]))


def test_every_metric_is_a_function_of_sums() -> None:
    """Samples scored together are scored as each by itself; the bootstrap relies on it."""
    rng = np.random.default_rng(0)
    widths = {
        count_binary: 4,
        count_by_label: 9,
        count_frames: 5,
        count_deviations: 5,
        count_ranks: 5,
        count_sets: 10,
        count_gains: 4,
    }
    for kind in base.kinds_of_answers():
        for name, metric in metrics_of([kind]).items():
            width = widths.get(metric.count, 3)
            sums = rng.integers(1, 9, size=(4, 2, width)).astype(float)
            each = [[float(metric.score(row, 20)) for row in rows] for rows in sums]
            assert metric.score(sums, 20) == pytest.approx(np.array(each)), (kind, name)


def test_sums_are_added_item_by_item() -> None:
    """As the official scripts add them; numpy's pairwise sum has another last digit."""
    counts = np.random.default_rng(1).random((1000, 1))
    expected = 0.0
    for value in counts[:, 0].tolist():
        expected += value
    assert total(counts).tolist() == [expected] != [float(counts[:, 0].sum())]


def test_every_task_of_the_library_says_what_it_is_scored_by() -> None:
    kinds = {name: main_metric(task).of for name, task in all_tasks().items() if task.scored_as}
    assert kinds["bucc2018"] == "pairs"
    assert kinds["tatoeba"] == kinds["xnli"] == kinds["copa"] == "labels"
    assert (kinds["udpos"], kinds["panx"], kinds["ccg"]) == ("tag runs", "entities", "words")
    assert (kinds["xquad"], kinds["mlqa"], kinds["squad2"]) == ("answers", "MLQA answers", "answers or none")
