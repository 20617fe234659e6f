"""Fixtures shared by all tests, and what several workers (`pytest -n 2`) need."""

import os
import sys

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the processors. Torch reads this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import KEYS, make_bucket, s3_server

if TYPE_CHECKING:
    from stilts.train.ranks import Ranks

ROOT = Path(__file__).resolve().parent.parent

LONGEST = (
    "test_main_job.py",
    "chaos/test_chaos.py",
    "test_object_store_job.py",
    "run/test_run.py",
    "run/test_followed.py",
    "train/test_gang.py",
    "train/test_mixture.py",
    "train/test_rows.py",
    "train/test_loop.py",
    "train/test_flat.py",
    "run/test_stop.py",
    "run/test_limits.py",
    "search/test_study.py",
)
"""The files of tests that take longest, the longest first."""

HANGS_SECONDS = 600
"""A test that takes longer fails, except a slow one, so that one that hangs does not hold up the others for ever."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that no worker is left with one of them at the end; limit each test's time."""
    rank = {ROOT / "tests" / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
    for item in items:
        if not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(HANGS_SECONDS))


@pytest.fixture(scope="module", autouse=True)
def library_tasks_alone() -> Iterator[None]:
    """Tasks of a user's own, which a test has put in force, are out of force for the tests of the next file."""
    yield
    if own := sys.modules.get("stilts.tasks.own"):
        own.use([])


@pytest.fixture(scope="session")
def xtreme_mini() -> Path:
    """A folder of real XTREME data cut small, from STILTS_TEST_DATA; tests that need it skip without."""
    path = Path(os.environ.get("STILTS_TEST_DATA", ROOT.parent / "shared" / "data" / "xtreme_mini"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path} (set STILTS_TEST_DATA to a folder with xtreme/ and labels/)")
    return path


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 server on this machine with one bucket, `bucket`, and credentials for it in the environment."""
    before = dict(os.environ)
    os.environ.update(KEYS)
    with s3_server() as endpoint:
        make_bucket(endpoint, "bucket")
        yield endpoint
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def ranks() -> "Ranks":
    """This process as a gang of one: it can join a process group once."""
    import torch

    from stilts.train.ranks import connect
    from tests.train.toys import free_port

    torch.set_num_threads(1)
    return connect(0, 1, "127.0.0.1", free_port(), torch.device("cpu"))
