"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def xtreme_mini() -> Path:
    """A folder of real XTREME data cut small, from STILTS_TEST_DATA; tests that need it skip without."""
    path = Path(os.environ.get("STILTS_TEST_DATA", ROOT.parent / "shared" / "data" / "xtreme_mini"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path} (set STILTS_TEST_DATA to a folder with xtreme/ and labels/)")
    return path
