"""Fixtures shared by all tests."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stilts.train.ranks import Ranks

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def xtreme_mini() -> Path:
    """A folder of real XTREME data cut small, from STILTS_TEST_DATA; tests that need it skip without."""
    path = Path(os.environ.get("STILTS_TEST_DATA", ROOT.parent / "shared" / "data" / "xtreme_mini"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path} (set STILTS_TEST_DATA to a folder with xtreme/ and labels/)")
    return path


@pytest.fixture(scope="session")
def ranks() -> "Ranks":
    """This process as a gang of one: it can join a process group once."""
    import torch

    from stilts.train.ranks import connect
    from tests.train.toys import free_port

    torch.set_num_threads(1)
    return connect(0, 1, "127.0.0.1", free_port(), torch.device("cpu"))
