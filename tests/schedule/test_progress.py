"""What is told of a run: counts, the time left, and words for them."""

import pytest

from stilts.schedule.agenda import Agenda
from stilts.schedule.progress import (
    counts_of,
    duration,
    elsewhere,
    ended,
    facts,
    progress_of,
    remaining,
    summary,
    trained_by,
)


@pytest.fixture
def agenda() -> Agenda:
    return Agenda({"a": None, "b": "a", "c": None}, {"a": 10.0, "b": 20.0, "c": 10.0}, max_retries=1)


def test_the_summary_counts(agenda: Agenda) -> None:
    agenda.take()
    agenda.finish("a", "failed")
    agenda.take()
    assert summary(counts_of(agenda)) == "0 of 3 done, 1 running, 1 failed, 1 not run"


def test_the_time_left_is_scaled_by_what_is_done(agenda: Agenda) -> None:
    assert remaining(agenda, 1, {}) is None
    agenda.take()
    agenda.finish("a", "done", seconds=20.0)  # twice the estimate
    agenda.take(), agenda.take()
    assert remaining(agenda, 1, {"b": 10.0}) == pytest.approx(30 + 20)
    assert remaining(agenda, 2, {"b": 10.0}) == pytest.approx(30)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.44, "8.4 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (3600 * 76, "3 d 4 h")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_was_reported_in_words() -> None:
    reported = {"step": 12, "steps": 40, "loss": 1.2034, "tokens_per_second": 8120.4, "eta": 35.0}
    assert ", ".join(facts(reported)) == "step 12/40, loss 1.203, 8,120 tokens/s, 35.0 s left"
    assert ", ".join(facts({"phase": "evaluating xnli/de", "step": 1, "steps": 15})) == "evaluating xnli/de 1/15"
    assert facts({}) == ["starting"]
    gpu = {"step": 1, "gpu_use": 97.4, "gpu_memory": 12.3e9, "gpu_memory_total": 80e9}
    assert facts(gpu) == ["step 1", "GPU 97%, 12.3/80.0 GB"]


def test_failures_are_named_with_their_reasons() -> None:
    agenda = Agenda({name: None for name in "abcd"})
    for _ in range(4):
        agenda.take()
    agenda.finish("a", "done")
    agenda.finish("b", "failed", "bad data\nin line 7")
    agenda.finish("c", "diverged", "the loss is nan")
    agenda.finish("d", "diverged", "the loss is inf")
    assert progress_of(agenda, 1.0, ()).failures == {
        "b": "failed: bad data",
        "c": "diverged: the loss is nan",
        "d": "diverged: the loss is inf",
    }
    assert ended(agenda) == "1 of 4 done, 1 failed: b: bad data, 2 diverged: c: the loss is nan and 1 more"


def test_who_trains_what_this_run_waits_for() -> None:
    agenda = Agenda({name: None for name in "abcdef"})
    assert trained_by(elsewhere(agenda)) == ""
    agenda.leased = {"a": "one (process 1)", "b": "one (process 1)", "c": "two (process 2)"}
    assert trained_by(elsewhere(agenda)) == "2 stages are trained by one (process 1), 1 by two (process 2)"
    agenda.conclude("a", "done", "")
    agenda.conclude("b", "done", "")
    assert trained_by(elsewhere(agenda)) == "1 stage is trained by two (process 2)"
    many = {f"host (process {n})": 1 for n in range(5)}
    assert trained_by(many).endswith(", 2 by others")
