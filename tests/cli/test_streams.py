"""Output that is closed, full, read by a program that ends, or not UTF-8; and escape characters in what is shown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def shell(line: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $S is the program."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        ["bash", "-c", line.replace("$S", f"{sys.executable} -m stilts")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_reader_that_stops_and_streams_that_are_closed_or_full(experiment: Path) -> None:
    """Every case starts a process, so all run at once."""
    cases = {
        "$S fields | true; exit ${PIPESTATUS[0]}": (141, ""),
        "$S plan tiny.yaml >/dev/full": (1, "standard output cannot be written: No space left"),
        "$S plan tiny.yaml >&-": (0, ""),
        "$S plan missing.yaml 2>&-": (1, ""),
        "PYTHONIOENCODING=ascii $S plan missing-ü.yaml": (1, "cannot read"),
    }
    lines = "\n".join(f"{{ ({line}) 2>err{i}; echo $? >rc{i}; }} &" for i, line in enumerate(cases)) + "\nwait"
    shell(lines, experiment.parent)
    for i, (line, (status, message)) in enumerate(cases.items()):
        said = (experiment.parent / f"err{i}").read_text()
        assert int((experiment.parent / f"rc{i}").read_text()) == status, (line, said)
        assert message in said
        assert "Traceback" not in said
        assert "Exception ignored" not in said


def test_escape_characters_are_shown_and_not_sent(stilts: Run, experiment: Path) -> None:
    code, out, err = stilts("plan", "\x1b]0;title\x07\u202efile\x9b31m.yaml")
    assert code == 1
    assert r"\x1b]0;title\x07\u202efile\x9b31m.yaml" in err
    assert not set("\x1b\x07\u202e\x9b") & set(out + err)


def test_a_message_has_a_bounded_length(stilts: Run, experiment: Path) -> None:
    code, _, err = stilts("plan", experiment, "--set", "store=" + "x" * 1_000_000, "--set", "name=" + "y" * 1_000_000)
    assert code == 1
    assert len(err) < 10_000


def test_json_with_control_characters_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    from stilts.cli.base import print_json

    value = {"error": "a\x1b[31m\x7f\x9b\u202eb"}
    print_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert not set("\x1b\x7f\x9b\u202e") & set(out)
