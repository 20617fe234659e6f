"""`stilts logs`: what the store has of a stage that failed. What a run writes there is tested in tests/run."""

import json
import time
from pathlib import Path

import pytest

from stilts.ledger.logs import RankOutput, write_output
from stilts.ledger.record import write_failure
from stilts.storage.local import LocalStore
from tests.cli.conftest import Run

FACTS = {"pid": 41, "node": "gpu7", "ray_node": "cafe" * 14, "started": 1.7e9, "written": 1.7e9 + 60}


@pytest.fixture
def failed(stilts: Run, experiment: Path) -> str:
    """Name of a stage whose second attempt has failed; its store is that of the experiment."""
    name = json.loads(stilts("status", experiment, "--json")[1])["stages"][-1]["name"]
    store = LocalStore(experiment.parent / "store")
    for attempt in (1, 2):
        for rank in (0, 1):
            text = f"--- standard error ---\nNCCL WARN [bold]attempt {attempt}, rank {rank}\n"
            write_output(store, name, RankOutput(attempt, rank, FACTS, text))
    ending = {"status": "failed", "error": "UnboundLocalError: \x1b[31mx", "traceback": "in train", "cause": "memory"}
    write_failure(store, name, {**ending, "attempt": 2, "node": "gpu7", "pid": 41, "time": time.time()})
    return name


def test_reason_traceback_node_process_and_lines_are_shown(stilts: Run, experiment: Path, failed: str) -> None:
    for where in (("-e", experiment), ("--store", experiment.parent / "store")):
        for wanted in (failed, failed[:-4], failed[-12:]):
            code, out, err = stilts("logs", wanted, *where)
            assert (code, err) == (0, "")
            assert f"{failed}: failed" in out
            assert "attempt 2 ended at" in out
            assert "on gpu7 (process 41), cause: memory" in out
            assert r"UnboundLocalError: \x1b[31mx" in out
            assert "in train" in out
            assert "NCCL WARN [bold]attempt 2, rank 1" in out
            assert "attempt 1, rank 0" not in out
            assert "output of attempts 1, 2 is stored" in out


def test_one_attempt_and_one_rank_can_be_chosen(stilts: Run, experiment: Path, failed: str) -> None:
    code, out, _ = stilts("logs", failed, "-e", experiment, "--attempt", 1, "--rank", 1, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["stage"], found["status"], found["attempts"]) == (failed, "failed", [1, 2])
    assert [(rank["attempt"], rank["rank"], rank["pid"], rank["node"]) for rank in found["ranks"]] == [
        (1, 1, 41, "gpu7")
    ]
    code, _, err = stilts("logs", failed, "-e", experiment, "--rank", 7)
    assert (code, "there are the attempts 1, 2 and the ranks 0, 1" in err) == (1, True)


def test_a_stage_without_output_or_of_no_store_says_so(stilts: Run, experiment: Path, tmp_path: Path) -> None:
    name = json.loads(stilts("status", experiment, "--json")[1])["stages"][-1]["name"]
    code, out, _ = stilts("logs", name, "-e", experiment)
    assert (code, "waiting" in out, "no output is stored" in out) == (0, True, True)
    code, _, err = stilts("logs", "nothing", "-e", experiment)
    assert (code, "no stage 'nothing'" in err) == (1, True)
    code, _, err = stilts("logs", name, "--store", tmp_path / "elsewhere")
    assert (code, "has no stages; name another store" in err) == (1, True)
    assert not (tmp_path / "elsewhere").exists()


def test_status_names_the_command(stilts: Run, experiment: Path, failed: str) -> None:
    assert f"stilts logs {failed} --store {experiment.parent / 'store'}" in " ".join(
        stilts("status", experiment)[1].split()
    )
