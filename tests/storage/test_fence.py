"""Writes of an attempt that has lost its lease, paused between its check and its write."""

from pathlib import Path

import pytest

from stilts.storage.lease import FOLDER, Lease, LeaseLost, _content
from stilts.storage.local import LocalStore
from stilts.storage.protocol import Store

STAGE = "stages/a-0123456789ab"


def _take_over(store: Store) -> None:
    """What a successor does to the lease of attempt 1."""
    store.write(f"{STAGE}/{FOLDER}/1.json", _content(released=True, id="successor", taken=True))
    store.create(f"{STAGE}/{FOLDER}/2.json", _content(id="successor"))


def _tree(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_text(text)
    return folder


def _paused_after(lease: Lease, succeed) -> tuple[list[int], object]:
    """A fence that checks the lease, and lets a successor do its whole work directly after the first check."""
    asked: list[int] = []

    def fence() -> None:
        lease.check()
        asked.append(1)
        if len(asked) == 1:
            succeed()

    return asked, fence


@pytest.mark.parametrize("before", [True, False])
def test_a_record_of_the_successor_stays(store: Store, before: bool) -> None:
    if isinstance(store, LocalStore):
        pytest.skip("a file system cannot compare and replace in one step; the window is documented")
    if before:
        store.write(f"{STAGE}/record.json", b"old")
    with Lease(store, STAGE) as lease:

        def succeed() -> None:
            _take_over(store)
            store.write(f"{STAGE}/record.json", b"successor")

        _, fence = _paused_after(lease, succeed)
        with pytest.raises(LeaseLost):
            store.write(f"{STAGE}/record.json", b"late", fence)
        lease.lost = True
    assert store.read(f"{STAGE}/record.json") == b"successor"


def test_weights_of_the_successor_stay(store: Store, tmp_path: Path) -> None:
    if isinstance(store, LocalStore):
        pytest.skip("a file system cannot compare and replace in one step; the window is documented")
    mine, other = _tree(tmp_path / "mine", "late"), _tree(tmp_path / "other", "successor")
    store.put_tree(_tree(tmp_path / "old", "old"), f"{STAGE}/weights")
    with Lease(store, STAGE) as lease:
        manifests = []

        def succeed() -> None:
            _take_over(store)
            manifests.append(store.put_tree(other, f"{STAGE}/weights"))

        _, fence = _paused_after(lease, succeed)
        with pytest.raises(LeaseLost):
            store.put_tree(mine, f"{STAGE}/weights", fence)
        lease.lost = True
    folder = store.fetch_tree(f"{STAGE}/weights", manifests[0])
    assert (folder / "model.safetensors").read_text() == "successor"


def test_a_fence_that_raises_leaves_everything_as_it_was(store: Store, tmp_path: Path) -> None:
    def closed() -> None:
        raise LeaseLost("taken over")

    manifest = store.put_tree(_tree(tmp_path / "old", "old"), f"{STAGE}/weights")
    store.write(f"{STAGE}/record.json", b"old")
    with pytest.raises(LeaseLost):
        store.write(f"{STAGE}/record.json", b"late", closed)
    with pytest.raises(LeaseLost):
        store.put_tree(_tree(tmp_path / "mine", "late"), f"{STAGE}/weights", closed)
    assert store.read(f"{STAGE}/record.json") == b"old"
    assert (store.fetch_tree(f"{STAGE}/weights", manifest) / "model.safetensors").read_text() == "old"


def test_a_removal_takes_nothing_of_the_successor(store: Store, tmp_path: Path) -> None:
    """The collector is paused before it asks whether it still holds the lease."""
    store.write(f"{STAGE}/record.json", b"old")
    store.put_tree(_tree(tmp_path / "old", "old"), f"{STAGE}/weights")
    other = _tree(tmp_path / "other", "successor")
    with Lease(store, STAGE) as lease:
        _take_over(store)
        store.write(f"{STAGE}/record.json", b"successor")
        manifest = store.put_tree(other, f"{STAGE}/weights")
        for path in ("record.json", "weights"):
            with pytest.raises(LeaseLost):
                store.remove(f"{STAGE}/{path}", lease.check)
        lease.lost = True
    assert store.read(f"{STAGE}/record.json") == b"successor"
    assert (store.fetch_tree(f"{STAGE}/weights", manifest) / "model.safetensors").read_text() == "successor"


@pytest.mark.parametrize("path", ["record.json", "weights"])
def test_a_removal_that_is_paused_after_its_check_takes_nothing_new(store: Store, tmp_path: Path, path: str) -> None:
    store.write(f"{STAGE}/record.json", b"old")
    store.put_tree(_tree(tmp_path / "old", "old"), f"{STAGE}/weights")
    other = _tree(tmp_path / "other", "successor")
    with Lease(store, STAGE) as lease:
        manifests = []

        def fence() -> None:
            lease.check()
            _take_over(store)
            store.write(f"{STAGE}/record.json", b"successor")
            manifests.append(store.put_tree(other, f"{STAGE}/weights"))

        store.remove(f"{STAGE}/{path}", fence)
        lease.lost = True
    assert store.read(f"{STAGE}/record.json") == b"successor"
    assert (store.fetch_tree(f"{STAGE}/weights", manifests[0]) / "model.safetensors").read_text() == "successor"


def test_what_a_fence_lets_go_is_gone(store: Store, tmp_path: Path) -> None:
    store.write(f"{STAGE}/record.json", b"old")
    store.put_tree(_tree(tmp_path / "old", "old"), f"{STAGE}/weights")
    for path in ("weights", "record.json", "absent"):
        store.remove(f"{STAGE}/{path}", lambda: None)
    assert list(store.list(STAGE)) == []


def test_a_fence_that_is_open_lets_everything_through(store: Store, tmp_path: Path) -> None:
    with Lease(store, STAGE) as lease:
        for text in ("one", "two"):
            store.write(f"{STAGE}/record.json", text.encode(), lease.check)
            manifest = store.put_tree(_tree(tmp_path / text, text), f"{STAGE}/weights", lease.check)
            assert store.read(f"{STAGE}/record.json") == text.encode()
            assert (store.fetch_tree(f"{STAGE}/weights", manifest) / "model.safetensors").read_text() == text


def test_versions_change_with_the_content_and_decide(store: Store) -> None:
    assert store.read_version("a/b") is None
    store.write("a/b", b"1")
    found = store.read_version("a/b")
    assert found is not None
    content, version = found
    assert content == b"1"
    second = store.replace("a/b", b"2", version)
    assert second is not None
    assert store.replace("a/b", b"3", version) is None
    assert store.read("a/b") == b"2"
    assert store.replace("a/b", b"3", second) is not None
    store.remove("a/b")
    assert store.replace("a/b", b"4", second) is None
    assert store.read("a/b") is None


def test_many_objects_are_removed_though_one_is_gone(store: Store) -> None:
    """Google Cloud answers that it is not found, and stops there."""
    for number in range(5):
        store.write(f"a/{number}", b"x")
    if not isinstance(store, LocalStore):
        store._delete([f"a/{number}" for number in (0, 7, 1, 2, 3, 4)])
        assert list(store.list("a")) == []
