"""A search with its experiment and its store."""

from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.search.session import SearchSession
from stilts.session import Session
from tests.search.studies import SEARCH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "search.yaml"
    path.write_text(SEARCH.format(folder=tmp_path))
    return path


def test_the_study_lies_beside_the_results_unless_the_search_names_a_database(path: Path) -> None:
    found = SearchSession.open(path)
    assert found.study == f"sqlite:///{found.session.results.resolve()}/study.db"
    assert SearchSession.open(path, ["search.study=mysql://host/db"]).study == "mysql://host/db"


def test_a_configuration_has_a_session_of_its_own_in_the_same_store(path: Path) -> None:
    found = SearchSession.open(path)
    configuration = found.subject.configure({"learning_rate": 1e-4, "batch_size": 16})
    session = found.of(configuration)
    assert isinstance(session, Session)
    assert session.store is found.session.store
    assert set(configuration.stages) <= set(session.expansion.graph.nodes)
    assert not set(configuration.stages) & set(found.session.expansion.graph.nodes)


def test_mistakes_of_the_search_are_found_when_it_is_opened(path: Path) -> None:
    with pytest.raises(StiltsError, match="selection: last"):
        SearchSession.open(path, ["recipe.selection=last"])
