"""`stilts status`: the state of every stage, from the store alone."""

import json
from pathlib import Path

from stilts.ledger.record import write_failure
from stilts.storage.local import LocalStore
from tests.cli.conftest import Run


def test_stages_wait_until_something_is_known_of_them(stilts: Run, experiment: Path) -> None:
    code, out, _ = stilts("status", experiment, "--json")
    found = json.loads(out)
    assert code == 0
    assert {stage["state"] for stage in found["stages"]} == {"waiting"}
    assert found["runs"] == []


def test_a_failure_is_shown_with_its_reason(stilts: Run, experiment: Path) -> None:
    name = json.loads(stilts("status", experiment, "--json")[1])["stages"][-1]["name"]
    failure = {"status": "failed", "error": "out of memory: lower tokens_per_micro_batch"}
    write_failure(LocalStore(experiment.parent / "store"), name, failure)
    code, out, _ = stilts("status", experiment)
    assert code == 0
    assert "failed 1" in out
    assert "out of memory" in out
