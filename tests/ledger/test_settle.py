"""Settle: what no declaration needs goes, what one needs stays, and after a kill at any moment the next one ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stilts.ledger.garbage import find_garbage
from stilts.ledger.needs import CLEANING, declarations
from stilts.ledger.record import read_stage, stage_path, write_stage
from stilts.ledger.settle import settle
from stilts.session import Session
from stilts.storage.lease import Lease
from stilts.storage.protocol import Store
from tests.ledger.test_clean import EVERYWHERE, HERE, SLOWLY_ELSEWHERE, experiment, finish


def weights(session: Session) -> set[str]:
    """Names of the stages of an experiment that have weights."""
    names = (node.name for node in session.expansion.graph)
    return {name for name in names if list(session.store.list(f"{stage_path(name)}/weights"))}


def feeding(session: Session) -> set[str]:
    return {node.name for node in session.expansion.graph if node.children}


def score(session: Session, scores: dict[str, float | None]) -> None:
    """Write dev scores into the records of stages, by the beginning of their names."""
    for name in (node.name for node in session.expansion.graph):
        for begin, dev in scores.items():
            if name.startswith(begin):
                record = read_stage(session.store, name)
                assert record is not None
                write_stage(session.store, name, {**record, "dev": {"score": dev}})


@EVERYWHERE
def test_weights_that_keep_drops_go_and_a_second_time_nothing_does(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    leaves = weights(session) - feeding(session)
    settled = settle(store, "one")
    assert settled is not None
    assert set(settled.dropped) == leaves != set()
    assert weights(session) == feeding(session)
    again = settle(store, "one")
    assert again is not None
    assert again.dropped == ()
    assert set(again.kept_for) == feeding(session)
    assert session.plan(verify=True).jobs == {}
    assert find_garbage(store).items == []


@EVERYWHERE
def test_keep_none_leaves_what_another_experiment_counts_on(store: Store, tmp_path: Path) -> None:
    """Both in either order: one that is complete, and one that has yet to train stages that start from the same."""
    one = experiment(store, tmp_path, targets="[xnli]", keep="none")
    finish(one, tmp_path, leaves=True)
    two = experiment(store, tmp_path, "two", targets="[udpos]", keep="none")
    shared = {node.name for node in one.expansion.graph} & feeding(two)
    assert len(shared) == 2
    settle(store, "one")
    assert weights(one) == shared
    finish(two, tmp_path, leaves=True)
    settle(store, "two")
    assert weights(two) == set()


@HERE
def test_only_the_experiment_that_is_named_is_looked_at(store: Store, tmp_path: Path) -> None:
    one = experiment(store, tmp_path, targets="[xnli]")
    two = experiment(store, tmp_path, "two", targets="[udpos]")
    finish(one, tmp_path, leaves=True)
    finish(two, tmp_path, leaves=True)
    settle(store, "two")
    assert weights(one) > feeding(one)
    assert weights(two) == feeding(two)


@HERE
def test_stages_of_an_earlier_declaration_of_the_experiment_are_looked_at(store: Store, tmp_path: Path) -> None:
    """A run was interrupted, and the experiment changed before the next one."""
    earlier = experiment(store, tmp_path, targets="[xnli]")
    finish(earlier, tmp_path, leaves=True)
    experiment(store, tmp_path, targets="[udpos]")
    settle(store, "one")
    assert weights(earlier) == feeding(earlier)


@HERE
def test_a_stage_that_somebody_works_on_is_left_alone(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    leaf = min(weights(session) - feeding(session))
    with Lease(store, stage_path(leaf)):
        settle(store, "one")
        assert weights(session) == {*feeding(session), leaf}
    settle(store, "one")
    assert weights(session) == feeding(session)


@HERE
def test_the_resume_state_of_a_stage_that_is_done_goes_and_that_of_others_stays(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path)
    done, waiting = [node.name for node in session.expansion.graph if not node.is_base][:2]
    for name in (done, waiting):
        store.write(f"{stage_path(name)}/resume/state.json", b"{}")
    store.remove(f"{stage_path(waiting)}/record.json")
    settle(store, "one")
    assert not list(store.list(f"{stage_path(done)}/resume"))
    assert store.read(f"{stage_path(waiting)}/resume/state.json") == b"{}"


@HERE
def test_it_does_not_wait_where_it_shall_not(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    with Lease(store, CLEANING):
        assert settle(store, "one", wait=False) is None
    settled = settle(store, "one", wait=False)
    assert settled is not None
    assert settled.dropped


@HERE
@pytest.mark.parametrize("content", [b"{", b'{"schema": 99}'])
def test_nothing_goes_while_the_needs_of_a_declaration_are_not_known(
    store: Store, tmp_path: Path, content: bytes
) -> None:
    session = experiment(store, tmp_path)
    finish(session, tmp_path, leaves=True)
    before = weights(session)
    store.write("experiments/other/0123456789ab.json", content)
    settled = settle(store, "one")
    assert settled is not None
    assert settled.kept_because is not None
    assert "other/0123456789ab" in settled.kept_because
    assert weights(session) == before


# --- keep: best --------------------------------------------------------------------------------------------

GRID = {"intermediates": "[none, hellaswag]", "targets": "[xnli, udpos]", "keep": "best"}


def kept_best(session: Session, tmp_path: Path, *scores: float | None) -> set[str]:
    """Leaves of GRID whose weights stay, given the dev scores of xnli and udpos, each without and with hellaswag."""
    finish(session, tmp_path, leaves=True)
    leaves = ("xnli", "hellaswag-xnli", "udpos", "hellaswag-udpos")
    score(session, {f"xlm-roberta-{leaf}": dev for leaf, dev in zip(leaves, scores, strict=True)})
    settle(session.store, "one")
    kept = {name.rpartition("-")[0] for name in weights(session) - feeding(session)}
    return {name.removeprefix("xlm-roberta-") for name in kept}


@EVERYWHERE
def test_the_best_stage_of_each_target_is_kept(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path, **GRID)
    assert kept_best(session, tmp_path, 60, 70, 80, 75) == {"hellaswag-xnli-s1", "udpos-s1"}
    assert session.plan(verify=True).jobs == {}


@HERE
def test_of_equal_scores_the_first_cell_is_kept_and_what_has_no_score_stays(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path, **GRID)
    assert kept_best(session, tmp_path, 60, 60, 80, None) == {"xnli-s1", "udpos-s1", "hellaswag-udpos-s1"}


@HERE
def test_the_best_so_far_stays_while_stages_of_its_group_are_missing(store: Store, tmp_path: Path) -> None:
    session = experiment(store, tmp_path, **{**GRID, "targets": "[xnli]"})
    finish(session, tmp_path, leaves=True)
    score(session, {"xlm-roberta-xnli": 60, "xlm-roberta-hellaswag-xnli": 70})
    late = next(node.name for node in session.expansion.graph if node.name.startswith("xlm-roberta-hellaswag-xnli"))
    record = store.read(f"{stage_path(late)}/record.json")
    store.remove(f"{stage_path(late)}/record.json")
    settle(store, "one")
    assert {name.rpartition("-")[0] for name in weights(session) - feeding(session)} >= {"xlm-roberta-xnli-s1"}
    store.write(f"{stage_path(late)}/record.json", record or b"")
    settle(store, "one")
    assert weights(session) - feeding(session) == {late}


@HERE
def test_getting_dropped_weights_back_is_planned_as_training(store: Store, tmp_path: Path) -> None:
    """`keep: intermediate` has dropped them; `keep: best` wants those of the best, `keep: all` of all."""
    dropped = experiment(store, tmp_path)
    finish(dropped, tmp_path)
    score(
        dropped,
        {
            "xlm-roberta-xnli": 60,
            "xlm-roberta-hellaswag-xnli": 70,
            "xlm-roberta-udpos": 80,
            "xlm-roberta-hellaswag-udpos": 75,
        },
    )
    assert dropped.plan().figures["to_train"] == 0
    best = experiment(store, tmp_path, "best", keep="best").plan()
    assert {job.name.rpartition("-")[0] for job in best.jobs.values()} == {
        "xlm-roberta-hellaswag-xnli-s1",
        "xlm-roberta-udpos-s1",
    }
    assert (best.figures["to_train"], best.figures["to_train_again"]) == (2, 2)
    every = experiment(store, tmp_path, "all", keep="all").plan().figures
    assert (every["to_train"], every["to_train_again"], every["keeps_weights"]) == (4, 4, every["stages"])


# --- kills -------------------------------------------------------------------------------------------------

_SETTLER = """
import os, signal, sys
from stilts.ledger.settle import settle
from stilts.storage.open import open_store
store = open_store(sys.argv[1])
writes = int(sys.argv[2])
def counted(function):
    def call(*arguments):
        global writes
        if writes == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        writes -= 1
        return function(*arguments)
    return call
