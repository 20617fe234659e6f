"""What is the local directory's own: full and forbidden disks, orphans of killed writers, links."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.storage import local
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.protocol import Unreachable


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_open_store_takes_paths_and_file_uris(tmp_path: Path) -> None:
    assert open_store(str(tmp_path)).uri == str(tmp_path)
    assert open_store(f"file://{tmp_path}").uri == str(tmp_path)
    assert open_store("relative").uri == str(Path.cwd() / "relative")
    assert open_store("~/x").uri == str(Path.home() / "x")
    with pytest.raises(StiltsError, match="no storage for ftp://"):
        open_store("ftp://host/x")


# --- full and forbidden ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    _fills_up(LocalStore(small_disk / "store"), tmp_path)


def test_a_limit_on_files_is_said_and_loses_nothing(store: LocalStore, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "big").write_bytes(b"n" * 2_000_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        _fills_up(store, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def _fills_up(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_bytes(b"o" * 1000)
    store.write("a", b"old")
    manifest = store.put_tree(tmp_path / "old", "w")
    if not (tmp_path / "tree").exists():
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "big").write_bytes(b"n" * 2_000_000)
    for attempt in (
        lambda: store.write("a", b"n" * 2_000_000),
        lambda: store.create("b", b"n" * 2_000_000),
        lambda: store.put_tree(tmp_path / "tree", "w"),
    ):
        with pytest.raises(StiltsError, match=r"the disk of the store is full .*free some space"):
            attempt()
    assert store.read("a") == b"old"
    assert store.read("b") is None
    assert store.fetch_tree("w", manifest).is_dir()
    assert list(store.list(".")) == ["a", "w"]
    assert not [name for name in os.listdir(store.root) if name.startswith(".aside")]
    store.write("a", b"new")
    assert store.read("a") == b"new"


def test_a_file_in_the_place_of_the_store_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = LocalStore(tmp_path / "file")
    for attempt in (
        lambda: store.write("a", b""),
        lambda: store.create("a/b", b""),
        lambda: store.scratch("."),
        lambda: store.put_tree(tmp_path, "w"),
    ):
        with pytest.raises(StiltsError, match=r"the store cannot write .*file"):
            attempt()


@pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_refusals_of_the_system_are_said(store: LocalStore, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    store.write("a", b"old")

    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StiltsError, match=f"cannot write .*/a: {os.strerror(error)}"):
        store.write("a", b"new")
    assert store.read("a") == b"old"
    assert os.listdir(store.root) == ["a"]


@pytest.mark.parametrize("error", [errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN])
def test_a_shared_file_system_that_is_away_is_no_fault_of_the_program(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def away(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "replace", away)
    with pytest.raises(Unreachable, match="does not answer"):
        store.write("a", b"new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_folder_without_permission_is_said(store: LocalStore) -> None:
    store.write("s/a", b"old")
    (store.root / "s").chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        for attempt in (lambda: store.write("s/a", b"new"), lambda: store.remove("s/a")):
            with pytest.raises(StiltsError, match="Permission denied"):
                attempt()
    finally:
        (store.root / "s").chmod(stat.S_IRWXU)


def test_a_name_too_long_is_said(store: LocalStore) -> None:
    with pytest.raises(StiltsError, match="File name too long"):
        store.write("x" * 300, b"")


# --- orphans ----------------------------------------------------------------------------------------------


def _leave(folder: Path, age: float) -> Path:
    aside = folder / ".aside-0123456789ab"
    (aside / "sub").mkdir(parents=True)
    (aside / "sub" / "model.safetensors").write_bytes(b"half")
    for path in (aside / "sub" / "model.safetensors", aside / "sub", aside):
        moment = path.stat().st_mtime - age
        os.utime(path, (moment, moment))
    return aside


def test_orphaned_files_are_not_listed(store: LocalStore) -> None:
    store.write("stages/a/record.json", b"")
    _leave(store.root / "stages" / "a", 0)
    assert list(store.list("stages/a")) == ["record.json"]


def test_put_tree_clears_what_a_dead_writer_left(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    dead = _leave(store.root / "stages" / "a", local.STALE_SECONDS + 60)
    store.put_tree(tmp_path / "tree", "stages/a/weights")
    assert not dead.exists()


def test_put_tree_spares_what_is_being_written(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    live = _leave(store.root / "stages" / "a", local.STALE_SECONDS + 60)
    os.utime(live / "sub" / "model.safetensors")
    store.put_tree(tmp_path / "tree", "stages/a/weights")
    assert live.exists()


def test_the_old_tree_goes_only_once_the_new_one_stands(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removing gigabytes takes long; a kill in that time must find the new tree in place."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    store.put_tree(tmp_path / "tree", "w")
    seen: list[list[str]] = []
    monkeypatch.setattr(local.shutil, "rmtree", lambda *_, **__: seen.append(sorted(store.list("w"))))
    manifest = store.put_tree(tmp_path / "tree", "w")
    assert seen == [["file"]]
    assert set(manifest) == {"file"}


def test_a_link_whose_answer_was_lost_counts(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS repeats requests: the link is made, and its repetition says that the name exists."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert store.create("a", b"mine")
    assert not store.create("a", b"other")
    assert store.read("a") == b"mine"


def test_written_files_are_synced_before_they_are_renamed(store: LocalStore) -> None:
    """In strace's words: fsync of the content, then rename, then fsync of the folder."""
    events: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}
    with pytest.MonkeyPatch.context() as patch:
        for name, function in real.items():
            patch.setattr(os, name, lambda *a, n=name, f=function: (events.append(n), f(*a))[1])
        store.scratch(".")
        events.clear()
        store.write("a", b"x")
    assert events == ["fsync", "replace", "fsync"]


def test_importing_the_store_is_light() -> None:
    code = "import stilts.storage.local, sys; print([m for m in ('torch', 'ray', 'pyarrow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
