"""The four promises of `storage/protocol.py`, for every backend."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.storage.local import LocalStore
from stilts.storage.open import open_store
from stilts.storage.protocol import Corrupt, Store
from tests.storage.conftest import change, elsewhere, tree_folder

# --- reading and writing -----------------------------------------------------------------------------------


def test_what_is_not_there_is_none_and_nothing(store: Store) -> None:
    assert store.read("a/b.json") is None
    assert list(store.list("a")) == []
    store.remove("a/b.json")
    store.write("file", b"x")
    assert store.read("file/below") is None
    assert list(store.list("file")) == []


@pytest.mark.parametrize("content", [b"", b"\0\r\n\xff", "naïve ไทย".encode(), b"x" * 3_000_000])
def test_bytes_come_back_as_they_were(store: Store, content: bytes) -> None:
    store.write("stages/a/x.bin", content)
    assert store.read("stages/a/x.bin") == content
    assert open_store(store.uri).read("stages/a/x.bin") == content


def test_write_replaces(store: Store) -> None:
    store.write("a", b"long content")
    store.write("a", b"new")
    assert store.read("a") == b"new"
    assert list(store.list(".")) == ["a"]


def test_create_refuses_what_exists(store: Store) -> None:
    assert store.create("claims/1.json", b"first")
    assert not store.create("claims/1.json", b"second")
    assert store.read("claims/1.json") == b"first"
    assert list(store.list("claims")) == ["1.json"]


def test_list_is_sorted_and_only_one_level(store: Store) -> None:
    for name in ("b/y", "b/x/deep", "a", "c"):
        store.write(name, b"")
    assert list(store.list(".")) == ["a", "b", "c"]
    assert list(store.list("b")) == ["x", "y"]


def test_remove_takes_files_and_folders(store: Store) -> None:
    store.write("a/b/c", b"x")
    store.write("a/d", b"x")
    store.remove("a/b")
    assert list(store.list("a")) == ["d"]
    store.remove("a/d")
    assert list(store.list("a")) == []


def test_measure_tells_bytes_and_age(store: Store) -> None:
    assert store.measure("a") is None
    before = time.time()
    for name, size in (("a/x", 10), ("a/b/y", 200), ("c", 7)):
        store.write(name, b"x" * size)
    measures = {path: store.measure(path) for path in ("a", "a/b", "c")}
    assert {path: found and found.bytes for path, found in measures.items()} == {"a": 210, "a/b": 200, "c": 7}
    for found in measures.values():
        assert found is not None
        assert before - 2 <= found.modified <= time.time() + 2


def test_a_store_without_killed_writers_has_no_orphaned_files(store: Store) -> None:
    store.write("a/b", b"x")
    assert list(store.orphans()) == []


def test_scratch_stays(store: Store) -> None:
    (store.scratch("resume") / "state").write_text("x")
    assert (store.scratch("resume") / "state").read_text() == "x"


# --- trees -------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
    (folder / "sub" / "config.json").write_text("{}")
    (folder / "empty").write_bytes(b"")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_tree_round_trip(store: Store, tree: Path) -> None:
    manifest = store.put_tree(tree, "stages/a/weights")
    assert set(manifest) == {"model.safetensors", "sub/config.json", "empty"}
    assert manifest["model.safetensors"]["bytes"] == 1_280_000
    assert _files(store.fetch_tree("stages/a/weights", manifest)) == _files(tree)


def test_put_tree_replaces_all_of_the_old(store: Store, tree: Path, tmp_path: Path) -> None:
    store.put_tree(tree, "w")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "only").write_text("this")
    manifest = store.put_tree(tmp_path / "new", "w")
    assert list(store.list("w")) == ["only"]
    assert list(store.list(".")) == ["w"]
    assert _files(store.fetch_tree("w", manifest)) == {"only": b"this"}


def test_put_tree_takes_an_empty_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert store.put_tree(tmp_path / "none", "w") == {}


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [_truncate, _flip, Path.unlink, lambda f: f.write_bytes(f.read_bytes() + b"\0")])
def test_fetch_tree_finds_damage(store: Store, tree: Path, damage: Callable[[Path], object], tmp_path: Path) -> None:
    manifest = store.put_tree(tree, "w")
    store = change(store, "w", "model.safetensors", damage, tmp_path)
    with pytest.raises(Corrupt, match=r"model\.safetensors"):
        store.fetch_tree("w", manifest)
    assert not store.has_tree("w", manifest)


@pytest.mark.parametrize("damage", [_truncate, _flip, Path.unlink])
def test_obtain_finds_damage(store: Store, damage: Callable[[Path], object], tmp_path: Path) -> None:
    if isinstance(store, LocalStore):
        pytest.skip("the files of a file system are its own; their digests are their readers'")
    folder = store.scratch("data/xnli")
    (folder / "train.arrow").write_bytes(b"rows" * 1000)
    store.publish("data/xnli/train.arrow")
    with pytest.raises(Corrupt, match=r"train\.arrow"):
        change(store, "data/xnli/train.arrow", "train.arrow", damage, tmp_path).obtain("data/xnli/train.arrow")


def test_fetch_tree_of_nothing_is_corrupt(store: Store) -> None:
    with pytest.raises(Corrupt, match="missing"):
        store.fetch_tree("w", {"a": {"bytes": 1, "sha256": "00"}})


@pytest.mark.parametrize("planted", ["pytorch_model.bin", "sub/training_args.pt"])
def test_a_file_that_nobody_wrote_is_not_used(store: Store, tree: Path, planted: str, tmp_path: Path) -> None:
    """On a file system the tree is used where it lies, so it is refused; from a bucket the file is never fetched."""
    manifest = store.put_tree(tree, "w")
    store.write(f"{tree_folder(store, 'w')}/{planted}", b"\x80\x04.")
    assert not store.has_tree("w", manifest)
    if isinstance(store, LocalStore):
        with pytest.raises(Corrupt, match=planted):
            store.fetch_tree("w", manifest)
    else:
        assert _files(elsewhere(store, tmp_path).fetch_tree("w", manifest)) == _files(tree)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\b", "a\nb", "", ".", "a//b", "a/"])
def test_a_manifest_cannot_name_a_file_outside_of_its_tree(store: Store, tree: Path, name: str) -> None:
    manifest = store.put_tree(tree, "w")
    with pytest.raises(Corrupt, match=r"outside|itself"):
        store.fetch_tree("w", {**manifest, name: {"bytes": 1, "sha256": "00"}})


def test_has_tree_tells_whether_it_is_the_one(store: Store, tree: Path) -> None:
    manifest = store.put_tree(tree, "w")
    assert store.has_tree("w", manifest)
    other = {**manifest, "empty": {"bytes": 0, "sha256": "0" * 64}}
    assert not store.has_tree("w", other)
    assert not store.has_tree("x", manifest)
    store.remove("w")
    assert not store.has_tree("w", manifest)


# --- publishing --------------------------------------------------------------------------------------------


def test_what_is_published_can_be_obtained(store: Store, tree: Path) -> None:
    shutil.copytree(tree, store.scratch(".") / "stages" / "a" / "resume")
    file = store.scratch("data/xnli") / "train-en.arrow"
    file.write_bytes(b"rows" * 1000)
    store.publish("stages/a/resume")
    store.publish("data/xnli/train-en.arrow")
    again = open_store(store.uri)
    assert _files(again.obtain("stages/a/resume")) == _files(tree)
    assert again.obtain("data/xnli/train-en.arrow").read_bytes() == b"rows" * 1000
    assert list(again.list("data/xnli")) == ["train-en.arrow"]
    assert list(again.list("stages/a")) == ["resume"]


def test_publishing_again_replaces(store: Store) -> None:
    folder = store.scratch("stages/a/resume")
    for content in (b"one", b"two"):
        (folder / "state").write_bytes(content)
        store.publish("stages/a/resume")
    (folder / "state").unlink()
    (folder / "other").write_bytes(b"three")
    store.publish("stages/a/resume")
    assert _files(open_store(store.uri).obtain("stages/a/resume")) == {"other": b"three"}


def test_what_is_removed_is_not_obtained(store: Store) -> None:
    (store.scratch("data") / "file").write_bytes(b"x")
    store.publish("data/file")
    store.remove("data/file")
    assert list(store.list("data")) == []
    with pytest.raises(Corrupt, match="missing"):
        store.obtain("data/file")


def test_what_was_never_published_is_not_obtained(store: Store) -> None:
    with pytest.raises(Corrupt, match="missing"):
        store.obtain("data/file")
    with pytest.raises(StiltsError, match="nothing is there"):
        store.publish("data/file")


# --- paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["../x", "/x", "a/../b", "a\\b", "a\0b", "a\nb", "", "a//b", "./a", "a/", "..", "a/."])
def test_a_path_that_leads_out_is_refused(store: Store, tree: Path, path: str) -> None:
    for attempt in (
        lambda: store.read(path),
        lambda: store.write(path, b""),
        lambda: store.create(path, b""),
        lambda: list(store.list(path)),
        lambda: store.remove(path),
        lambda: store.put_tree(tree, path),
        lambda: store.has_tree(path, {}),
        lambda: store.fetch_tree(path, {}),
        lambda: store.scratch(path),
        lambda: store.publish(path),
        lambda: store.obtain(path),
    ):
        with pytest.raises(StiltsError, match="no path inside a store"):
            attempt()


# --- several writers ---------------------------------------------------------------------------------------


def test_concurrent_put_tree_leaves_one_of_them_whole(store: Store, tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / str(i)).mkdir()
        for name in "abc":
            (tmp_path / str(i) / name).write_bytes(bytes([i]) * 100_000)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            list(pool.map(lambda i: store.put_tree(tmp_path / str(i), "w"), range(4)))
            contents = set(_files(store.fetch_tree("w", {})).values())
            assert len(contents) == 1
            assert list(store.list("w")) == ["a", "b", "c"]


# --- several processes, and kills ----------------------------------------------------------------------------


def _python(code: str, *args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys\nfrom stilts.storage.open import open_store\n{code}", *args],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


_RACE = """
store = open_store(sys.argv[1])
print("ready", flush=True)
import time
while store.read("go") is None:
    time.sleep(0.001)
