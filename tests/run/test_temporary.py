"""Temporary folders of processes that live, and of those that were killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from stilts.run.temporary import temporary_folder

_HOLDER = """
from stilts.run.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "weights").write_text("much")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[subprocess.Popen[str], Path]:
    """A process with a folder, which ends when it is told something."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_goes_with_its_context(holder: tuple[subprocess.Popen[str], Path], tmp_path: Path) -> None:
    process, other = holder
    with temporary_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, other])
    assert [path.name for path in other.iterdir()] == ["weights"]
    process.communicate("\n")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_folder(
    holder: tuple[subprocess.Popen[str], Path], tmp_path: Path
) -> None:
    process, left = holder
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (left / "weights").exists()
    (tmp_path / "stilts-ray-mine").mkdir()
    with temporary_folder() as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, tmp_path / "stilts-ray-mine"])
