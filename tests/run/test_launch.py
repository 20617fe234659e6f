"""The beginning and the end of a run, where nothing is left to train: no cluster is started."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from stilts.ledger.record import stage_path
from stilts.run.launch import launch
from stilts.session import Session
from stilts.storage.local import LocalStore
from tests.ledger.test_clean import experiment, finish


def weights(session: Session) -> set[str]:
    return {
        node.slug for node in session.expansion.graph if list(session.store.list(f"{stage_path(node.name)}/weights"))
    }


def run(session: Session) -> tuple[str, dict[str, str]]:
    console = Console(file=io.StringIO(), width=300)
    result = launch(session, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue(), dict(result.weights)


@pytest.mark.parametrize("keep", ["none", "intermediate", "all"])
def test_what_an_interrupted_run_left_goes_with_the_next(tmp_path: Path, keep: str) -> None:
    """Everything was trained and evaluated, and the driver was killed before it could drop any weights."""
    session = experiment(LocalStore(tmp_path / "store"), tmp_path, keep=keep)
    finish(session, tmp_path, leaves=True)
    every = weights(session)
    said, fates = run(session)
    assert "nothing to train" in said
    feeds = {node.slug for node in session.expansion.graph if node.children}
    assert weights(session) == {"none": set(), "intermediate": feeds, "all": every}[keep]
    dropped = len(every) - len(weights(session))
    assert (f"weights dropped of {dropped} stages, kept of {len(weights(session))} (runtime.keep: {keep})" in said) is (
        dropped > 0
    )
    assert sorted(fates.values()) == ["dropped"] * dropped + ["kept"] * len(weights(session))
    assert "dropped" not in run(session)[0]


def test_weights_that_another_experiment_needs_stay(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path, keep="none")
    finish(session, tmp_path, leaves=True)
    other = experiment(store, tmp_path, "two", "[none, hellaswag]", "[tatoeba, xnli]", keep="all")
    said = run(session)[0]
    assert "weights of 4 stages that runtime.keep: none would drop are kept" in said
    assert f"need them: {other.declaration};" in said
    assert weights(session) == {"xlm-roberta", "xlm-roberta-hellaswag-s1", "xlm-roberta-xnli-s1"} | {
        "xlm-roberta-hellaswag-xnli-s1"
    }


def test_why_no_weights_were_dropped_is_told(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    store.write("experiments/old/0123456789ab.yaml", b"name: old\n")
    assert "no weights were dropped: an older stilts has declared old/0123456789ab" in run(session)[0]
