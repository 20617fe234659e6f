"""Commands that only read, on a store and a results folder that cannot be written."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run

Mount = Callable[[Path], None]


@pytest.fixture
def read_only() -> Iterator[Mount]:
    """A function that makes a folder read-only, for root, too: it is mounted on itself."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        for command in (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)]):
            try:
                done = subprocess.run(["mount", *command], capture_output=True, check=False).returncode == 0
            except FileNotFoundError:
                done = False
            if not done:
                pytest.skip("a folder cannot be mounted read-only here (needs root)")
            if folder not in mounted:
                mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


READING = (
    ("plan",),
    ("plan", "--json"),
    ("status",),
    ("status", "--watch"),
    ("collect",),
    ("data", "verify"),
)


@pytest.mark.parametrize("prepared", [True, False])
def test_reading_needs_no_write(
    stilts: Run, experiment: Path, tmp_path: Path, read_only: Mount, prepared: bool
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    if prepared:
        assert stilts("data", "prepare", experiment)[0] == 0
    elsewhere = stilts("plan", experiment, "--json", "--set", f"store={tmp_path}/other")
    read_only(store)
    files = sorted(store.rglob("*"))
    for name, *options in READING:
        command = (name, options[0], experiment) if name == "data" else (name, experiment, *options)
        code, out, err = stilts(*command)
        assert code == (0 if prepared or name != "data" else 1), (command, out, err)
        assert "Traceback" not in err
    here = stilts("plan", experiment, "--json")
    stages = json.loads(here[1])["by_stage"]
    assert (here[0], stages) == (0, json.loads(elsewhere[1])["by_stage"])
    for command, code in (
        (("clean", "--store", store), 0 if prepared else 1),
        (("explain", stages[0]["name"], "-e", experiment), 0),
        (("logs", stages[0]["name"], "-e", experiment), 0),
        (("report", experiment), 0),
        (("submission", experiment, "--out", tmp_path / "submission"), 1),
    ):
        found, out, err = stilts(*command)
        assert found == code, (command, out, err)
        assert "Traceback" not in err
        assert "defect" not in err
        assert "Read-only" not in err
    assert sorted(store.rglob("*")) == files


@pytest.mark.parametrize("command", [("data", "prepare"), ("run",)])
def test_what_must_write_says_so_before_anything_starts(
    stilts: Run, experiment: Path, tmp_path: Path, read_only: Mount, command: tuple[str, ...]
) -> None:
    (tmp_path / "store").mkdir()
    read_only(tmp_path / "store")
    code, _, err = stilts(*command, experiment)
    assert code == 1
    assert "the store cannot write" in err
    assert str(tmp_path / "store") in err
    assert "Read-only file system" in err
    assert "mount it for writing, or name another folder" in err
    assert err.count("error:") == 1
    assert "Ray" not in err


def test_tables_are_printed_where_they_cannot_be_written(
    stilts: Run, experiment: Path, tmp_path: Path, read_only: Mount
) -> None:
    (tmp_path / "results").mkdir()
    read_only(tmp_path / "results")
    code, out, err = stilts("collect", experiment)
    assert code == 0
    assert "xnli" in out
    assert "files in" not in out
    assert "warning: the tables are not written" in err
    assert "results/tiny" in err
    code, out, _ = stilts("collect", experiment, "--json")
    assert code == 0
    assert "summary" in json.loads(out)


def test_a_plan_of_a_store_that_is_not_there_makes_no_folder_for_it_in_a_read_only_one(
    stilts: Run, experiment: Path, tmp_path: Path, read_only: Mount
) -> None:
    (tmp_path / "ro").mkdir()
    read_only(tmp_path / "ro")
    code, out, err = stilts("plan", experiment, "--set", f"store={tmp_path}/ro/new")
    assert (code, "xnli" in out) == (0, True), err
