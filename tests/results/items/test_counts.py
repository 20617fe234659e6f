"""Counts: whatever sample is drawn of the items, its score is the one that the official metric gives."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from stilts.data.prepare import CANDIDATES, EVERY, Catalog
from stilts.data.tables import read_table
from stilts.evaluate.candidates import Pool
from stilts.evaluate.gold import gold_of
from stilts.experiment.data import DataDecl, TaskSource
from stilts.results.items.counts import items_of
from stilts.tasks.base import Task, get_task
from stilts.tasks.schema import CLASSIFICATION, PROPOSITIONS, SPAN_QA
from stilts.tasks.score import main_number, score

REAL = [
    ("xnli", "de"), ("pawsx", "fr"), ("xcopa", "sw"), ("panx", "de"), ("udpos", "zh"), ("xquad", "zh"),
    ("mlqa", "de"), ("tydiqa", "sw"), ("tatoeba", "af"), ("bucc2018", "zh"),
]  # fmt: skip


@pytest.fixture(scope="module")
def catalog(xtreme_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    data = DataDecl(
        xtreme=str(xtreme_mini / "xtreme"),
        labels=str(xtreme_mini / "labels"),
        tasks={
            "ccg": TaskSource(dev=str(xtreme_mini / "xtreme/udpos/dev-en.tsv")),
            "udparse": TaskSource(dev=str(xtreme_mini / "intermediate/ud_ewt/en_ewt-ud-dev.conllu")),
            "qqp": TaskSource(dev=str(xtreme_mini / "xtreme/pawsx/dev-en.tsv")),
        },
    )
    return Catalog(data, tmp_path_factory.mktemp("data"))


def examples(catalog: Catalog, task: str, split: str, language: str) -> pa.Table:
    return read_table(catalog.root / catalog.ref(get_task(task), split, language).path)


def damaged(task: Task, gold: Any, rng: random.Random) -> Any:
    """Predictions that are right more often than not."""

    def other(right: Any, choices: Any) -> Any:
        return rng.choice(choices) if rng.random() < 0.3 else right

    if task.family == "span_qa":
        return {id_: other(texts[0], ["", "the", texts[-1].split(" ")[0]]) for id_, texts in gold.items()}
    if task.family == "dual_encoder":
        names = sorted({name for right in gold.values() for name in right})
        return {id_: list(dict.fromkeys([*rng.sample(names, 3), *right[:1]])) for id_, right in gold.items()}
    if task.name == "bucc2018":
        english = sorted(pair[1] for pair in gold)
        return {(foreign, other(right, english)) for foreign, right in gold if rng.random() < 0.8}
    if isinstance(gold[0], list):
        words = sorted({word for sentence in gold for word in sentence})
        return [[other(word, words) for word in sentence] for sentence in gold]
    labels = sorted(set(map(str, gold)))
    return [other(str(right), labels) for right in gold]


def drawn(predictions: Any, gold: Any, ids: list[str], draw: Any) -> tuple[Any, Any]:
    """The predictions and the gold of a sample of the items, each as often as it was drawn."""
    if isinstance(gold, set):
        both: list[set[tuple[str, str]]] = [set(), set()]
        for place, row in enumerate(draw):
            for found, pairs in zip(both, (predictions, gold), strict=True):
                found |= {(f"{place}", english) for foreign, english in pairs if foreign == ids[row]}
        return both[0], both[1]
    if isinstance(gold, dict):
        names = list(gold)
        right = {str(place): gold[names[row]] for place, row in enumerate(draw)}
        ours = {str(place): predictions.get(names[row]) for place, row in enumerate(draw)}
        return {id_: answer for id_, answer in ours.items() if answer is not None}, right
    return [predictions[row] for row in draw], [gold[row] for row in draw]


def check(task: Task, language: str, table: pa.Table, pool: pa.Table | None = None) -> None:
    rng = random.Random(f"{task.name} {language}")
    gold, items = gold_of(task, table, None if pool is None else Pool(pool)), items_of(task, language, table, pool)
    assert items is not None
    predictions = damaged(task, gold, rng)
    if isinstance(predictions, dict):
        predictions.pop(next(iter(predictions)))  # a question without an answer scores 0
    counts = items.count(predictions)
    whole = main_number(task, score(task, language, predictions, gold))
    assert len(counts) == items.size
    assert 5 < whole < 95
    assert float(items.score(counts.mean(axis=0))) == pytest.approx(whole, abs=1e-9)
    ids = table.filter(pc.equal(table["side"], "foreign"))["id"].to_pylist() if task.name == "bucc2018" else []
    some = sorted(range(items.size), key=lambda row: -int(counts[row].any()))[:200]
    for _ in range(3):
        draw = rng.choices(some, k=len(some))
        sample = score(task, language, *drawn(predictions, gold, ids, draw))
        assert float(items.score(counts[draw].mean(axis=0))) == pytest.approx(main_number(task, sample), abs=1e-9)


@pytest.mark.parametrize(("task", "language"), REAL)
def test_every_sample_has_its_official_score(catalog: Catalog, task: str, language: str) -> None:
    check(get_task(task), language, examples(catalog, task, "test", language))


@pytest.mark.parametrize("task", ["ccg", "udparse", "qqp"])
def test_so_have_tasks_that_are_not_of_xtreme(catalog: Catalog, task: str) -> None:
    check(get_task(task), "en", examples(catalog, task, "dev", "en"))


def test_so_have_rankings(catalog: Catalog) -> None:
    pool = examples(catalog, "lareqa", CANDIDATES, EVERY)
    check(get_task("lareqa"), "en", examples(catalog, "lareqa", "test", "en"), pool)


def test_arguments_are_counted_by_proposition() -> None:
    tags = [["B-A0", "B-V", "B-A1", "I-A1"], ["B-V", "B-A1", "O", "B-C-A1"], ["B-A0", "B-V", "B-A1", "O"]] * 20
    columns = [[str(i) for i in range(60)], [["w"] * 4] * 60, [0] * 60, tags]
    check(get_task("srl"), "en", pa.table(columns, schema=PROPOSITIONS))


def test_of_squad_2_an_empty_answer_can_be_right() -> None:
    answers = [[], [{"text": "the old mill", "start": 0}]]
    table = pa.table([["a", "b"], ["old mill"] * 2, ["what?"] * 2, answers], schema=SPAN_QA)
    items = items_of(get_task("squad2"), "en", table)
    assert items is not None
    scores = [float(items.score(row)) for row in items.count({"a": "", "b": "mill"})]
    assert scores == pytest.approx([100, (0 + 200 / 3) / 2])


def test_examples_without_gold_have_no_items() -> None:
    pairs = pa.table([["0"], ["a"], ["b"], [-1]], schema=CLASSIFICATION)
    assert items_of(get_task("xnli"), "de", pairs) is None


@pytest.mark.parametrize("task", ["xnli", "udpos"])
def test_predictions_of_fewer_items_are_refused(catalog: Catalog, task: str) -> None:
    table = examples(catalog, task, "test", "zh")
    items = items_of(get_task(task), "zh", table)
    assert items is not None
    with pytest.raises(ValueError, match=r"\d+ predictions, and \d+ examples"):
        items.count(gold_of(get_task(task), table[:-1]))


def test_pairs_of_another_corpus_are_refused(catalog: Catalog) -> None:
    items = items_of(get_task("bucc2018"), "zh", examples(catalog, "bucc2018", "test", "zh"))
    assert items is not None
    with pytest.raises(ValueError, match="'de-1' is no sentence of the foreign corpus"):
        items.count({("de-1", "en-1")})
