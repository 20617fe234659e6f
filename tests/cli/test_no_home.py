"""Commands of a user whose home folder, caches and temporary folder cannot be written or are full."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stilts.data.sources import hub
from stilts.encoders.hub import hub_cache_error
from stilts.os_errors import DiskFull, NotWritable
from stilts.run.temporary import temporary_folder
from stilts.storage.bucket.store import ObjectStore
from stilts.storage.cache import Cache
from stilts.storage.uri import parse_uri
from stilts.tasks.base import HubSource, get_task

NOWHERE = "/proc/stilts-home"
"""A folder that nobody can make, root included."""


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system with 64 kB of room."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "stilts-test", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("no file system can be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_bucket_can_be_opened_where_the_cache_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILTS_CACHE", NOWHERE)
    store = ObjectStore(parse_uri("s3://bucket/store"))
    with pytest.raises(NotWritable, match=f"the cache {NOWHERE} cannot be written and locked.*STILTS_CACHE"):
        store.scratch("stages/a")


def test_a_cache_on_a_full_disk_says_path_need_and_remedy(full: Path) -> None:
    cache = Cache(full / "cache", limit=1e9)

    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(bytes(1_000_000))

    cache._excess = lambda need: 0.0  # type: ignore[method-assign]  # as if the disk filled up during the download
    with pytest.raises(DiskFull) as told:
        cache.copy("a" * 32, {"model.safetensors": 1_000_000}, fill)
    assert f"the disk of the cache (STILTS_CACHE) is full (writing {full / 'cache'}, which needs 1.0 MB)" in str(
        told.value
    )
    assert "free some space" in str(told.value)
    assert not list((full / "cache" / "filling").iterdir())


def test_a_temporary_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", NOWHERE)
    monkeypatch.setattr(tempfile, "tempdir", NOWHERE)
    with pytest.raises(Exception, match=rf"the temporary folder \(TMPDIR\) cannot write {NOWHERE}"), temporary_folder():
        pass


def test_a_hub_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", f"{NOWHERE}/datasets")
    source = HubSource(id="a/b", revision="0" * 40, splits={"train": "train"}, columns={"text": "text"})
    with pytest.raises(Exception, match=rf"the Hugging Face cache \(HF_HOME\) cannot write {NOWHERE}/datasets"):
        hub.load(source, get_task("mlm"), "train", "en")


def test_errors_of_the_disk_are_told_from_those_of_the_network() -> None:
    full = OSError(28, "No space left on device", "/cache/blobs/x")
    wrapped = RuntimeError("cannot download")
    wrapped.__cause__ = full
    assert "the disk of the Hugging Face cache (HF_HOME) is full" in str(hub_cache_error(wrapped))
    assert hub_cache_error(ConnectionError("no route")) is None


def test_figures_and_a_local_ray_need_no_home(tmp_path: Path) -> None:
    """A report draws without a word about the home folder; Ray gets a token that needs no file."""
    program = (
        "import os, stilts.show.figures.style, matplotlib.font_manager\n"
        "from stilts.run.ray_private import _provide_token\n"
        "_provide_token()\n"
        "print(len(os.environ['RAY_AUTH_TOKEN']))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_AUTH", "MPL", "XDG"))}
    environment |= {"HOME": NOWHERE, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("64\n", "")