for name in ("write", "create", "remove"):
    setattr(store, name, counted(getattr(store, name)))
settle(store, "one")
"""
"""Dies when it has written or removed so many times and is about to do it once more."""


@SLOWLY_ELSEWHERE
def test_a_kill_at_every_write_loses_nothing_that_is_needed(store: Store, tmp_path: Path) -> None:
    """After each, the next settle does the rest. The leases of a killed process of this machine are free at once."""
    session = experiment(store, tmp_path, intermediates="[none]", targets="[xnli, udpos]")
    other = experiment(store, tmp_path, "other", "[none]", "[udpos]", keep="all")
    kept = feeding(session) | {node.name for node in other.expansion.graph}
    for writes in range(60):
        finish(session, tmp_path, leaves=True)
        for name in {node.name for node in session.expansion.graph} - kept:
            store.put_tree(tmp_path / "made", f"{stage_path(name)}/weights")
        settler = subprocess.run(
            [sys.executable, "-c", _SETTLER, store.uri, str(writes)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            check=False,
        )
        assert weights(session) >= kept
        assert other.plan(verify=True).jobs == {}
        if settler.returncode == 0:
            assert writes > 5, "nothing was counted"
            break
        assert settler.returncode == -signal.SIGKILL
        settle(store, "one")
        assert weights(session) == kept
        assert session.plan(verify=True).jobs == {}
    assert weights(session) == kept
    assert all(declaration.needs is not None for declaration in declarations(store))
