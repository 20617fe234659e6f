"""Names of hub revisions become commits once, and stay what they were."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from stilts.experiment.experiment import Experiment
from stilts.ledger.revisions import pin_revisions, record_revisions
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store


def declared(revision: str) -> Experiment:
    fields = {
        "name": "test",
        "seeds": [1],
        "models": {"a": {"hub": "some/model", "revision": revision}},
        "intermediates": ["none"],
        "targets": ["xnli"],
    }
    return Experiment.model_validate_json(json.dumps(fields))


def point(cache: Path, name: str, commit: str) -> None:
    """Let a name point to a commit in the Hugging Face cache."""
    model = cache / "models--some--model"
    (model / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
    (model / "refs" / name).write_text(commit)
    (model / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
    (model / "snapshots" / commit / "config.json").write_text("{}")


def test_a_name_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    store = open_store(str(tmp_path / "store"))
    assert isinstance(store, LocalStore)
    experiment = declared("refs/pr/2")
    assert pin_revisions(experiment, store) == experiment, "nobody knows the commit: it can be planned by its name"
    point(tmp_path / "cache", "refs/pr/2", "a" * 40)
    pinned = pin_revisions(experiment, store)
    assert pinned.models["a"].revision == "a" * 40
    record_revisions(experiment, pinned, store)
    point(tmp_path / "cache", "refs/pr/2", "b" * 40)
    assert pin_revisions(experiment, store).models["a"].revision == "a" * 40, "the name has moved since"
    again = pinned.model_copy(update={"models": {"a": pinned.models["a"].model_copy(update={"revision": "b" * 40})}})
    record_revisions(experiment, again, store)
    assert pin_revisions(experiment, store).models["a"].revision == "a" * 40, "what was recorded first stays"


def test_a_commit_stays_as_it_is(tmp_path: Path) -> None:
    experiment = declared("c" * 40)
    assert pin_revisions(experiment, open_store(str(tmp_path))) is experiment
