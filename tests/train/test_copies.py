"""Resume states are written by a thread, from copies, while the training goes on."""

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from stilts.experiment.recipe import Recipe
from stilts.experiment.runtime import Runtime
from stilts.os_errors import DiskFull
from stilts.train.checkpoint import ResumeStore
from stilts.train.copies import BackgroundWrite
from stilts.train.loop import train
from stilts.train.ranks import Ranks
from tests.train.toys import load_model, make_features, one_part

SECONDS = 60.0


def _train(base: Path, ranks: Ranks, store: ResumeStore, dev_score: Any, engine: str = "torch") -> None:
    recipe = Recipe(
        learning_rate=3e-3, max_steps=8, batch_size=8, max_length=64, precision="fp32", evaluate_every=1, warmup=0
    )
    runtime = Runtime(checkpoint_seconds=1e-6, engine=engine)
    parts = one_part(make_features("classification", 60), "classification", recipe)
    train(
        load_model(base, "classification", 2, seed=0), parts, recipe, runtime, ranks, dev_score=dev_score, resume=store
    )


@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_a_state_is_that_of_its_step_however_long_its_write_takes(
    base: Path, ranks: Ranks, tmp_path: Path, engine: str
) -> None:
    """The write of the first state begins when the training is two evaluations on."""
    further, evaluations, states = threading.Event(), 0, []

    def dev_score() -> dict[str, float]:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 2:  # the training is at work while the state of step 1 is not written
            assert not states
            further.set()
        return {"classification": float(evaluations)}

    def wait() -> None:
        assert further.wait(SECONDS)

    def saved(folder: Path) -> None:
        states.append({name: load_file(folder / f"{name}.safetensors") for name in ("state", "best")})

    slow = ResumeStore(tmp_path / "slow", saved, confirm=wait)
    _train(base, ranks, slow, dev_score, engine)
    assert evaluations == 8
    assert len(states) == 7  # of every step but the last; the end of the training has waited
    written, states, evaluations = states, [], 2
    _train(base, ranks, ResumeStore(tmp_path / "prompt", saved), dev_score, engine)
    for one, other in zip(written, states, strict=True):
        for name, tensors in one.items():
            assert tensors.keys() == other[name].keys()
            assert all(torch.equal(tensors[key], other[name][key]) for key in tensors)


def test_one_state_is_written_at_a_time(base: Path, ranks: Ranks, tmp_path: Path) -> None:
    writing, most = 0, []

    def confirm() -> None:
        nonlocal writing
        writing += 1
        most.append(writing)

    def saved(folder: Path) -> None:
        nonlocal writing
        writing = 0

    _train(base, ranks, ResumeStore(tmp_path / "resume", saved, confirm=confirm), lambda: {"classification": 1.0})
    assert len(most) == 2 * 7
    assert max(most) == 2  # each write confirms twice


def test_the_training_thread_tells_that_a_state_could_not_be_written(base: Path, ranks: Ranks, tmp_path: Path) -> None:
    threads = []

    def full() -> None:
        threads.append(threading.current_thread())
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match="resume state"):
        _train(base, ranks, ResumeStore(tmp_path / "resume", confirm=full), lambda: {"classification": 1.0})
    assert threads == [threads[0]]
    assert threads[0] is not threading.current_thread()


def test_an_error_is_raised_once_and_by_whoever_asks() -> None:
    def fail() -> None:
        raise RuntimeError("no")

    background = BackgroundWrite()
    background.check()
    background.wait()
    background.start(fail)
    with pytest.raises(RuntimeError, match="no"):
        background.wait()
    background.wait()
    background.start(fail)
    background.end()
    background.check()


def test_a_check_does_not_wait() -> None:
    go = threading.Event()
    background = BackgroundWrite()
    background.start(lambda: None if go.wait(SECONDS) else pytest.fail("never asked"))
    background.check()
    go.set()
    background.wait()
