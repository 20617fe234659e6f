"""A grid with faults ends with the same results as one without. Long runs: `python -m tests.chaos`, or `-m slow`."""

import random
from pathlib import Path

import pytest

from tests.chaos import grid, stores
from tests.chaos.__main__ import run
from tests.chaos.bout import Bout
from tests.chaos.nodes import Nodes


def test_five_faults_change_nothing(tmp_path: Path) -> None:
    kinds = ["rank", "driver", "node", "rival", "trial"]
    outcomes = []
    with Nodes(tmp_path) as nodes:
        for name, disturbed in (("undisturbed", []), ("disturbed", kinds)):
            store = stores.Local(tmp_path / name / "store")
            experiment = grid.write(tmp_path / name, grid.SMALL, store.uri, ranks=1)
            chance, log = random.Random(1), tmp_path / "faults.jsonl"
            one = Bout(nodes, store, experiment, disturbed, chance, (0.2, 1.0), log)
            expected = outcomes[0] if outcomes else None
            found, problems = one.run(expected)
            assert (problems, one.undone) == ([], []), log.read_text()
            outcomes.append(found)


@pytest.mark.slow
def test_fifty_faults_over_every_store(tmp_path: Path) -> None:
    assert run(tmp_path, faults=50, seed=7, kinds_of_store=["local", "s3"]) == 0
