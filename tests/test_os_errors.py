"""Errors of file systems as messages."""

from pathlib import Path

import pytest

from stilts.errors import StiltsError
from stilts.os_errors import explained
from stilts.storage.local import LocalStore


def test_a_place_where_no_folder_can_be_made_is_told_with_its_path() -> None:
    with pytest.raises(StiltsError, match=r"cannot write /proc/stilts.*; nothing can be made there, give another path"):
        LocalStore(Path("/proc/stilts")).write("results.md", b"x")


def test_a_missing_file_that_is_read_stays_what_callers_handle(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), explained("read", tmp_path / "absent"):
        (tmp_path / "absent").read_bytes()
