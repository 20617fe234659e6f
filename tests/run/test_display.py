import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from stilts.run.display import Display
from stilts.schedule.agenda import Agenda, Cause


def trial(name: str) -> SimpleNamespace:
    return SimpleNamespace(config={"stage": name})


@pytest.fixture
def agenda() -> Agenda:
    return Agenda({"a": None, "b": "a", "c": None}, {"a": 10.0, "b": 20.0, "c": 10.0}, max_retries=1)


def run_to_the_end(agenda: Agenda, progress: Display) -> None:
    """a is done, then c is lost and fails, then b starts."""
    agenda.take()
    progress.on_trial_start(0, [], trial("a"))
    progress.on_trial_result(0, [], trial("a"), {"dev": 70.0, "curve": [(5, 71.26), (10, 70.0)]})
    progress.on_trial_result(0, [], trial("a"), {"phase": "evaluating"})
    agenda.finish("a", "done", seconds=20.0)
    progress.on_trial_complete(0, [], trial("a"))
    agenda.take()
    progress.on_trial_start(0, [], trial("b"))
    for _ in range(2):
        agenda.take()
        progress.on_trial_start(0, [], trial("c"))
        agenda.lose("c", "node died")
        progress.on_trial_error(0, [], trial("c"))


def test_a_pipe_gets_one_line_for_each_event(agenda: Agenda) -> None:
    out = io.StringIO()
    progress = Display(agenda, Console(file=out, width=200))
    with progress.showing():
        run_to_the_end(agenda, progress)
    lines = [line.split(maxsplit=1)[1] for line in out.getvalue().splitlines() if line[:2].isdigit()]
    assert [" ".join(line.split("[")[0].split()) for line in lines] == [
        "start a",
        "done a in 20.0 s, dev 71.3",
        "start b",
        "start c",
        "lost c retry 1 of 1",
        "start c",
        "failed c",
    ]
    assert "node died" in out.getvalue()


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("node", "lost c retry 1 of 10"),
        ("memory", "memory c retry 1 of 5"),
        ("stalled", "stalled c retry 1 of 3"),
        ("preemption", "preempted c continues"),
        ("stop", "stopped c continues with the next run"),
    ],
)
def test_what_is_no_fault_of_the_stage_is_said_so(agenda: Agenda, cause: Cause, said: str) -> None:
    out = io.StringIO()
    progress = Display(agenda, Console(file=out, width=200))
    agenda.take(), agenda.take()
    agenda.lose("c", "taken back", cause)
    progress.on_trial_error(0, [], trial("c"))
    assert said in " ".join(out.getvalue().split())
    assert "taken back" in out.getvalue()


def test_a_terminal_shows_what_runs(agenda: Agenda) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    progress = Display(agenda, console)
    run_to_the_end(agenda, progress)
    latest = {"step": 5, "steps": 50, "loss": 1.25, "tokens_per_second": 12345.6, "eta": 90}
    progress.on_trial_result(0, [], trial("b"), latest)
    console.print(progress._render())
    shown = out.getvalue()
    for expected in ("b", "5/50", "1.250", "12,346", "1 min 30 s", "1 of 3 done", "left"):
        assert expected in shown


def test_a_phase_stands_where_there_are_no_steps(agenda: Agenda) -> None:
    out = io.StringIO()
    console = Console(file=out, width=100)
    progress = Display(agenda, console)
    agenda.take()
    progress.on_trial_start(0, [], trial("a"))
    progress.on_trial_result(0, [], trial("a"), {"phase": "evaluating"})
    console.print(progress._render())
    assert "evaluating" in out.getvalue()


def test_a_result_without_a_position_keeps_the_last_one(agenda: Agenda) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    progress = Display(agenda, console)
    agenda.take()
    progress.on_trial_start(0, [], trial("a"))
    progress.on_trial_result(0, [], trial("a"), {"step": 5, "steps": 50, "loss": 1.25})
    progress.on_trial_result(0, [], trial("a"), {"status": "running"})
    console.print(progress._render())
    assert "5/50" in out.getvalue()
    assert "starting" not in out.getvalue()
