"""Stages through the real machinery: Ray, Tune, gangs. Every stage function is light (see `stages`)."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.util import placement_group_table

from stilts.errors import StiltsError
from stilts.experiment.runtime import Runtime
from stilts.ledger.logs import stage_log
from stilts.plan.job import StageJob
from stilts.run.tune_adapter import searcher
from stilts.run.tune_adapter.execute import Outcome, execute
from stilts.schedule.agenda import StageOutcome
from stilts.storage.open import open_store

pytestmark = pytest.mark.usefixtures("local_ray")

MakeJob = Callable[..., StageJob]
BEHAVE = "stages:behave"


def traces(job: StageJob) -> list[tuple[str, int, int, list[float]]]:
    """(stage, rank, process, times) of every attempt at a stage, in the order of their starts."""
    found = []
    for path in Path(job.store).glob("*.*.*.*"):
        name, rank, process, _ = path.name.rsplit(".", 3)
        found.append((name, int(rank), int(process), [float(t) for t in path.read_text().split()]))
    return sorted(found, key=lambda trace: trace[3][0])


def assert_nothing_is_left(job: StageJob) -> None:
    assert {group["state"] for group in placement_group_table().values()} == {"REMOVED"}
    processes = {process for _, _, process, _ in traces(job)}
    deadline = time.monotonic() + 10
    while processes and time.monotonic() < deadline:
        processes = {process for process in processes if psutil.pid_exists(process)}
        time.sleep(0.1)
    assert not processes


class TestOneRank:
    """One run of a graph with every kind of end."""

    @pytest.fixture(scope="class")
    def jobs(self, make_job: MakeJob) -> list[StageJob]:
        return [
            make_job("ok-root"),
            *[make_job(f"ok-child{i}", "ok-root") for i in range(6)],
            make_job("fail-child", "ok-root"),
            make_job("ok-orphaned", "fail-child"),
            make_job("ok-orphaned-twice", "ok-orphaned"),
            make_job("diverge-root"),
            make_job("die-root"),
            make_job("fenced-child", "ok-root"),
            make_job("away-child", "ok-root"),
            make_job("ok-of-the-store", "not-in-this-run"),
        ]

    @pytest.fixture(scope="class")
    def outcome(self, jobs: list[StageJob]) -> Outcome:
        return execute(jobs, runtime=Runtime(accelerator="cpu"), stage_function=BEHAVE)

    def test_every_stage_ends_as_it_should(self, outcome: Outcome) -> None:
        ended = {name: stage.status for name, stage in outcome.stages.items()}
        bad = {
            "fail-child": "failed",
            "diverge-root": "diverged",
            "ok-orphaned": "not run",
            "ok-orphaned-twice": "not run",
        }
        assert ended == {name: bad.get(name, "done") for name in ended}
        assert not outcome.complete

    def test_parents_end_before_children_start(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        times = {name: times for name, _, _, times in traces(jobs[0])}
        for job in jobs:
            if job.name in times and job.parent in times:
                assert times[job.parent][1] <= times[job.name][0]

    def test_an_error_of_the_program_is_told_and_not_retried(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        failed = outcome.stages["fail-child"]
        assert failed.message == "ValueError: bad data in line 7"
        assert "in _fail" in failed.traceback
        assert failed.retries == 0
        assert outcome.stages["diverge-root"].message == "loss is NaN at step 3"
        tried = [name for name, *_ in traces(jobs[0])]
        assert tried.count("fail-child") == tried.count("diverge-root") == 1
        assert outcome.stages["ok-orphaned"].message == "fail-child is failed"

    def test_a_killed_rank_is_retried(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        assert outcome.stages["die-root"].retries == 1
        assert [trace[0] for trace in traces(jobs[0])].count("die-root") == 2

    def test_what_a_killed_rank_wrote_last_is_in_the_store_with_what_ray_says(
        self, outcome: Outcome, jobs: list[StageJob]
    ) -> None:
        log = stage_log(open_store(jobs[0].store), "die-root")
        (output,) = log.ranks
        assert "die-root says this on attempt 0" in output.text
        assert "a library says this of die-root" in output.text
        assert "ok-" not in output.text
        ray_says = output.text.partition("--- Ray ---")[2]
        assert "connection error code 2. End of file" in " ".join(ray_says.split())
        assert output.facts["pid"] == next(pid for name, _, pid, _ in traces(jobs[0]) if name == "die-root")
        assert output.facts["ray_node"] in {node["NodeID"] for node in ray.nodes()}

    def test_a_lost_lease_is_retried_and_not_counted_as_a_lost_process(self, outcome: Outcome) -> None:
        assert (outcome.stages["fenced-child"].status, outcome.stages["fenced-child"].retries) == ("done", 0)
        assert outcome.stages["fenced-child"].lost["lease"] == 1

    def test_a_store_that_was_away_counts_against_nothing(self, outcome: Outcome) -> None:
        stage = outcome.stages["away-child"]
        assert (stage.status, stage.retries, stage.lost["store"]) == ("done", 0, 2)

    def test_gangs_are_reused(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        children = {process for name, _, process, _ in traces(jobs[0]) if name.startswith("ok-child")}
        assert len(children) < 6

    def test_nothing_is_left(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        assert_nothing_is_left(jobs[0])


class TestTwoRanks:
    """Gangs of two, over gloo."""

    @pytest.fixture(scope="class")
    def jobs(self, make_job: MakeJob) -> list[StageJob]:
        return [
            make_job("reduce-first"),
            make_job("reduce-second", "reduce-first"),
            make_job("fail-pair", "reduce-second"),
            make_job("die-pair", "reduce-second"),
        ]

    @pytest.fixture(scope="class")
    def outcome(self, jobs: list[StageJob]) -> Outcome:
        return execute(jobs, runtime=Runtime(ranks=2, accelerator="cpu"), stage_function=BEHAVE)

    def test_ranks_reduce_and_the_warm_gang_again(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        assert outcome.stages["reduce-first"].status == outcome.stages["reduce-second"].status == "done"
        processes = {name: set() for name in ("reduce-first", "reduce-second")}
        for name, _, process, _ in traces(jobs[0]):
            if name in processes:
                processes[name].add(process)
        assert len(processes["reduce-first"]) == 2
        assert processes["reduce-first"] == processes["reduce-second"]

    def test_an_error_of_one_rank_ends_the_stage_while_the_other_works(self, outcome: Outcome) -> None:
        failed = outcome.stages["fail-pair"]
        assert (failed.status, failed.message) == ("failed", "ValueError: bad data in line 7")
        assert failed.seconds < 30

    def test_the_output_of_both_ranks_is_kept(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        for name in ("fail-pair", "die-pair"):
            ranks = stage_log(open_store(jobs[0].store), name).ranks
            assert [output.rank for output in ranks] == [0, 1]
            assert all(f"{name} says this on attempt 0" in output.text for output in ranks)

    def test_a_peer_that_dies_in_a_collective_is_a_loss_and_no_error_of_the_program(self, outcome: Outcome) -> None:
        assert (outcome.stages["die-pair"].status, outcome.stages["die-pair"].retries) == ("done", 1)

    def test_nothing_is_left(self, outcome: Outcome, jobs: list[StageJob]) -> None:
        assert_nothing_is_left(jobs[0])


def test_what_always_dies_fails_after_its_retries(make_job: MakeJob) -> None:
    job = make_job("always-dies")
    outcome = execute([job], runtime=Runtime(accelerator="cpu", max_retries=1), stage_function=BEHAVE)
    stage = outcome.stages["always-dies"]
    assert stage.status == "failed"
    assert "lost 2 times" in stage.message
    assert "rank 0 was lost" in stage.message


def test_a_run_that_can_never_start_says_so_at_once(make_job: MakeJob) -> None:
    with pytest.raises(StiltsError, match="one trial needs"):
        execute([make_job("ok-big")], runtime=Runtime(ranks=16, accelerator="cpu"), stage_function=BEHAVE)


def test_nothing_to_run_is_complete() -> None:
    assert execute([], runtime=Runtime()).complete


class Stopper:
    """Offers stages one after the other, and has those stopped that would never end."""

    def __init__(self, jobs: list[StageJob]) -> None:
        self.uri, self._jobs = jobs[0].store, list(jobs)
        self.ends: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def offer(self) -> StageJob | None:
        return self._jobs.pop(0) if self._jobs and len(self.ends) == self._begun else None

    @property
    def _begun(self) -> int:
        return 3 - len(self._jobs)

    def reported(self, stage: str, result: Mapping[str, Any]) -> bool:
        return stage.startswith("endless") and "step" in result

    def ended(self, stage: str, outcome: StageOutcome) -> None:
        self.ends[stage] = outcome.status


def test_a_source_offers_stages_and_has_them_stopped_while_their_gang_stays_warm(make_job: MakeJob) -> None:
    jobs = [make_job("endless-1"), make_job("endless-2"), make_job("ok-after")]
    source = Stopper(jobs)
    outcome = execute((), runtime=Runtime(accelerator="cpu"), source=source, stage_function=BEHAVE)
    ended = {"endless-1": "stopped", "endless-2": "stopped", "ok-after": "done"}
    assert source.ends == ended == {name: stage.status for name, stage in outcome.stages.items()}
    assert len({process for name, _, process, _ in traces(jobs[0]) if name in ended}) == 1
    assert_nothing_is_left(jobs[0])


class Killer(tune.Callback):
    """Kills the process of the trial itself, once: when its stage reports, or when it has ended and stays warm."""

    def __init__(self, stage: str, ended: bool, signal: int = signal.SIGKILL) -> None:
        self.stage, self.ended, self.signal = stage, ended, signal

    def on_trial_result(self, iteration: int, trials: list, trial: Trial, result: dict, **info: Any) -> None:
        if trial.config["stage"] == self.stage and (result["done"] if self.ended else "step" in result):
            self.stage = "none any more"
            os.kill(result["pid"], self.signal)


def test_a_killed_trial_is_retried_and_its_ranks_end(make_job: MakeJob) -> None:
    job = make_job("slow-once")
    killer = Killer(job.name, ended=False)
    outcome = execute([job], runtime=Runtime(accelerator="cpu"), callbacks=[killer], stage_function=BEHAVE)
    assert outcome.complete
    assert outcome.stages[job.name].retries == 1
    assert_nothing_is_left(job)


def test_a_warm_trial_that_died_meanwhile_costs_its_heir_one_retry(make_job: MakeJob) -> None:
    jobs = [make_job("ok-testator"), make_job("ok-heir", "ok-testator")]
    killer = Killer("ok-testator", ended=True)
    outcome = execute(jobs, runtime=Runtime(accelerator="cpu"), callbacks=[killer], stage_function=BEHAVE)
    assert outcome.complete
    assert outcome.stages["ok-heir"].retries == 1


@pytest.mark.slow
def test_a_trial_whose_own_process_is_frozen_is_killed_and_repeated(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "SILENT_SECONDS", 12.0)
    job = make_job("hang-once")
    freezer = Killer(job.name, ended=False, signal=signal.SIGSTOP)
    outcome = execute([job], runtime=Runtime(accelerator="cpu"), callbacks=[freezer], stage_function=BEHAVE)
    assert outcome.complete
    assert dict(outcome.stages[job.name].lost) == {"stalled": 1}
    assert_nothing_is_left(job)


@pytest.mark.slow
def test_a_frozen_rank_and_a_gang_that_hangs_are_noticed_and_their_stages_repeated(make_job: MakeJob) -> None:
    jobs = [make_job("freeze-pair"), make_job("hang-pair", "freeze-pair"), make_job("beat-pair", "hang-pair")]
    runtime = Runtime(ranks=2, accelerator="cpu", stall_seconds=3)
    outcome = execute(jobs, runtime=runtime, stage_function=BEHAVE)
    assert outcome.complete, outcome
    lost = {name: dict(stage.lost) for name, stage in outcome.stages.items()}
    assert lost == {"freeze-pair": {"stalled": 1}, "hang-pair": {"stalled": 1}, "beat-pair": {}}
    assert_nothing_is_left(jobs[0])


def test_an_idle_gang_lets_go(make_job: MakeJob) -> None:
    jobs = [make_job("ok-soon"), make_job("witness-1")]
    outcome = execute(jobs, runtime=Runtime(accelerator="cpu", idle_seconds=1), stage_function=BEHAVE)
    assert outcome.complete, outcome.stages["witness-1"]
