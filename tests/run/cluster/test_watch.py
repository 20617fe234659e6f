"""`stilts watch` as it runs on a node: a real process, and a server that plays the clouds' metadata services."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stilts.run.cluster.watch import _locked
from tests.run.cluster.metadata import Metadata, serving
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def metadata() -> Iterator[tuple[Metadata, dict[str, str]]]:
    with serving() as (found, address):
        found.clouds = {"aws"}
        places = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}", "GCE_METADATA_HOST": address}
        yield found, {**os.environ, **places, "PYTHONPATH": str(ROOT)}


class Watcher:
    """The process, and what it has said."""

    def __init__(self, environment: dict[str, str], folder: Path, *options: str) -> None:
        self.log = folder / "watch.log"
        command = [sys.executable, "-m", "stilts", "watch", "--every", "0.3", *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    def says(self, text: str, seconds: float = 60) -> bool:
        return wait_until(lambda: text in self.log.read_text(), seconds)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


def test_a_cluster_out_of_reach_is_told_once_and_tried_again(
    metadata: tuple[Metadata, dict[str, str]], tmp_path: Path
) -> None:
    watcher = Watcher(metadata[1], tmp_path, "--cloud", "aws", "--address", "nonsense")
    try:
        assert watcher.says("Ray: Ray cannot be asked")
        time.sleep(3)
        assert len(watcher.log.read_text().splitlines()) == 1
    finally:
        assert watcher.end() == 0


def test_one_process_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = _locked("aws auto here")
    assert first is not None
    assert _locked("aws auto here") is None
    assert _locked("gcp auto here") is not None
    first.close()
    assert _locked("aws auto here") is not None


@pytest.mark.slow
def test_a_second_watcher_ends(metadata: tuple[Metadata, dict[str, str]], tmp_path: Path) -> None:
    """`ray up` starts one each time that it updates a cluster."""
    environment = {**metadata[1], "TMPDIR": str(tmp_path)}
    options = ("--cloud", "aws", "--address", "nonsense")
    (tmp_path / "again").mkdir()
    first = Watcher(environment, tmp_path, *options)
    try:
        assert first.says("Ray: Ray cannot be asked")
        second = Watcher(environment, tmp_path / "again", *options)
        assert second.process.wait(timeout=60) == 0
        assert "another process of this user watches already" in second.log.read_text()
        assert first.process.poll() is None
    finally:
        assert first.end() == 0
    third = Watcher(environment, tmp_path / "again", *options)
    try:
        assert third.says("Ray: Ray cannot be asked")
    finally:
        third.end()


def test_a_wrong_cloud_is_told_at_once(metadata: tuple[Metadata, dict[str, str]], tmp_path: Path) -> None:
    watcher = Watcher(metadata[1], tmp_path, "--cloud", "azure")
    assert watcher.process.wait(timeout=60) == 1
    assert "give auto, aws, gcp" in watcher.log.read_text()


def test_the_watcher_is_small() -> None:
    code = "import sys, stilts.cli, stilts.run.cluster.watch; assert not {'ray', 'torch', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
