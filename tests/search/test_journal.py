"""The study in the store: another machine reads what was written, and one writer at a time."""

import json
import resource
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage

from stilts.errors import StiltsError
from stilts.search.journal import StoreJournal
from stilts.search.study import open_study
from stilts.storage.protocol import Corrupt, Store
from tests.search.drivers import Driver, Open
from tests.search.studies import make_study
from tests.storage.conftest import elsewhere, gcs_endpoint, store

__all__ = ["gcs_endpoint", "store"]

FOLDER = "experiments/search/study"


def study(store: Store, name: str = "search") -> optuna.Study:
    storage = JournalStorage(StoreJournal(store, FOLDER))
    return optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)


@pytest.mark.parametrize("store", ["local", "s3", pytest.param("gcs", marks=pytest.mark.slow)], indirect=True)
def test_another_machine_reads_the_same_study(store: Store, tmp_path: Path) -> None:
    written = study(store)
    written.add_trials(make_study().get_trials())
    trial = written.ask()
    trial.suggest_float("learning_rate", 1e-5, 1e-3, log=True)
    trial.report(1.5, 10)
    trial.set_user_attr("stages", ["a", "b"])
    written.tell(trial, 2.0)
    read = study(elsewhere(store, tmp_path))
    assert read.get_trials() == written.get_trials()
    assert read.get_trials()[-1].user_attrs["stages"] == ["a", "b"]


@pytest.mark.parametrize("store", ["local", "s3"], indirect=True)
def test_two_drivers_do_not_write_to_one_study(store: Store) -> None:
    first, second = study(store), study(store)
    second.ask()
    with pytest.raises(StiltsError, match="another driver continues this search"):
        first.ask()
    assert len(study(store).get_trials()) == 1


@pytest.mark.parametrize("store", ["local"], indirect=True)
@pytest.mark.parametrize("content", [None, b"", b"{", b'{"schema": 1}', b'{"schema": 2, "logs": []}'])
def test_a_damaged_file_is_named(store: Store, content: bytes | None) -> None:
    study(store).ask()
    store.remove(f"{FOLDER}/1.json")
    if content is not None:
        store.write(f"{FOLDER}/1.json", content)
    with pytest.raises(Corrupt, match=rf"{FOLDER}/1\.json"):
        study(store)


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_a_full_disk_is_told_and_nothing_is_lost(store: Store) -> None:
    written = study(store)
    written.ask()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # every write of a file now fails with EFBIG
    try:
        with pytest.raises(StiltsError, match=r"(?s)full.*study/"):
            written.ask()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    written.ask()
    assert [trial.number for trial in study(store).get_trials()] == [0, 1]


def test_a_study_of_an_older_version_is_copied_from_the_results(search: Open) -> None:
    found = search()
    database = found.session.results / "study.db"
    database.parent.mkdir(parents=True)
    url = f"sqlite:///{database}"
    older = optuna.create_study(study_name="search", storage=url, direction="maximize")
    older.add_trials(make_study().get_trials())
    said: list[str] = []
    copied = open_study(found, said.append)
    assert [trial.state for trial in copied.get_trials()] == [trial.state for trial in older.get_trials()]
    assert [trial.params for trial in copied.get_trials()] == [trial.params for trial in older.get_trials()]
    assert "study.db" in said[0]
    open_study(found, said.append)
    assert len(said) == 1
    assert len(copied.get_trials()) == 5


def test_a_study_database_of_another_search_is_left_alone(search: Open) -> None:
    found = search()
    database = found.session.results / "study.db"
    database.parent.mkdir(parents=True)
    optuna.create_study(study_name="other", storage=f"sqlite:///{database}")
    assert open_study(found).get_trials() == []


def test_the_files_are_numbered_without_gaps(search: Open) -> None:
    driver = Driver(search())
    driver.offer()
    names = sorted(int(name.removesuffix(".json")) for name in driver.store.list(FOLDER))
    assert names == list(range(1, len(names) + 1))
    logs = [json.loads(driver.store.read(f"{FOLDER}/{number}.json") or b"")["logs"] for number in names]
    assert all(len(one) == 1 for one in logs)
