"""A search with its experiment and its store."""

from pathlib import Path

import pytest
from huggingface_hub import constants
from rich.console import Console

from stilts.errors import Problems, StiltsError
from stilts.search.launch import tune
from stilts.search.session import SearchSession
from stilts.session import Session
from tests.search.studies import SEARCH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "search.yaml"
    path.write_text(SEARCH.format(folder=tmp_path))
    return path


def test_the_study_lies_in_the_store(path: Path) -> None:
    assert SearchSession.open(path).study == "experiments/search/study"


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


def test_a_name_of_a_revision_becomes_a_commit_that_the_store_keeps(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    named = "models.base.revision=refs/pr/2"
    reference = tmp_path / "cache" / "models--a--b" / "refs" / "refs" / "pr" / "2"
    reference.parent.mkdir(parents=True)
    for commit in ("a" * 40, "b" * 40):
        reference.write_text(commit)
        snapshot = tmp_path / "cache" / "models--a--b" / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text('{"model_type": "xlm-roberta"}')
        found = SearchSession.open(path, [named])
        assert found.session.experiment.models["base"].revision == "a" * 40
        found.session.declare()


def test_models_are_checked_before_the_first_trial(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Problems, match="refs/pr/3"):
        tune(SearchSession.open(path, ["models.base.revision=refs/pr/3"]), console=Console(quiet=True))
