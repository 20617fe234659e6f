"""Which items of different languages have the same key."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stilts.data.prepare import Catalog
from stilts.data.tables import read_table
from stilts.evaluate.gold import gold_of
from stilts.experiment.data import DataDecl
from stilts.results.items.counts import items_of
from stilts.results.items.keys import item_keys
from stilts.tasks.base import Task, get_task
from stilts.tasks.benchmarks import XTREME, XTREME_R
from stilts.tasks.families import get_family

PARALLEL = {"xnli", "pawsx", "xcopa", "xquad", "mlqa", "lareqa"}
OWN = {"tydiqa", "udpos", "panx", "tatoeba", "bucc2018", "mewslix"}


def test_every_target_is_known_to_be_translated_or_not() -> None:
    targets = set(XTREME.languages) | set(XTREME_R.languages)
    assert targets == PARALLEL | OWN
    assert {name for name in targets if get_task(name).parallel} == PARALLEL


def rows(task: Task, ids: list[str]) -> pa.Table:
    schema = get_family(task.family).schema
    return pa.table(
        [pa.array(ids) if field.name == "id" else pa.nulls(len(ids), field.type) for field in schema], schema=schema
    )


def test_items_of_a_parallel_task_are_known_by_their_ids() -> None:
    task = get_task("mlqa")
    english = item_keys(task, "en", rows(task, ["a", "b", "c"]), 3)
    german = item_keys(task, "de", rows(task, ["c", "d", "a"]), 3)
    assert german[[2, 0]].tolist() == english[[0, 2]].tolist()
    assert german[1] not in english


def test_rows_of_one_question_are_one_item() -> None:
    task = get_task("xquad")
    assert len(item_keys(task, "en", rows(task, ["a", "a", "b"]), 2)) == 2


def test_no_two_languages_of_another_task_share_a_key() -> None:
    task = get_task("udpos")
    table = rows(task, ["0", "1", "2"])
    keys = [item_keys(task, language, table, 3) for language in ("en", "de")]
    assert len(np.unique(np.concatenate(keys))) == 6
    assert np.array_equal(keys[0], item_keys(task, "en", table, 3))


def test_a_parallel_task_without_an_id_for_each_item_is_refused() -> None:
    task = replace(get_task("udpos"), parallel=True)
    with pytest.raises(ValueError, match="udpos is declared parallel, and has 3 ids for 2 items"):
        item_keys(task, "en", rows(task, ["0", "1", "2"]), 2)


@pytest.fixture(scope="module")
def catalog(xtreme_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    data = DataDecl(xtreme=str(xtreme_mini / "xtreme"), labels=str(xtreme_mini / "labels"))
    return Catalog(data, tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("name", "language", "least"),
    [("xnli", "sw", 1.0), ("pawsx", "zh", 0.98), ("xcopa", "th", 1.0), ("xquad", "zh", 1.0), ("mlqa", "de", 1.0)],
)
def test_items_with_one_key_are_translations_in_real_files(
    catalog: Catalog, name: str, language: str, least: float
) -> None:
    """Translations have the same label. Answers are not the same text, and their number is (PAWS-X: other labels)."""
    task, known = get_task(name), []
    for code in ("et" if name == "xcopa" else "en", language):
        table = read_table(catalog.root / catalog.ref(task, "test", code).path)
        items, gold = items_of(task, code, table), gold_of(task, table)
        assert items is not None
        assert gold is not None
        answers = [len(texts) for texts in gold.values()] if isinstance(gold, dict) else list(gold)
        known.append(dict(zip(item_keys(task, code, table, items.size).tolist(), answers, strict=True)))
    both = known[0].keys() & known[1].keys()
    assert len(both) >= (1 if name == "mlqa" else len(known[0]))
    assert sum(known[0][key] == known[1][key] for key in both) / len(both) >= least
