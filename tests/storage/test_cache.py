"""The node's cache under fire: full, raced for, killed while it fetched, and in use."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.storage import cache as caches
from stilts.storage.cache import Cache
from stilts.storage.open import open_store
from tests.servers import HttpProxy, s3_uri


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _filler(size: int, filled: list[str] | None = None, name: str = "file") -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        if filled is not None:
            filled.append(name)
        (folder / name).write_bytes(b"x" * size)

    return fill


def _get(cache: Cache, key: str, size: int = 1000, filled: list[str] | None = None) -> Path:
    return cache.copy(key, {"file": size}, _filler(size, filled))


def _kept(root: Path) -> set[str]:
    return {path.name for path in (root / "copies").iterdir()}


def _age(root: Path, key: str, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(root / "copies" / key / "stamp.json", (moment, moment))


def test_what_is_there_is_not_fetched_again(root: Path) -> None:
    filled: list[str] = []
    for _ in range(3):
        folder = _get(Cache(root, 1e6), "a", filled=filled)
    assert filled == ["file"]
    assert (folder / "file").read_bytes() == b"x" * 1000
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "damage", [lambda f: f.write_bytes(b"y" * 1000), lambda f: f.unlink(), lambda f: f.write_bytes(b"")]
)
def test_a_copy_that_was_changed_is_fetched_again(root: Path, damage: Callable[[Path], object]) -> None:
    damage(_get(Cache(root, 1e6), "a") / "file")
    assert (_get(Cache(root, 1e6), "a") / "file").read_bytes() == b"x" * 1000


def test_a_fetch_that_fails_leaves_nothing(root: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "file").write_bytes(b"half")
        raise StiltsError("gone")

    with pytest.raises(StiltsError, match="gone"):
        Cache(root, 1e6).copy("a", {"file": 1000}, fail)
    assert _kept(root) == set()
    assert list((root / "filling").iterdir()) == []


# --- the limit ---------------------------------------------------------------------------------------------


def test_the_least_recently_used_goes_first(root: Path) -> None:
    for age, key in ((300, "a"), (200, "b"), (100, "c")):
        _get(Cache(root, 1e6), key, 100_000)
        _age(root, key, age)
    _get(Cache(root, 1e6), "a", 100_000)  # used again
    _get(Cache(root, 350_000), "d", 100_000)
    assert _kept(root) == {"a", "c", "d"}
    _get(Cache(root, 350_000), "e", 200_000)
    assert _kept(root) == {"d", "e"}


def test_what_is_in_use_stays_whatever_its_age(root: Path) -> None:
    user = Cache(root, 1e6)
    _get(user, "a", 100_000)
    _age(root, "a", 9999)
    _get(Cache(root, 1e6), "b", 100_000)
    _get(Cache(root, 250_000), "c", 100_000)
    assert _kept(root) == {"a", "c"}
    with pytest.raises(StiltsError, match=r"no room for 100\.\d kB: .*STILTS_CACHE_GB.* in use; raise the limit"):
        _get(Cache(root, 150_000), "d", 100_000)
    assert "a" in _kept(root)
    del user
    _get(Cache(root, 150_000), "d", 100_000)
    assert _kept(root) == {"d"}


def test_the_disk_keeps_its_reserve(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit would allow it, the disk does not."""
    usage = namedtuple("usage", "total used free")
    _get(Cache(root, 1e12), "a", 100_000)
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda path: usage(10_000_000, 0, 1_050_000))
    with pytest.raises(StiltsError, match=r"no room .* or for the disk"):
        _get(Cache(root, 1e12), "b", 100_000)
    assert _kept(root) == set()
    _get(Cache(root, 1e12), "b", 50_000)
    assert _kept(root) == {"b"}


