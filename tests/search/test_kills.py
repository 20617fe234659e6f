"""A kill at every write by which a driver tells that a trial has ended: the next driver ends it, and loses nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stilts.ledger.garbage import find_garbage
from stilts.ledger.needs import trial_declarations
from stilts.ledger.record import write_stage
from stilts.search.launch import settle_search
from stilts.search.session import SearchSession
from stilts.storage.protocol import Store
from tests.search.drivers import Driver, Open
from tests.search.studies import SEARCH
from tests.storage.conftest import gcs_endpoint, store

__all__ = ["gcs_endpoint", "store"]

STEPS = 80
"""More than any operation here takes."""


def kill_at(store: Store, step: int) -> None:
    """From here on, this process dies before its write of this number."""
    count = 0

    def counted(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        return call

    for name in ("write", "create", "remove"):
        setattr(store, name, counted(getattr(store, name)))


def tell(found: SearchSession, step: int) -> None:
    """A driver that finds the stage of a running trial in the store: it tells its score, and settles."""
    kill_at(found.session.store, step)
    driver = Driver(found)
    assert driver.proposals.offer() is None
    settle_search(found, driver.study, driver.declared)


def begin(found: SearchSession) -> list[str]:
    """The first of two trials is told; the stage of the second, which is better, has just ended."""
    driver = Driver(found)
    stages = [driver.offer(), driver.offer()]
    driver.train(stages[0], [(40, 60.0)])
    write_stage(driver.store, stages[1], {"weights": {}, "dev": {"score": 70.0, "curve": [(40, 70.0)]}})
    driver.store.write(f"stages/{stages[1]}/weights/model.safetensors", b"weights")
    return stages


def finish(found: SearchSession, stages: list[str]) -> None:
    """The next driver comes to the same end, whatever the killed one had done."""
    store = found.session.store
    kept = {item.path for item in find_garbage(store).items}
    assert not any(path.startswith(f"stages/{stages[1]}") for path in kept), "a collector would take the best"
    driver = Driver(found)
    assert driver.proposals.offer() is None
    settle_search(found, driver.study, driver.declared)
    assert [(trial.state.name, trial.value) for trial in driver.study.get_trials()] == [
        ("COMPLETE", 60.0),
        ("COMPLETE", 70.0),
    ]
    assert [driver.weights(stage) for stage in stages] == [False, True]
    declared = trial_declarations(store, "search")
    assert declared.keys() == {0, 1}
    assert not [item for item in find_garbage(store).items if item.path.startswith("stages/")]


@pytest.mark.parametrize("first", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_a_kill_at_every_write_of_a_tell(first: int, tmp_path: Path) -> None:
    """At every third in the part of the tests that is fast."""
    for step in range(first, STEPS, 3):
        (tmp_path / str(step)).mkdir()
        path = tmp_path / str(step) / "search.yaml"
        path.write_text(SEARCH.format(folder=path.parent))
        found = SearchSession.open(path, ["search.trials=2"])
        with found.running(lambda who: None):
            stages = begin(found)
        child = os.fork()
        if child == 0:
            try:
                tell(found, step)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        done = status == 0
        assert done or os.WTERMSIG(status) == signal.SIGKILL
        finish(found, stages)
        if done:
            assert step > 10, "nothing was counted"
            return
    pytest.fail("the driver never came to its end")


_CHILD = """
import sys
from pathlib import Path
from stilts.search.session import SearchSession
from tests.search.test_kills import tell
tell(SearchSession.open(Path(sys.argv[1]), sys.argv[3:]), int(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_kill_at_every_write_of_a_tell_in_a_bucket(store: Store, search: Open, tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    for step in range(1, STEPS):
        scheme, _, query = store.uri.partition("?")
        overrides = ["search.trials=2", f"store={scheme}/{step}" + (f"?{query}" if query else "")]
        found = search(*overrides)
        with found.running(lambda who: None):
            stages = begin(found)
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, str(path), str(step), *overrides],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            check=False,
        )
        assert child.returncode in (0, -signal.SIGKILL)
        finish(found, stages)
        if child.returncode == 0:
            assert step > 10, "nothing was counted"
            return
    pytest.fail("the driver never came to its end")
