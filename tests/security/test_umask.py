"""The modes of files follow the umask."""

import os
import stat
from pathlib import Path

import pyarrow as pa
import pytest

from stilts.data.tables import write_table
from stilts.storage.local import LocalStore


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_the_modes_of_tables_and_of_a_stores_files_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_table(pa.table({"a": [1]}), tmp_path / "data" / "a.arrow")
        store = LocalStore(tmp_path / "store")
        store.write("a/b.json", b"{}")
        store.create("a/c.json", b"{}")
        source = tmp_path / "source"
        source.mkdir()
        (source / "w").write_bytes(b"x")
        store.put_tree(source, "a/tree")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 6  # put_tree also notes what it has verified
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {mode}