won = [i for i in range(60) if store.create(f"claims/{i}.json", (sys.argv[2] * 1000).encode())]
print(*won, flush=True)
"""


def test_create_has_exactly_one_winner(store: Store) -> None:
    racers = [_python(_RACE, store.uri, str(i)) for i in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"ready\n"
    store.write("go", b"")
    won = [[int(i) for i in racer.communicate(timeout=60)[0].split()] for racer in racers]
    assert sorted(i for winner in won for i in winner) == list(range(60))
    for racer, indices in enumerate(won):
        assert all(store.read(f"claims/{i}.json") == str(racer).encode() * 1000 for i in indices)


_WRITER = """
store = open_store(sys.argv[1])
from pathlib import Path
print("ready", flush=True)
i = 0
while True:
    i += 1
    store.write("stages/a/record.json", str(i % 10).encode() * 200_000)
    store.create(f"stages/a/claims/{i}.json", str(i % 10).encode() * 20_000)
    store.put_tree(Path(sys.argv[2]) / str(i % 2), "stages/a/weights")
"""


def test_a_kill_at_any_moment_leaves_nothing_partial(store: Store, tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / "trees" / str(i)).mkdir(parents=True)
        for name in "abcd":
            (tmp_path / "trees" / str(i) / name).write_bytes(bytes([i]) * 50_000)
    manifests = [store.put_tree(tmp_path / "trees" / str(i), "reference") for i in range(2)]
    draw = random.Random(7)
    for _ in range(12):
        writer = _python(_WRITER, store.uri, str(tmp_path / "trees"))
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(draw.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        content = store.read("stages/a/record.json")
        assert content is None or (len(content) == 200_000 and len(set(content)) == 1)
        for name in store.list("stages/a/claims"):
            lease = store.read(f"stages/a/claims/{name}")
            assert lease is not None
            assert len(lease) == 20_000
            assert len(set(lease)) == 1
        assert set(store.list("stages/a")) <= {"record.json", "claims", "weights"}
        if "weights" in store.list("stages/a"):
            assert any(_is_whole(store, manifest) for manifest in manifests)


def _is_whole(store: Store, manifest: dict) -> bool:
    try:
        return len(_files(store.fetch_tree("stages/a/weights", manifest))) == 4
    except Corrupt:
        return False


def test_a_reader_never_sees_a_part_of_a_write(store: Store) -> None:
    store.write("a", b"0" * 300_000)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [store.write("a", str(i % 10).encode() * 300_000) for i in range(60)])
        while not writing.done():
            content = store.read("a")
            assert content is not None
            assert len(content) == 300_000
            assert len(set(content)) == 1