def test_a_small_disk_is_never_filled(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        for i in range(12):
            cache = Cache(disk / "cache")
            assert cache.limit == 2 * 2**20
            cache.copy(f"k{i}", {"file": 900_000}, _filler(900_000))
            del cache
            assert shutil.disk_usage(disk).free > 0.1 * 4 * 2**20
        assert len(_kept(disk / "cache")) == 2
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_scratch_counts_and_goes_when_it_is_idle(root: Path) -> None:
    for name in ("s/stages/a/resume", "s/stages/b/resume", "s/stages/c/resume"):
        (Cache(root, 1e6).scratch(name) / "state").write_bytes(b"x" * 100_000)
    user = Cache(root, 1e6)
    user.scratch("s/stages/a")
    for name in "ab":
        moment = time.time() - caches.SCRATCH_IDLE - 60
        folder = root / "scratch" / "s" / "stages" / name / "resume"
        for path in (folder / "state", folder):
            os.utime(path, (moment, moment))
    _get(Cache(root, 350_000), "d", 100_000)
    there = {path.parent.parent.name for path in (root / "scratch").rglob("state")}
    assert there == {"a", "c"}, "b is idle; a is used by a process, and c was just written"
    del user


@pytest.mark.parametrize("given", ["much", "-1", "nan", "1 GB"])
def test_a_limit_that_is_no_number_is_said(given: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILTS_CACHE_GB", given)
    with pytest.raises(StiltsError, match=r"STILTS_CACHE_GB is .*as 200"):
        Cache(root)


def test_the_environment_sets_place_and_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILTS_CACHE", str(root))
    monkeypatch.setenv("STILTS_CACHE_GB", "1.5")
    assert (Cache().root, Cache().limit) == (root, 1.5e9)


# --- processes ---------------------------------------------------------------------------------------------

_RANK = """
import sys, time
from pathlib import Path
from stilts.storage.cache import Cache
root, log, key, slow = sys.argv[1:5]
def fill(folder):
    with open(log, "a") as file:
        file.write("filled\\n")
    (folder / "file").write_bytes(b"x" * 500)
    print("half", flush=True)
    time.sleep(float(slow))
    (folder / "file").write_bytes(b"x" * 1000)
cache = Cache(Path(root), float(sys.argv[5]))
folder = cache.copy(key, {"file": 1000}, fill)
assert (folder / "file").read_bytes() == b"x" * 1000
print("have", flush=True)
sys.stdin.read()
assert (folder / "file").read_bytes() == b"x" * 1000
"""


def _rank(root: Path, log: Path, key: str, slow: float, limit: float = 1e6) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _RANK, str(root), str(log), key, str(slow), str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_eight_ranks_fetch_once(root: Path, tmp_path: Path) -> None:
    ranks = [_rank(root, tmp_path / "log", "a", 0.5) for _ in range(8)]
    assert sorted(_said(rank) for rank in ranks) == ["half", *["have"] * 7]
    for rank in ranks:
        rank.communicate("", timeout=60)
        assert rank.returncode == 0
    assert (tmp_path / "log").read_text() == "filled\n"


def test_a_killed_fetch_is_never_taken_for_whole(root: Path, tmp_path: Path) -> None:
    first = _rank(root, tmp_path / "log", "a", 600)
    assert _said(first) == "half"
    waiting = _rank(root, tmp_path / "log", "a", 0)
    first.kill()
    first.communicate()
    assert [_said(waiting), _said(waiting)] == ["half", "have"]
    waiting.communicate("", timeout=60)
    assert waiting.returncode == 0
    assert list((root / "filling").iterdir()) == []


def test_what_a_killed_fetch_left_goes_with_the_next(root: Path, tmp_path: Path) -> None:
    dead = _rank(root, tmp_path / "log", "a", 600)
    assert _said(dead) == "half"
    dead.kill()
    dead.communicate()
    assert {path.name for path in (root / "filling").iterdir()} == {"a", "a.bytes"}
    _get(Cache(root, 1e6), "b")
    assert list((root / "filling").iterdir()) == []
    assert _kept(root) == {"b"}


def test_what_another_process_uses_stays_until_it_dies(root: Path, tmp_path: Path) -> None:
    user = _rank(root, tmp_path / "log", "a", 0)
    assert [_said(user), _said(user)] == ["half", "have"]
    _age(root, "a", 9999)
    with pytest.raises(StiltsError, match="in use"):
        _get(Cache(root, 1500), "b")
    user.send_signal(signal.SIGKILL)
    user.communicate()
    _get(Cache(root, 1500), "b")
    assert _kept(root) == {"b"}


def test_two_fetches_at_once_keep_to_the_limit_together(root: Path, tmp_path: Path) -> None:
    first = _rank(root, tmp_path / "log", "a", 600)
    assert _said(first) == "half"
    with pytest.raises(StiltsError, match="no room"):
        _get(Cache(root, 1500), "b")
    first.kill()
    first.communicate()
    _get(Cache(root, 1500), "b")


def test_a_removal_that_was_killed_is_finished(root: Path) -> None:
    Cache(root, 1e6)
    (root / "gone-0123456789ab" / "files").mkdir(parents=True)
    _get(Cache(root, 1e6), "a")
    assert not list(root.glob("gone-*"))


# --- with a store ------------------------------------------------------------------------------------------

_TRIAL = """
import json, sys
from stilts.storage.open import open_store
store = open_store(sys.argv[1])
folder = store.fetch_tree("w", json.loads(sys.argv[2]))
data = store.obtain("data/train.arrow")
print(len(list(folder.iterdir())), data.stat().st_size, flush=True)
"""


def test_the_processes_of_a_node_download_once(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"bucket/{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "driver"))
    made = open_store(s3_uri(s3_endpoint, path))
    (tmp_path / "tree").mkdir()
    for name in "abc":
        (tmp_path / "tree" / name).write_bytes(name.encode() * 200_000)
    manifest = made.put_tree(tmp_path / "tree", "w")
    (made.scratch("data") / "train.arrow").write_bytes(b"r" * 300_000)
    made.publish("data/train.arrow")
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "node"))
    with HttpProxy(s3_endpoint) as proxy:
        uri = s3_uri(proxy.endpoint, path)
        ranks = [
            subprocess.Popen(
                [sys.executable, "-c", _TRIAL, uri, json.dumps(manifest)],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
            for _ in range(4)
        ]
        assert {rank.communicate(timeout=120)[0] for rank in ranks} == {b"3 300000\n"}
        contents = [one for one in proxy.requests if one.startswith("GET") and ".tree-" in one.partition("?")[0]]
        assert len(contents) == 4, "three files of weights and one of data, each once"


def test_what_was_made_here_is_not_fetched(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILTS_CACHE", str(tmp_path / "cache"))
    with HttpProxy(s3_endpoint) as proxy:
        store = open_store(s3_uri(proxy.endpoint, f"bucket/{uuid.uuid4().hex[:12]}"))
        (store.scratch("data") / "train.arrow").write_bytes(b"rows")
        store.publish("data/train.arrow")
        proxy.forget()
        assert open_store(store.uri).obtain("data/train.arrow") == store.scratch(".") / "data" / "train.arrow"
        assert len(proxy.requests) == 1, "what is published is looked up, and nothing fetched"
        (store.scratch("data") / "train.arrow").write_bytes(b"changed here")
        assert store.obtain("data/train.arrow").read_bytes() == b"rows"
