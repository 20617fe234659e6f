"""clean: nothing goes without a yes, and nothing that is used."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from stilts.storage.cache import Cache
from tests.cli.conftest import Run


@pytest.fixture
def declared(stilts: Run, experiment: Path) -> Path:
    """A store with an experiment and a table that none needs."""
    store = experiment.parent / "store"
    assert stilts("data", "prepare", experiment)[0] == 0
    (store / "data" / "xnli" / "dev-fr-0123456789ab.arrow").write_bytes(bytes(3000))
    return store


def test_clean_removes_nothing_in_a_pipe_unless_it_is_told_to(stilts: Run, declared: Path) -> None:
    table = declared / "data" / "xnli" / "dev-fr-0123456789ab.arrow"
    code, out, _ = stilts("clean", "--store", declared)
    assert code == 0
    assert "dev-fr-0123456789ab.arrow" in out
    assert "3.0 kB" in out
    assert "tiny/" in out
    assert "nothing was removed; -y removes it" in out
    found = json.loads(stilts("clean", "--store", declared, "--json")[1])
    assert found["removed"] is None
    assert [item["path"] for item in found["items"]] == ["data/xnli/dev-fr-0123456789ab.arrow"]
    assert found["bytes"] == 3000
    assert table.exists()
    code, out, _ = stilts("clean", "--store", declared, "-y")
    assert "1 of 1 removed, 3.0 kB freed" in out
    assert not table.exists()
    assert "nothing that no experiment needs" in stilts("clean", "--store", declared)[1]


def test_clean_forgets_an_experiment(stilts: Run, declared: Path) -> None:
    code, out, _ = stilts("clean", "--store", declared, "--forget", "tiny", "-y", "--json")
    assert code == 0
    assert [name.partition("/")[0] for name in json.loads(out)["forgotten"]] == ["tiny"]
    assert not list(declared.rglob("*.arrow"))
    code, _, err = stilts("clean", "--store", declared)
    assert code == 1
    assert "no store of stilts" in err


def test_clean_empties_this_machines_cache_but_for_what_is_used(
    stilts: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    used, gone = Cache(), Cache()
    for cache, key in ((used, "a" * 32), (gone, "b" * 32)):
        cache.copy(key, {"file": 2000}, lambda folder: (folder / "file").write_bytes(bytes(2000)) and None)
    del cache, gone
    assert "nothing was removed" in stilts("clean", "--cache")[1]
    found = json.loads(stilts("clean", "--cache", "-y", "--json")[1])
    assert len(found["items"]) == 2
    assert [Path(path).name for path in found["removed"]] == ["b" * 32]
    assert (tmp_path / "cache" / "copies" / ("a" * 32)).is_dir()


@pytest.mark.parametrize(("answer", "left"), [("n", True), ("y", False)])
def test_clean_asks_a_person(declared: Path, answer: str, left: bool) -> None:
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "stilts", "clean", "--store", str(declared)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, f"{answer}\n".encode())
    with contextlib.suppress(OSError):  # Linux ends a terminal's output with an error
        while os.read(terminal, 4096):
            pass
    process.wait(timeout=60)
    os.close(terminal)
    assert (declared / "data" / "xnli" / "dev-fr-0123456789ab.arrow").exists() == left
