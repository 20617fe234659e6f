"""Stages that start from a model in memory: the same files as from the store, and the store where there is a doubt."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from stilts.errors import StiltsError
from stilts.identity.stage import StageSpec
from stilts.plan.job import StageJob
from stilts.run.stage import parents
from stilts.run.stage.parents import PARENTS
from stilts.run.stage.stage import run_stage
from stilts.session import Session
from stilts.train.ranks import Ranks
from tests.tiny import TINY

EXPERIMENT = (
    """\
name: chain
seeds: [1]
"""
    + TINY
    + """\
    pretrain:
      - task: mlm
        recipe: {precision: bf16, max_steps: 2, batch_size: 8, max_length: 32}
      - task: mlm
        recipe: {max_steps: 2, batch_size: 8, max_length: 32}
intermediates: [none]
targets: [xnli]
recipe: {precision: fp32, max_steps: 2, batch_size: 8, max_length: 32, selection: last}
data: {generate: {languages: 1, sentences: 60}}
runtime: {engine: ENGINE}
"""
)
Run = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    PARENTS.clear()
    yield
    PARENTS.clear()


def _jobs(folder: Path, engine: str = "torch") -> list[StageJob]:
    """The jobs of the chain, from the base to the target, without evaluations; their data is in the store."""
    folder.mkdir(exist_ok=True)
    (folder / "chain.yaml").write_text(EXPERIMENT.replace("ENGINE", engine) + f"store: {folder / 'store'}\n")
    session = Session.open(folder / "chain.yaml")
    session.prepare()
    return [replace(job, evaluations=()) for job in session.plan().jobs.values()]


def _run(jobs: list[StageJob], ranks: Ranks, before: Callable[[StageJob], Any]) -> dict[str, Any]:
    """Run the jobs; returns the manifest of the weights of each."""
    found = {}
    for job in jobs:
        before(job)
        run_stage(job, ranks, lambda report: None)
        found[job.name] = json.loads((Path(job.store) / "stages" / job.name / "record.json").read_text())["weights"]
    return found


def _weights(job: StageJob) -> Path:
    assert job.parent is not None
    return Path(job.store) / "stages" / job.parent / "weights"


def _damage_parent(job: StageJob) -> None:
    """Take the files of a trained parent away: nobody can read them."""
    if job.parent is not None and (_weights(job) / "head.json").is_file():
        for file in _weights(job).iterdir():
            file.unlink()


@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_children_are_the_same_with_and_without_their_parents_in_memory(
    engine: str, tmp_path: Path, ranks: Ranks
) -> None:
    plain = _run(_jobs(tmp_path / "plain", engine), ranks, lambda job: PARENTS.clear())
    kept = _run(_jobs(tmp_path / "kept", engine), ranks, _damage_parent)
    assert len(plain) == 4
    assert kept == plain  # names, which hold the keys, and digests of all files


def test_a_parent_whose_files_are_not_those_that_were_kept_is_read_from_the_store(tmp_path: Path, ranks: Ranks) -> None:
    jobs = _jobs(tmp_path)
    _run(jobs[:-1], ranks, lambda job: None)
    record = _weights(jobs[-1]).parent / "record.json"
    stored = json.loads(record.read_text())
    stored["weights"]["config.json"]["sha256"] = "0" * 64
    record.write_text(json.dumps(stored))
    with pytest.raises(StiltsError, match="not what was written"):
        run_stage(jobs[-1], ranks, lambda report: None)


@pytest.mark.parametrize("share", ["memory", "size"])
def test_nothing_is_kept_where_memory_is_short(
    share: str, tmp_path: Path, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = _jobs(tmp_path)
    trained = next(number for number, job in enumerate(jobs) if isinstance(job.spec, StageSpec))
    _run(jobs[: trained + 1], ranks, lambda job: None)
    if share == "memory":
        monkeypatch.setattr(parents, "FREE", 1.0)
    else:
        PARENTS.clear()
        monkeypatch.setattr(parents, "SHARE", 1 / psutil.virtual_memory().total)
        _run(jobs[trained + 1 : trained + 2], ranks, lambda job: None)
        trained += 1
    _damage_parent(jobs[trained + 1])
    with pytest.raises(StiltsError, match="missing"):
        run_stage(jobs[trained + 1], ranks, lambda report: None)


def test_what_no_stage_starts_from_is_not_kept(tmp_path: Path, ranks: Ranks) -> None:
    jobs = _jobs(tmp_path)
    _run(jobs, ranks, lambda job: None)
    assert [name for _, name in PARENTS._kept] == [job.name for job in jobs if job.needed][1:]
    assert len(PARENTS._kept) == parents.KEPT
