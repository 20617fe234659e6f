"""The state of stages, the progress of a run, and what an experiment has spent."""

import io
from pathlib import Path

from rich.console import Console

from stilts.experiment.experiment import Experiment
from stilts.experiment.runtime import Runtime
from stilts.ledger.spending import Spending, write_spending
from stilts.schedule.progress import RunProgress, StageProgress
from stilts.show.status import ROWS, show_progress, show_status, spending_line, whole_line
from stilts.storage.local import LocalStore

COUNTS = {"done": 3, "running": 2, "waiting": 7, "failed": 0, "diverged": 0, "not run": 0}


def printed(thing) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(thing)
    return console.file.getvalue()


def running(n: int, **latest) -> RunProgress:
    stages = tuple(StageProgress(f"stage-{i}", 1.0, {"step": 5, "steps": 40, **latest}) for i in range(n))
    return RunProgress(125.0, 480.0, COUNTS, stages)


def test_states_are_counted_and_details_are_their_first_line():
    console = Console(file=io.StringIO(), width=120)
    states = [
        {"name": "a", "state": "done", "detail": ""},
        {"name": "b", "state": "failed", "detail": "[bold]out of memory\nTraceback"},
    ]
    show_status(states, console)
    text = console.file.getvalue()
    assert text.splitlines()[0] == "done 1   failed 1"
    assert "[bold]out of memory" in text
    assert "Traceback" not in text


def test_the_whole_in_a_line():
    line = whole_line(running(2), "0.50 GPU-hours")
    assert line == "3 of 12 done, 2 running, 7 waiting; 0.50 GPU-hours, 2 min 5 s so far, about 8 min 0 s left"
    assert "left" not in whole_line(RunProgress(125.0, None, COUNTS, ()))


def test_columns_of_gpus_are_shown_where_there_are_gpus():
    assert "GPU" not in printed(show_progress(running(1)))
    text = printed(show_progress(running(1, gpu_use=87, gpu_memory=10e9, gpu_memory_total=24e9)))
    assert "87%" in text
    assert "10.0/24.0 GB" in text


def test_many_running_stages_are_counted():
    text = printed(show_progress(running(ROWS + 3)))
    assert f"stage-{ROWS - 1} " in text
    assert f"stage-{ROWS} " not in text
    assert "and 3 more" in text


def test_spending_is_of_all_launches(tmp_path: Path):
    store = LocalStore(tmp_path)
    experiment = Experiment.model_construct(name="one", cluster=None)
    assert spending_line(experiment, store) == ""
    for launch, hours in (("a", 0.5), ("b", 0.25)):
        write_spending(store, "one", launch, Spending(hours, 0.0, 1), "")
    for accelerator, unit in (("gpu", "GPU-hours"), ("cpu", "CPU-hours")):
        one = experiment.model_copy(update={"runtime": Runtime(accelerator=accelerator)})
        assert spending_line(one, store) == f"spent: 0.750 {unit} in 2 launches"
