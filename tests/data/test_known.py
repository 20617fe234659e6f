"""Recorded answers of the catalog, with which a machine without the data makes the same plan."""

import json
from pathlib import Path

import pytest

from stilts.data.known import KnownData, local_sources, sources_are_elsewhere
from stilts.data.prepare import Catalog
from stilts.errors import StiltsError
from stilts.experiment.data import DataDecl, TaskSource
from stilts.tasks.base import get_task


def _declare(folder: Path) -> DataDecl:
    return DataDecl(tasks={"xnli": TaskSource(train=f"{folder}/train.tsv", test=f"{folder}/test-{{lang}}.tsv")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "test-en", "test-sw"):
        (folder / f"{name}.tsv").write_text("a man sleeps\ta man rests\tentailment\n")
    return folder


def test_recorded_answers_replace_the_data(folder: Path, tmp_path: Path) -> None:
    xnli = get_task("xnli")
    here = KnownData(Catalog(_declare(folder), tmp_path / "store"))
    asked = [("train", "en"), ("test", "sw")]
    refs = [here.ref(xnli, *place) for place in asked]
    assert [here.has(xnli, "test", language) for language in ("sw", "de")] == [True, False]
    recorded = json.loads(json.dumps(here.answers))
    (folder / "train.tsv").unlink()

    there = KnownData(Catalog(_declare(tmp_path / "nothing"), tmp_path / "other"), recorded)
    assert [there.ref(xnli, *place) for place in asked] == refs
    assert [there.ref(xnli, *place).rows for place in asked] == [1, 1]
    assert [there.has(xnli, "test", language) for language in ("sw", "de")] == [True, False]


def test_without_a_recorded_answer_the_message_says_what_to_do(tmp_path: Path) -> None:
    known = KnownData(Catalog(_declare(tmp_path / "nothing"), tmp_path / "store"), {})
    with pytest.raises(StiltsError, match="does not know the test data of xnli in fr: run `stilts data prepare`"):
        known.ref(get_task("xnli"), "test", "fr")


def test_data_is_elsewhere_if_none_of_its_files_is_here(folder: Path, tmp_path: Path) -> None:
    assert list(local_sources(_declare(folder))) == [f"{folder}/train.tsv", f"{folder}/test-{{lang}}.tsv"]
    assert not sources_are_elsewhere(_declare(folder))
    (folder / "train.tsv").unlink()
    assert not sources_are_elsewhere(_declare(folder)), "the test files of some languages are here"
    assert sources_are_elsewhere(_declare(tmp_path / "nothing"))
    assert not sources_are_elsewhere(DataDecl()), "data of the hub has no files of its own"
