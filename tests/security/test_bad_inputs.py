"""Every bad input of the table gets a short answer that says what is wrong, in bounded time, and is no defect."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.bad_inputs import MOST_OUTPUT, ROWS, SECONDS, Row, answer, lay_out, prepared

IDS = [f"{row.kind}: {row.name}" for row in ROWS]


def check(row: Row, status: int, text: str) -> None:
    """Compare an answer with its row."""
    assert status == row.status, text[:2000]
    assert row.message in " ".join(text.split()), text[:2000]
    assert len(text) < MOST_OUTPUT
    assert "Traceback" not in text
    assert not set("\x1b\x07\x9b\u202e") & set(text)


def test_the_table_is_long_and_names_no_input_twice() -> None:
    assert len(ROWS) >= 100
    assert len(set(IDS)) == len(IDS)


def test_the_experiment_that_the_rows_change_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, text = answer(Row("good", "the experiment", lambda: None, ("plan", "e.yaml"), "tiny: 1 cells", 0))
    assert status == 0, text
    lay_out()


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_bad_input(row: Row) -> None:
    check(row, *answer(row))


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_bad_input_in_a_process_of_its_own(row: Row) -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {"COLUMNS": "1000", "HF_HUB_OFFLINE": "1", "PGPASSWORD": "not-to-be-told", "PYTHONPATH": paths}
    with prepared(row):
        ended = subprocess.run(
            [os.fsencode(part) for part in (sys.executable, "-m", "stilts", *row.arguments)],
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
            timeout=6 * SECONDS,
        )
    check(row, ended.returncode, (ended.stdout + ended.stderr).decode())
