"""The checks of the chaos test find violations: overlapping attempts, changed records, other outcomes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import grid, report, trace
from tests.chaos.bout import differences
from tests.chaos.stores import Local


def line(time: float, attempt: str, event: str, step: int | None = None, **facts: Any) -> dict[str, Any]:
    return {
        **{"time": time, "event": event, "attempt": attempt, "store": "s", "stage": "a", "pid": 1, "rank": 0},
        **{"step": step, "phase": None},
        **facts,
    }


def steps(attempt: str, begin: float, first: int, last: int) -> list[dict[str, Any]]:
    """An attempt that enters, and makes a step a second."""
    made = [line(begin + i, attempt, "report", step) for i, step in enumerate(range(first, last + 1))]
    return [line(begin, attempt, "enter"), *made]


def test_two_holders_at_a_time_are_seen() -> None:
    """Also where the first one was paused and makes a single step when it wakes up."""
    after_each_other = [*steps("one", 0, 1, 5), *steps("two", 10, 4, 9)]
    assert trace.overlaps(trace.attempts(after_each_other, "s")) == []
    for late in (12.0, 100.0):
        woken = [*after_each_other, line(late, "one", "report", 6)]
        [said] = trace.overlaps(trace.attempts(woken, "s"))
        assert "made steps [6]" in said
    between = [
        *steps("one", 0, 1, 5),
        *steps("two", 10, 4, 9),
        *steps("three", 30, 9, 10),
        line(31, "one", "report", 6),
    ]
    assert len(trace.overlaps(trace.attempts(between, "s"))) == 2


def test_evaluations_are_no_steps() -> None:
    lines = [*steps("one", 0, 1, 5), line(20, "one", "report", 1, phase="evaluating xnli/en"), *steps("two", 10, 4, 9)]
    assert trace.overlaps(trace.attempts(lines, "s")) == []


def _rewrite(record: Path) -> None:
    aside = record.with_name("aside")
    aside.write_bytes(record.read_bytes())
    aside.rename(record)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_rewrite, "written again, with the same content"),
        (lambda record: record.write_text("{}"), "written again, with other content"),
        (lambda record: record.unlink(), "was there and is gone"),
        (lambda record: os.utime(record.parent), None),
    ],
)
@pytest.mark.parametrize(
    "name", ["record.json", "evaluations/xnli/test-en-0.record.json", "evaluations/xnli/test-en-0.tsv"]
)
def test_harm_to_a_record_is_seen(tmp_path: Path, harm: Callable[[Path], None], said: str | None, name: str) -> None:
    store = Local(tmp_path / "store")
    stage = Path(store.uri) / "stages" / "a"
    (stage / "evaluations" / "xnli").mkdir(parents=True)
    for file in ("record.json", "evaluations/xnli/test-en-0.record.json", "evaluations/xnli/test-en-0.tsv"):
        (stage / file).write_text(file)
    with store.ledger() as ledger:
        ledger.look()
        harm(stage / name)
    assert list(ledger.records) == ["a"]
    assert bool(ledger.violations) == (said is not None), ledger.violations
    assert all(said is not None and said in violation for violation in ledger.violations)


def test_a_store_out_of_reach_is_no_harm(tmp_path: Path) -> None:
    store = Local(tmp_path / "store")
    (Path(store.uri) / "stages" / "a").mkdir(parents=True)
    (Path(store.uri) / "stages" / "a" / "record.json").write_text("{}")
    with store.ledger() as ledger:
        ledger.look()
        store.cut()
        assert not Path(store.uri).exists()
        ledger.look()
        store.mend()
    assert ledger.violations == []
    assert store.residue() == []
    (Path(store.uri) / "stages" / "a" / "resume.old").mkdir()
    (Path(store.uri) / "stages" / "a" / ".aside-1").touch()
    assert len(store.residue()) == 2


def test_another_outcome_is_told() -> None:
    expected = grid.Result([{"value": 1.0}], {"a": {"weights": 1}}, {"p": "1"}, [])
    assert differences(expected, expected) == []
    found = grid.Result([{"value": 1.0 + 1e-16}, {}], {"a": {"weights": 2}}, {"p": "2", "q": "3"}, ["a"])
    assert len(differences(expected, found)) == 5


def test_a_fault_is_charged_with_what_was_done_again() -> None:
    lines = [*steps("one", 0, 1, 5), *steps("two", 10, 4, 9), line(16, "two", "leave")]
    log = [
        {"event": "begin", "bout": "b", "store": "s", "time": 0},
        {"event": "fault", "bout": "b", "kind": "rank", "time": 4.5, "during": {"one": 5}},
        {"event": "death", "bout": "b", "attempt": "one", "time": 4.6},
        {"event": "end", "bout": "b", "seconds": 20, "problems": []},
    ]
    cost = report.costs(log, lines)["rank"]
    assert (cost.count, cost.ended) == (1, 1)
    assert cost.redone == [2.0]  # steps 4 and 5
    assert cost.recovery == [12.0 - 4.5]  # until step 6
    assert "1 faults, 2.0 s of training redone" in report.report_text(log, lines)
