"""Every exit status is documented, and a process ends with it.

Processes end with 0, 1 and 2 in test_bad_inputs.py and with 141 in test_streams.py; here with the others.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stilts.cli.exit_codes import DEFECT, INTERRUPTED, LIMIT_REACHED, MEANINGS
from stilts.ledger.needs import CLEANING
from stilts.ledger.spending import Spending, write_spending
from stilts.storage.lease import Lease
from stilts.storage.local import LocalStore

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "STILTS_DEBUG")}
ENVIRONMENT["PYTHONPATH"] = str(ROOT)

BROKEN = """
import sys, stilts, stilts.cli
def plan(*arguments, **options):
    raise ZeroDivisionError("division by zero")
stilts.plan = plan
sys.argv = ["stilts", "plan", sys.argv[1]]
stilts.cli.main()
"""
"""A stilts with a defect."""


def ended(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and standard error of a process, white space collapsed."""
    done = subprocess.run(
        command, env=ENVIRONMENT, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, " ".join(done.stderr.split())


def test_the_documentation_lists_every_exit_status() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == sorted(MEANINGS)


def test_a_run_whose_limit_is_spent_ends_with_its_own_status(experiment: Path) -> None:
    write_spending(LocalStore(experiment.parent / "store"), "tiny", "first", Spending(2.0, 0.0, 1), "")
    command = [sys.executable, "-m", "stilts", "run", str(experiment), "--max-gpu-hours", "1"]
    code, err = ended(command, experiment.parent)
    assert code == LIMIT_REACHED, err
    assert "stopped: the limit is reached" in err


def test_a_defect_ends_with_its_own_status(experiment: Path) -> None:
    code, err = ended([sys.executable, "-c", BROKEN, str(experiment)], experiment.parent)
    assert code == DEFECT, err
    assert "a defect of stilts, or something it did not foresee: ZeroDivisionError: division by zero" in err
    assert "STILTS_DEBUG=1 shows the traceback" in err


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_a_run_with_its_own_status(experiment: Path, number: signal.Signals) -> None:
    """The run waits for a lease, so that it is interrupted before Ray starts."""
    said = experiment.parent / "said"
    with Lease(LocalStore(experiment.parent / "store"), CLEANING), said.open("w") as stderr:
        command = [sys.executable, "-m", "stilts", "run", str(experiment)]
        driver = subprocess.Popen(command, env=ENVIRONMENT, cwd=experiment.parent, stderr=stderr)
        try:
            until = time.monotonic() + 120
            while "waiting for" not in said.read_text():
                assert time.monotonic() < until, said.read_text()
                time.sleep(0.1)
            driver.send_signal(number)
            assert driver.wait(60) == INTERRUPTED
        finally:
            driver.kill()
    assert "interrupted; the same command continues from here" in " ".join(said.read_text().split())
