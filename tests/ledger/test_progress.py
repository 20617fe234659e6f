"""The progress of a run in the store: what is written is read, and what cannot be read counts as absent."""

import os
import time
from pathlib import Path

import pytest

from stilts.ledger.progress import read_progress, write_progress
from stilts.schedule.progress import RunProgress, StageProgress
from stilts.storage.local import LocalStore

RUN = "experiments/exp/runs/0123456789ab"
RUNNING = StageProgress("a-0", 3.0, {"step": 4, "loss": 0.5})
PROGRESS = RunProgress(12.5, None, {"done": 1, "running": 1, "failed": 1}, (RUNNING,), {"b-0": "failed: bad data"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert read_progress(store, RUN) is None
    write_progress(store, RUN, PROGRESS)
    found = read_progress(store, RUN)
    assert found is not None
    assert found.progress == PROGRESS
    assert f"(process {os.getpid()})" in found.driver
    assert abs(found.time - time.time()) < 60


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b"[1]", b'{"running": [{"name": 1}]}', b"\xff"])
def test_what_cannot_be_read_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    store = LocalStore(tmp_path)
    store.write(f"{RUN}/progress.json", content)
    assert read_progress(store, RUN) is None
