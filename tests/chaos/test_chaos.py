"""A grid and a search end with the same results with faults as without. Long runs: `python -m tests.chaos`."""

import contextlib
import random
from pathlib import Path

import pytest

from tests.chaos import disk, faults, grid, stores
from tests.chaos.__main__ import DECK, Run
from tests.chaos.bout import Bout
from tests.chaos.database import Sqlite
from tests.chaos.nodes import Nodes

KINDS = ("search", "rank", "clean", "driver", "memory", "readonly", "clock", "node")


def test_some_faults_of_each_sort_change_nothing(tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind not in faults.unavailable()]
    outcomes: list[grid.Result] = []
    with contextlib.ExitStack() as stack:
        own = None if disk.unavailable() else stack.enter_context(disk.Disk(tmp_path / "disk", 64))
        nodes = stack.enter_context(Nodes(tmp_path))
        for name, disturbed in (("undisturbed", []), ("disturbed", kinds)):
            store = stores.Local(tmp_path / "disk" / name, own)
            study = Sqlite(tmp_path / name / "study.db")
            experiment = grid.write(tmp_path / name, grid.SMALL, store.uri, 1, study.url)
            chance, log = random.Random(1), tmp_path / "faults.jsonl"
            one = Bout(nodes, store, study, experiment, disturbed, chance, (0.2, 1.0), log)
            found, problems = one.run(*outcomes)
            assert (problems, one.undone) == ([], []), log.read_text()
            outcomes += filter(None, [found])


@pytest.mark.slow
def test_fifty_faults_over_every_store(tmp_path: Path) -> None:
    with Run(tmp_path, ["local", "s3"], [kind for kind in DECK if kind not in faults.unavailable()]) as run:
        run.inject(50, seed=7)
        assert run.problems() == []
