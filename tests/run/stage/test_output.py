"""The output of a process by stage: what is read of its files, and what is copied to the store and when."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stilts.ledger.logs import stage_log
from stilts.run.stage.output import BYTES, LINES, OutputCopies, output_files, read_output
from stilts.storage.local import LocalStore

NAME = "mnli-s1-0123456789ab"
PROGRAM = """\
import os, sys, time
from pathlib import Path
from stilts.run.stage import output
from stilts.storage.local import LocalStore

store, name, what = LocalStore(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
print("of the stage before")
output.begin_stage("other-0123456789ac", {"rank": 0})
print("of the other stage")
output.begin_stage(name, {"rank": 3, "pid": os.getpid(), "node": "host", "ray_node": "cafe"})
print("waiting")
output.FIRST_SECONDS, output.EVERY_SECONDS = 0.1, 0.1
with output.OutputCopies(store, name, 4) as copies:
    print("from python")
    os.write(2, b"from a library\\n")
    if what == "fail":
        raise ValueError("bad")
    if what == "die":
        while not list(store.list(f"stages/{name}/logs")):
            time.sleep(0.05)
        os.kill(os.getpid(), 9)
    copies.stop()
"""


def run(folder: Path, what: str) -> tuple[LocalStore, tuple[str, str]]:
    """Run the program with its two streams in files."""
    files = str(folder / "out"), str(folder / "err")
    with open(files[0], "wb") as out, open(files[1], "wb") as err:
        command = [sys.executable, "-u", "-c", PROGRAM, str(folder / "store"), NAME, what]
        subprocess.run(command, check=False, stdout=out, stderr=err, timeout=120)
    return LocalStore(folder / "store"), files


@pytest.mark.parametrize("what", ["fail", "die"])
def test_the_last_lines_of_the_stage_are_in_the_store(tmp_path: Path, what: str) -> None:
    store, files = run(tmp_path, what)
    (output,) = stage_log(store, NAME).ranks
    assert (output.attempt, output.rank) == (4, 3)
    assert output.facts["ray_node"] == "cafe"
    assert output.facts["started"] <= output.facts["written"]
    assert output.text == ("--- standard output ---\nwaiting\n\nfrom python\n--- standard error ---\nfrom a library\n")
    again = read_output(files, NAME, {"rank": 0})
    assert again is not None
    assert (again.attempt, again.rank) == (4, 3)
    assert again.text.startswith("--- standard output ---\nwaiting\n\nfrom python\n")
    assert read_output(files, "another-0123456789ad", {"rank": 0}) is None


def test_a_short_stage_that_is_done_writes_nothing(tmp_path: Path) -> None:
    store, _ = run(tmp_path, "done")
    assert stage_log(store, NAME).ranks == []


def test_without_files_nothing_is_captured(tmp_path: Path) -> None:
    assert output_files() == () or all(os.path.isfile(file) for file in output_files())
    with pytest.raises(ValueError, match="bad"), OutputCopies(LocalStore(tmp_path), NAME, 1):
        raise ValueError("bad")
    assert stage_log(LocalStore(tmp_path), NAME).ranks == []


def test_long_output_is_cut_and_control_characters_are_shown(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("x" * 500_000 + "\n10%\r50%\r100%\n\x1b[31mred\x07\n:task_name:run\nlast\n")
    err.write_bytes(b"\xff\n" + b"line\n" * 10_000)
    output = read_output((str(out), str(err)), NAME, {"rank": 1})
    assert output is not None
    assert (output.attempt, output.rank) == (0, 1)
    lines = output.text.splitlines()
    assert lines[1] == "x" * 1000 + " ..."
    assert lines[2:6] == ["100%", "\\x1b[31mred\\x07", "last", "--- standard error ---"]
    assert lines[6:] == ["line"] * (LINES - 1)
    assert len(output.text) < 2 * BYTES


def test_files_that_are_gone_or_empty_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    output = read_output((str(tmp_path / "out"), str(tmp_path / "err")), NAME, {"rank": 0})
    assert output is not None
    assert output.text == ""
