"""Disks that have too little room for a run. The free space is that of this machine's disks."""

import os
import tempfile
from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.ledger.disk import check_room
from stilts.plan.cost.disk import DiskNeed
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.cache import Cache
from stilts.storage.local import LocalStore
from stilts.storage.uri import parse_uri

HUGE = 10**18
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return _use(tmp_path / "temporary", monkeypatch)


def _use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_there_is_room(tmp_path: Path) -> None:
    check_room(DiskNeed(1, 1, 1, 1), LocalStore(tmp_path / "store"), 64)


def test_the_disk_of_the_store_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(StiltsError) as error:
        check_room(DiskNeed(1, HUGE, 1, 1), LocalStore(tmp_path / "store"), 64)
    said = str(error.value)
    assert str(tmp_path / "store") in said
    assert "needs up to 1000000.0 TB there with 64 trials at the same time" in said
    assert "lower runtime.max_parallel, set runtime.keep: none or move the store" in said


def test_weights_are_staged_in_the_temporary_folder(tmp_path: Path, temporary: Path) -> None:
    with pytest.raises(StiltsError, match=r"the temporary folder \(TMPDIR\) at .*temporary .*set TMPDIR"):
        check_room(DiskNeed(1, 1, 1, HUGE), LocalStore(tmp_path / "store"), 1)


def test_needs_on_one_disk_are_added_up(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    part = free * 2 // 3
    with pytest.raises(StiltsError, match=r"the store at .* and the temporary folder"):
        check_room(DiskNeed(1, part, 1, part), LocalStore(tmp_path / "store"), 1)


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="one file system only")
def test_a_small_temporary_folder_on_a_disk_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if SHARED_MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system only")
    monkeypatch.setattr(tempfile, "tempdir", str(SHARED_MEMORY))
    with pytest.raises(StiltsError) as error:
        check_room(DiskNeed(1, 1, 1, HUGE), LocalStore(tmp_path / "store"), 1)
    assert "the disk of the temporary folder (TMPDIR) at /dev/shm has" in str(error.value)


def test_a_bucket_needs_the_cache(tmp_path: Path) -> None:
    store = ObjectStore(parse_uri("s3://bucket/x"), Cache(tmp_path / "cache"))
    check_room(DiskNeed(1, HUGE, 1, 1), store, 1)
    with pytest.raises(StiltsError, match=r"the cache of this machine \(STILTS_CACHE\) at .*set STILTS_CACHE"):
        check_room(DiskNeed(1, HUGE, HUGE, 1), store, 1)


def test_trials_elsewhere_use_their_own_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    check_room(DiskNeed(1, 1, HUGE, HUGE), LocalStore(tmp_path / "store"), 1)
    check_room(DiskNeed(1, HUGE, HUGE, HUGE), ObjectStore(parse_uri("s3://bucket/x"), Cache(tmp_path / "cache")), 1)
    with pytest.raises(StiltsError, match="the store"):
        check_room(DiskNeed(1, HUGE, 1, 1), LocalStore(tmp_path / "store"), 1)
