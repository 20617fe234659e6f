"""A stage whose store is a bucket, killed or drained in its training, continues where nothing of it is cached."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stilts.errors import StiltsError
from stilts.ledger.mark import mark_of
from stilts.ledger.record import read_stage
from stilts.plan.job import StageJob
from stilts.run.stage.stage import run_stage
from stilts.session import Session
from stilts.train import loop
from stilts.train.ranks import Preempted, Ranks
from tests.servers import s3_uri
from tests.test_main_job import EXPERIMENT

OVERRIDES = ["targets=[tatoeba]", "intermediates=[none]", "runtime.checkpoint_seconds=0.01"]

Report = Callable[[dict[str, Any]], None]


class Killed(Exception):
    pass


def prepared(folder: Path, store: str) -> tuple[Session, list[StageJob]]:
    """The experiment with its data in a store, and the jobs of its base model and its one stage."""
    folder.mkdir()
    (folder / "small.yaml").write_text(EXPERIMENT.format(store=store))
    session = Session.open(folder / "small.yaml", OVERRIDES)
    session.prepare()
    return session, list(session.plan().jobs.values())


def killer(session: Session, job: StageJob, at: int) -> Report:
    """Reports to this raise at a step, once the store has a resume state."""

    def report(progress: dict[str, Any]) -> None:
        if progress.get("step", 0) < at or "loss" not in progress:
            return
        deadline = time.monotonic() + 60
        while session.store.read(f"stages/{job.name}/resume/1/latest.json") is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        raise Killed

    return report


def test_training_goes_on_from_the_state_in_the_bucket(
    s3_endpoint: str, ranks: Ranks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0.0)
    undisturbed, jobs = prepared(tmp_path / "local", str(tmp_path / "store"))
    for job in jobs:
        run_stage(job, ranks, lambda progress: None)

    uri = s3_uri(s3_endpoint, "bucket/moves")
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "first"))
    session, (base, stage) = prepared(tmp_path / "s3", uri)
    run_stage(base, ranks, lambda progress: None)
    with pytest.raises(Killed):
        run_stage(stage, ranks, killer(session, stage, at=12))
    assert read_stage(session.store, stage.name) is None
    stored = json.loads(session.store.read(f"stages/{stage.name}/resume/1/latest.json") or b"")

    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "second"))
    steps: list[int] = []
    asked = replace(ranks, drain=threading.Event())

    def ask(progress: dict[str, Any]) -> None:
        if "loss" in progress:
            steps.append(progress["step"])
            if progress["step"] == 16:
                asked.drain.set()

    with pytest.raises(Preempted):
        run_stage(stage, asked, ask)
    assert steps[0] == stored["step"] + 1
    left = json.loads(session.store.read(f"stages/{stage.name}/resume/2/latest.json") or b"")
    assert left["step"] == steps[-1]  # not a step is lost

    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "third"))
    again: list[int] = []
    run_stage(stage, ranks, lambda progress: again.append(progress["step"]) if "loss" in progress else None)
    assert again[0] == left["step"] + 1
    assert not list(session.store.list(f"stages/{stage.name}/resume"))
    there, here = read_stage(undisturbed.store, stage.name), read_stage(session.store, stage.name)
    assert there is not None
    assert here is not None
    assert here["weights"] == there["weights"]  # digests: the same to the last bit
    assert session.plan().jobs == {}


def test_a_node_that_does_not_see_the_store_says_so_and_writes_nothing(ranks: Ranks, tmp_path: Path) -> None:
    session, (base, _) = prepared(tmp_path / "local", str(tmp_path / "store"))
    marked = replace(base, mark=mark_of(session.store))
    elsewhere = replace(marked, store=str(tmp_path / "elsewhere"))
    with pytest.raises(StiltsError, match=r"does not see the store: it finds nothing at .*all nodes mount"):
        run_stage(elsewhere, ranks, lambda progress: None)
    assert not (tmp_path / "elsewhere").exists()
    other, _ = prepared(tmp_path / "other", str(tmp_path / "elsewhere"))
    mark_of(other.store)
    with pytest.raises(StiltsError, match="it finds another store"):
        run_stage(elsewhere, ranks, lambda progress: None)
    run_stage(marked, ranks, lambda progress: None)
    assert read_stage(session.store, base.name) is not None
