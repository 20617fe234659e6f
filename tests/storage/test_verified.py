"""Digests that are remembered: a file is hashed once per content, and anew when it has changed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stilts.storage import verified
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Corrupt, Manifest

OLD = time.time() - 100


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that were read in full, in order. The tick counts as over, so that no test waits for it."""
    names: list[str] = []
    real = verified.hash_file
    monkeypatch.setattr(verified, "hash_file", lambda path: (names.append(path.name), real(path))[1])
    monkeypatch.setattr(verified, "_TICK", -1e9)
    monkeypatch.setattr(verified, "_COARSE_TICK", -1e9)
    monkeypatch.setattr(verified, "_here", {})
    return names


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def manifest(store: LocalStore, tmp_path: Path) -> Manifest:
    """A tree whose digests are not known yet."""
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "model").write_bytes(b"m" * 3_000_000)
    (tmp_path / "tree" / "sub" / "config").write_bytes(b"{}")
    manifest = store.put_tree(tmp_path / "tree", "stages/a/weights")
    verified.forget(store.root / "stages/a/weights")
    return manifest


def test_a_chain_of_three_children_hashes_the_weights_once(
    store: LocalStore, manifest: Manifest, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        monkeypatch.setattr(verified, "_here", {})  # each child may be another process
        child = LocalStore(store.root)
        assert child.has_tree("stages/a/weights", manifest)
        child.fetch_tree("stages/a/weights", manifest)
    assert sorted(hashed) == ["config", "model"]
    assert list(store.list("stages/a")) == ["weights"]


def _flip(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"X")


def _flip_and_set_back(file: Path) -> None:
    before = file.stat()
    _flip(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"X" + file.read_bytes()[1:])
    before = file.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)


@pytest.mark.parametrize("change", [_flip, _flip_and_set_back, _replace, lambda file: os.truncate(file, 5)])
def test_a_changed_file_is_hashed_anew(store: LocalStore, manifest: Manifest, hashed: list[str], change) -> None:
    file = store.root / "stages/a/weights/model"
    store.fetch_tree("stages/a/weights", manifest)
    time.sleep(0.02)  # the time of change has the resolution of the kernel's tick
    change(file)
    with pytest.raises(Corrupt, match="model is not what was written"):
        store.fetch_tree("stages/a/weights", manifest)
    assert not store.has_tree("stages/a/weights", manifest)


def test_a_file_that_was_only_touched_is_hashed_and_used(
    store: LocalStore, manifest: Manifest, hashed: list[str]
) -> None:
    store.fetch_tree("stages/a/weights", manifest)
    os.utime(store.root / "stages/a/weights/model", (OLD, OLD))
    for _ in range(2):
        store.fetch_tree("stages/a/weights", manifest)
    assert sorted(hashed) == ["config", "model", "model"]


def test_what_was_changed_just_now_is_not_remembered(
    store: LocalStore, manifest: Manifest, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "_TICK", 1e6)
    monkeypatch.setattr(verified, "_COARSE_TICK", 1e6)
    for _ in range(2):
        store.fetch_tree("stages/a/weights", manifest)
    assert hashed.count("model") == 2


def test_where_it_cannot_be_written_this_process_remembers(
    store: LocalStore, manifest: Manifest, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    for _ in range(2):
        LocalStore(store.root).fetch_tree("stages/a/weights", manifest)
    assert hashed.count("model") == 1
    assert sorted(os.listdir(store.root / "stages/a")) == ["weights"]


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b'{"model": 1}', b'{"model": [1, 2]}', b"[" * 100_000])
def test_a_damaged_memory_counts_as_none(
    store: LocalStore, manifest: Manifest, hashed: list[str], content: bytes
) -> None:
    (store.root / "stages/a/.verified-weights.json").write_bytes(content)
    store.fetch_tree("stages/a/weights", manifest)
    assert hashed.count("model") == 1


def test_it_goes_with_the_tree(store: LocalStore, manifest: Manifest, hashed: list[str], tmp_path: Path) -> None:
    store.fetch_tree("stages/a/weights", manifest)
    assert ".verified-weights.json" in os.listdir(store.root / "stages/a")
    store.remove("stages/a/weights")
    assert os.listdir(store.root / "stages/a") == []
    (tmp_path / "tree" / "model").write_bytes(b"n" * 3_000_000)
    store.put_tree(tmp_path / "tree", "stages/a/weights")
    with pytest.raises(Corrupt, match="not what was written"):
        store.fetch_tree("stages/a/weights", manifest)


def test_what_was_just_written_is_not_read_again_until_it_changes(
    store: LocalStore, manifest: Manifest, hashed: list[str], tmp_path: Path
) -> None:
    store.put_tree(tmp_path / "tree", "stages/b/weights")
    LocalStore(store.root).fetch_tree("stages/b/weights", manifest)
    assert hashed == []
    _flip_and_set_back(store.root / "stages/b/weights/model")
    with pytest.raises(Corrupt, match="not what was written"):
        LocalStore(store.root).fetch_tree("stages/b/weights", manifest)


def test_the_digests_of_one_writer_are_not_taken_for_the_files_of_another(
    store: LocalStore, manifest: Manifest, hashed: list[str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / "model").write_bytes(b"n" * 3_000_000)
    (other / "sub" / "config").write_bytes(b"{}")
    states = verified.settled_states(tmp_path / "tree", manifest)
    written = LocalStore(store.root).put_tree(other, "stages/b/weights")
    verified.remember_written(store.root / "stages/b/weights", manifest, states)  # by the one that was overtaken
    with pytest.raises(Corrupt, match="not what was written"):
        store.fetch_tree("stages/b/weights", manifest)
    store.fetch_tree("stages/b/weights", written)
