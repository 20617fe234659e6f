"""A store inside a job's copy of the working directory is refused."""

from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.run.cluster.ray_job import check_job


def test_a_store_in_the_copy_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "working_dir_files" / "_ray_pkg_0123456789abcdef"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    for store in ("runs", f"file://{copy}/runs"):
        with pytest.raises(StiltsError, match="lost with it: use --set store="):
            check_job(store)


def test_other_stores_pass(tmp_path: Path) -> None:
    for store in (str(tmp_path), "s3://bucket/_ray_pkg_x", "gs://bucket/runs"):
        check_job(store)
